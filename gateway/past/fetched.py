"""Final windows from the exchange, each fetched once: in aligned chunks, shared by the ranges of all bots.

A chunk that lacks windows is fetched again, less and less often. Rows that cannot be candles are never served.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Coroutine, Sequence, Set
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

from exchange.again import Again
from exchange.binance import limits
from exchange.budget import Priority
from exchange.client import ExchangeClient
from exchange.errors import ExchangeError
from exchange.errors import Refused as ExchangeRefused
from exchange.rows import Kline, flaw
from gateway.api.answers import Refused, not_now
from gateway.memory.memory import Memory
from gateway.memory.rows import Row, of_kline
from gateway.memory.windows import Grid
from marketdata.thresholds import CLOSE_DEADLINE_MS
from service.single_flight import SingleFlight

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 8.0
"""A request is answered within this time: ccxt gives up after 10 s. The fetch continues, for the next request."""

CHUNK = 480
"""Windows in a chunk; a weight of 2 buys up to 499."""

KEPT_ROWS = 250_000
"""Rows of fetched history kept in memory, about 50 MB."""


class Final(NamedTuple):
    """Windows of the exchange that have ended: their rows, and the open times of rows that cannot be candles."""

    rows: dict[int, Row]
    invalid: Set[int] = frozenset()


@dataclass(frozen=True, slots=True)
class _Chunk:
    until_ms: int  # its windows have ended up to here
    final: Final
    again: Again

    def settles(self, opens: Sequence[int], now_ms: int) -> bool:
        """Whether it has all there is to know now about these windows."""
        rows, invalid = self.final
        is_whole = all(at in rows and at not in invalid for at in opens)
        return self.until_ms > opens[-1] and (is_whole or not self.again.is_due(now_ms))


class Once:
    """Runs work once if several requests wait for it, and lets it finish if they no longer do."""

    def __init__(self) -> None:
        self._flights = SingleFlight[Any, Any](_report)

    async def do[T](self, key: Any, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of `work`, or of the work already in progress for that key.

        Raises Refused if it takes too long or the exchange does not respond.
        """
        task: asyncio.Task[T] = self._flights.task(key, work)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await asyncio.shield(task)
        except TimeoutError:
            raise not_now("the candles are being fetched", 5) from None
        except ExchangeRefused as error:
            raise not_now(f"the exchange refuses requests ({error.status})", error.retry_after_seconds) from error
        except ExchangeError as error:
            raise not_now("the exchange does not respond, and the candles are nowhere else", 5) from error

    async def close(self) -> None:
        """Cancel everything in progress."""
        await self._flights.close()


class Fetched:
    """The exchange's own windows. Methods raise Refused."""

    def __init__(self, memory: Memory, client: ExchangeClient, once: Once) -> None:
        self.windows_total = 0
        self._memory = memory
        self._client = client
        self._once = once
        self._chunks: OrderedDict[tuple[str, str, int], _Chunk] = OrderedDict()
        self._rows = 0

    async def windows(self, symbol: str, grid: Grid, opens: Sequence[int]) -> Final:
        """Return those of the windows at `opens`, ascending, that the exchange has; all have ended."""
        if self._are_newest(grid, opens):
            return _of(await self._newest(symbol, grid, opens), opens)
        rows: dict[int, Row] = {}
        invalid: set[int] = set()
        chunk_ms = CHUNK * grid.length_ms
        for start_ms, wanted in groupby(
            opens, lambda at: (at - grid.offset_ms) // chunk_ms * chunk_ms + grid.offset_ms
        ):
            some = list(wanted)
            found = _of(await self._chunk(symbol, grid, start_ms, some), some)
            rows |= found.rows
            invalid |= found.invalid
        return Final(rows, invalid)

    def final(self, klines: Sequence[Kline]) -> Final:
        """Return those that ended long enough ago."""
        final_ms = self._memory.exchange_time_ms() - CLOSE_DEADLINE_MS
        rows, invalid = {}, set()
        for kline in klines:
            if kline.close_time_ms >= final_ms:
                continue
            if why := flaw(kline):
                invalid.add(kline.open_time_ms)
                log.warning('impossible row from the exchange open_ms=%d reason="%s"', kline.open_time_ms, why)
            else:
                rows[kline.open_time_ms] = of_kline(kline)
        self.windows_total += len(rows)
        return Final(rows, invalid)

    def _are_newest(self, grid: Grid, opens: Sequence[int]) -> bool:
        """Whether one cheap request gets all, up to the newest: a gateway's first minutes without a store."""
        stop_ms = grid.open_of(self._memory.exchange_time_ms())
        reach_ms = limits.BEST_KLINES_LIMIT * grid.length_ms
        return opens[-1] >= stop_ms - 2 * grid.length_ms and opens[0] > stop_ms - reach_ms

    async def _newest(self, symbol: str, grid: Grid, opens: Sequence[int]) -> Final:
        limit = limits.page_limit((opens[-1] - opens[0]) // grid.length_ms + 1)
        fetch = self._client.klines(symbol, grid.interval, limit=limit, start_ms=opens[0], priority=Priority.UNIVERSE)
        klines = await self._once.do(("newest", symbol, grid.interval, opens[0]), fetch)
        final = self.final(klines)
        if klines and klines[-1].open_time_ms >= opens[-1] and opens[-1] not in {*final.rows, *final.invalid}:
            raise not_now("the exchange's candle is not final yet", 5)
        return final

    async def _chunk(self, symbol: str, grid: Grid, start_ms: int, opens: Sequence[int]) -> Final:
        key = (symbol, grid.interval, start_ms)
        known = self._chunks.get(key)
        if known is not None and known.settles(opens, self._memory.exchange_time_ms()):
            self._chunks.move_to_end(key)
            return known.final
        chunk = await self._once.do(("chunk", *key), self._fetch(symbol, grid, start_ms))
        if chunk.until_ms <= opens[-1]:
            raise not_now("the exchange's candle is not final yet", 5)
        return chunk.final

    async def _fetch(self, symbol: str, grid: Grid, start_ms: int) -> _Chunk:
        """Fetch a chunk."""
        stop_ms = start_ms + CHUNK * grid.length_ms
        final_ms = self._memory.exchange_time_ms() - CLOSE_DEADLINE_MS
        klines = await self._client.klines(
            symbol, grid.interval, limit=CHUNK, start_ms=start_ms, end_ms=stop_ms - 1, priority=Priority.HISTORY
        )
        final = self.final(klines)
        key = (symbol, grid.interval, start_ms)
        before = self._chunks.pop(key, None)
        now_ms = self._memory.exchange_time_ms()
        again = before.again.asked_at(now_ms) if before else Again(now_ms)
        chunk = self._chunks[key] = _Chunk(min(stop_ms, grid.open_of(final_ms)), final, again)
        self._rows += len(final.rows) - (len(before.final.rows) if before else 0)
        while self._rows > KEPT_ROWS:
            self._rows -= len(self._chunks.popitem(last=False)[1].final.rows)
        return chunk


def _report(key: Any, error: BaseException) -> None:
    if not isinstance(error, ExchangeError | Refused):
        log.error('fetching candles failed key="%s"', key, exc_info=error)


def _of(final: Final, opens: Sequence[int]) -> Final:
    wanted = set(opens)
    return Final({at: text for at, text in final.rows.items() if at in wanted}, final.invalid & wanted)
