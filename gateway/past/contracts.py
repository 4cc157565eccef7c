"""Where a symbol's candles begin: as recorded in the stores by a collector, else from the exchange, once for all.

The exchange's onboardDate is not a bound (exchange/first_candles.py). It is used if nothing better is available now.
"""

import asyncio
import logging

from exchange.first_candles import FirstCandles
from exchange.universe import Instrument
from gateway.api.answers import Refused, not_now
from gateway.memory.memory import Memory
from gateway.past.fetched import Once
from gateway.past.stored import Stored
from marketdata.errors import MarketDataError
from marketdata.ohlcv import where
from marketdata.schema import CONTRACTS, EARLIEST_MS
from marketdata.timeframes import DAY_MS

log = logging.getLogger(__name__)

STORES_AGAIN_MS = 60_000
"""How long not to ask the stores again for what they did not have."""


class Contracts:
    """The present contract of every symbol."""

    def __init__(self, memory: Memory, stored: Stored, firsts: FirstCandles, once: Once) -> None:
        self._memory = memory
        self._stored = stored
        self._firsts = firsts
        self._once = once
        self._stores_from_ms = 0

    def told(self, info: Instrument) -> Instrument:
        """Return the symbol with `begins_ms` if it is known now; sends no request."""
        return self._firsts.told(info)

    def begins_ms(self, info: Instrument) -> int | None:
        """Return the open time of the present contract's first candle, None while it is unknown."""
        return self._firsts.told(info).begins_ms if self._firsts.known(info) else None

    async def find(self, info: Instrument, needed_ms: int | None = None) -> Instrument:
        """Return the symbol with `begins_ms`, or with its onboardDate if nobody can tell now.

        Raises Refused if nobody can tell and all that is needed, up to `needed_ms`, lies before the onboardDate: then
        it is unknown whether it exists.
        """
        if self._firsts.known(info):
            return self._firsts.told(info)
        try:
            return await self._once.do(("first candle", info.symbol), self._find(info))
        except Refused:
            if needed_ms is not None and needed_ms < info.onboard_ms:
                raise
            return info

    async def _find(self, info: Instrument) -> Instrument:
        await self._ask_stores()
        found = await self._firsts.find(info)
        if self._firsts.known(found):
            await asyncio.to_thread(self._firsts.save)
        elif self._memory.exchange_time_ms() > info.onboard_ms + DAY_MS:
            raise not_now("the exchange does not report when this symbol began", 60)
        return found

    async def _ask_stores(self) -> None:
        """Read what the collector has recorded for all pairs: one query, one row per pair."""
        now_ms = self._memory.exchange_time_ms()
        if now_ms < self._stores_from_ms:
            return
        self._stores_from_ms = now_ms + STORES_AGAIN_MS
        condition, bound = where((), EARLIEST_MS, now_ms)
        text = f'SELECT last("onboard_date") FROM "{CONTRACTS}" WHERE {condition} GROUP BY "pair"'
        try:
            noted = await self._stored.ask(CONTRACTS, text, bound)
        except MarketDataError:
            return
        by_pair = {info.pair: info for info in self._memory.symbols.values()}
        for series in noted:
            info = by_pair.get(series.tags["pair"])
            first_ms, onboard_ms = series.values[0]
            if info is not None and info.onboard_ms == onboard_ms and isinstance(first_ms, int | float):
                self._firsts.remember(info, int(first_ms))
