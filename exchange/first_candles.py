"""Where a symbol's candles begin: the first one at the exchange, requested once and remembered on disk.

exchangeInfo's `onboardDate` is not a bound: there are symbols whose first candle came months after it, or days before.
A ticker may also be reused for another coin: a delisting, a pause, a listing with a new date. Whatever traded before
the pause is another contract.

    <state_dir>/first-candles.json      {"BTCUSDT": {"onboard_ms": ..., "first_ms": ...}, ...}
"""

import asyncio
import json
import logging
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from exchange.budget import Priority
from exchange.client import ExchangeClient
from exchange.errors import BadRequest, ExchangeError
from exchange.universe import Instrument
from marketdata.timeframes import BASE_MS, BASE_TIMEFRAME, DAY_MS
from service.durable_files import write_json_durably

log = logging.getLogger(__name__)

FILE = "first-candles.json"

DAYS = 99
"""How many days before the onboardDate to look for a pause (weight 1). Between two contracts of one ticker there are
weeks without a daily candle; the longest hole the exchange has left within a contract is a matter of hours."""


REQUESTS_AT_ONCE = 4


class FirstCandles:
    """Open times of first candles, by symbol. A symbol whose onboardDate has changed is looked up again."""

    def __init__(self, client: ExchangeClient, state_dir: Path) -> None:
        self._client = client
        self._file = state_dir / FILE
        self._known = _read(self._file)  # symbol: (onboard_ms, first_ms)

    def known(self, info: Instrument) -> bool:
        """Whether the first candle is known for the contract that has this onboardDate."""
        return self._known.get(info.symbol, (None,))[0] == info.onboard_ms

    def told(self, info: Instrument) -> Instrument:
        """Return the symbol with `begins_ms` if that is known; until then it stays the onboardDate."""
        return replace(info, begins_ms=self._known[info.symbol][1]) if self.known(info) else info

    async def find(self, info: Instrument, *, priority: Priority = Priority.HISTORY) -> Instrument:
        """Return the symbol with `begins_ms`, asking the exchange if needed: one request of weight 1.

        It takes three requests if the exchange has candles from before the onboardDate. A symbol without any candle yet
        is returned unchanged, and looked up again next time. Raises ExchangeError.
        """
        if not self.known(info):
            first_ms = await self._ask(info, priority)
            if first_ms is None:
                return info
            self.remember(info, first_ms)
        return self.told(info)

    async def find_all(self, infos: Iterable[Instrument]) -> list[Instrument]:
        """Return `find` of each, and save what is new. A symbol that the exchange rejects is returned unchanged.

        Raises ExchangeError; what was learned before that is kept.
        """
        slots = asyncio.Semaphore(REQUESTS_AT_ONCE)
        before = dict(self._known)

        async def find(info: Instrument) -> Instrument | ExchangeError:
            try:
                async with slots:
                    return await self.find(info)
            except BadRequest as error:
                log.warning('no candles at the exchange symbol=%s error="%s"', info.symbol, error)
                return info
            except ExchangeError as error:
                return error

        found = await asyncio.gather(*map(find, infos))
        if self._known != before:
            await asyncio.to_thread(self.save)
        for one in found:
            if isinstance(one, ExchangeError):
                raise one
        return [one for one in found if isinstance(one, Instrument)]

    def remember(self, info: Instrument, first_ms: int) -> None:
        """Record a first candle that is known from elsewhere."""
        self._known[info.symbol] = info.onboard_ms, first_ms

    def save(self) -> None:
        """Write what is known. Blocking. A failing disk is only logged: the exchange is asked again one day."""
        known = {symbol: {"onboard_ms": at, "first_ms": first} for symbol, (at, first) in sorted(self._known.items())}
        try:
            write_json_durably(self._file, known)
        except OSError as error:
            log.warning('first candles not saved file=%s error="%s"', self._file, error)

    async def _ask(self, info: Instrument, priority: Priority) -> int | None:
        first_ms = await self._first_from(info, 0, priority)
        if first_ms is None or first_ms >= info.onboard_ms // BASE_MS * BASE_MS:
            return first_ms
        # There are candles from before the date: they belong to the same contract, unless there was a pause.
        until_ms = info.onboard_ms + DAY_MS
        days = await self._client.klines(info.symbol, "1d", limit=DAYS, end_ms=until_ms, priority=priority)
        opens = [day.open_time_ms for day in days]
        begins = [later for earlier, later in pairwise(opens) if later - earlier > DAY_MS]
        return await self._first_from(info, begins[-1], priority) if begins else first_ms

    async def _first_from(self, info: Instrument, start_ms: int, priority: Priority) -> int | None:
        rows = await self._client.klines(info.symbol, BASE_TIMEFRAME, limit=1, start_ms=start_ms, priority=priority)
        return rows[0].open_time_ms if rows else None


def _read(file: Path) -> dict[str, tuple[int, int]]:
    """Read what an earlier process knew. An unreadable file counts as empty: the exchange is asked again."""
    try:
        known: dict[str, dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
        return {symbol: (int(row["onboard_ms"]), int(row["first_ms"])) for symbol, row in known.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning('saved first candles unreadable file=%s error="%r"', file, error)
        return {}
