"""Memory from the stores: the newest candles of every pair at the start, and each new one while no collector tells."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from itertools import batched

from exchange.universe import SymbolInfo
from gateway.memory import FROM_STORE, Memory, PairState
from gateway.windows import COLUMNS, Digits, row, stored
from marketdata.errors import MarketDataError
from marketdata.influxql import Query, Series
from marketdata.ohlcv import where
from marketdata.reader import AsyncMarketData
from marketdata.schema import OHLCV_3M, bucket_of
from marketdata.timeframes import BASE_MS

log = logging.getLogger(__name__)

WARM_CANDLES = 500
"""Candles of each pair read at the start: what freqtrade asks for, and one."""

PAIRS_A_QUERY = 20
POLL_SECONDS = 1.0
RECENT_MS = 3_600_000
RETRY_SECONDS = 10.0

_FIELDS = ", ".join(f'"{name}"' for name in COLUMNS)


class StoreFeed:
    """`streaming` says whether any collector tells us of candles now."""

    def __init__(self, memory: Memory, market: AsyncMarketData, *, streaming: Callable[[], bool]) -> None:
        self.reads_total = 0
        self.failed_total = 0
        self.answered = False
        """Whether the stores answered when they were asked last."""
        self._memory = memory
        self._market = market
        self._streaming = streaming
        self._warm: set[str] = set()

    async def run(self) -> None:
        """Read what memory lacks until cancelled; never raises for what a store does."""
        while True:
            delay_seconds = POLL_SECONDS
            try:
                if not self._streaming():
                    await self._adopt()
                    await self._poll()
                await self._warm_up()
            except MarketDataError as error:
                self.failed_total += 1
                if self.answered:
                    log.warning("the stores do not answer: %s", error)
                self.answered = False
                delay_seconds = RETRY_SECONDS
            await asyncio.sleep(delay_seconds)

    async def _warm_up(self) -> None:
        """Read the newest candles of pairs that were not read yet, before bots ask for them."""
        cold = [state for symbol, state in self._memory.pairs.items() if symbol not in self._warm]
        for states in batched(cold, PAIRS_A_QUERY, strict=False):
            stop_ms = max(state.next_open_ms for state in states)
            await self._read(states, stop_ms - WARM_CANDLES * BASE_MS, stop_ms)
            self._warm.update(state.symbol for state in states)

    async def _adopt(self) -> None:
        """Know the pairs that the store has candles of in the last hour."""
        ours = {
            info.pair: info
            for info in self._memory.symbols.values()
            if info.ours and info.symbol not in self._memory.pairs
        }
        if not ours:
            return
        now_ms = self._memory.exchange_time_ms()
        condition, bound = where((), now_ms - RECENT_MS, now_ms)
        text = f'SELECT last("trades") FROM "{OHLCV_3M}" WHERE {condition} GROUP BY "pair"'
        for series in await self._ask(text, bound):
            info: SymbolInfo | None = ours.get(series.tags["pair"])
            if info is not None:
                self._memory.adopt(info.symbol, info.pair, int(series.values[0][0] or 0) + BASE_MS)

    async def _poll(self) -> None:
        now_ms = self._memory.exchange_time_ms()
        ended_ms = now_ms - now_ms % BASE_MS
        behind = [state for state in self._memory.pairs.values() if state.next_open_ms < ended_ms]
        oldest_ms = ended_ms - WARM_CANDLES * BASE_MS
        if behind:
            first_ms = max(min(state.next_open_ms for state in behind), oldest_ms)
            await self._read(behind, first_ms, ended_ms)

    async def _read(self, states: Sequence[PairState], first_ms: int, stop_ms: int) -> None:
        by_pair = {state.pair: state for state in states}
        # A condition that names hundreds of pairs is slower than no condition.
        pairs: Iterable[str] = by_pair if len(by_pair) <= PAIRS_A_QUERY else ()
        condition, bound = where(list(pairs), first_ms, stop_ms)
        text = f'SELECT {_FIELDS} FROM "{OHLCV_3M}" WHERE {condition} GROUP BY "pair"'
        for series in await self._ask(text, bound):
            state = by_pair.get(series.tags["pair"])
            info = None if state is None else self._memory.symbols.get(state.symbol)
            if state is None or info is None:
                continue
            digits = Digits.of(info)
            rows = []
            for time_ms, *fields in series.values:
                values = stored(int(time_ms or 0), BASE_MS, fields, digits)
                if values is not None:
                    rows.append((values.open_time_ms, row(values)))
            self._memory.learn_rows(state, rows, FROM_STORE)
            await asyncio.sleep(0)

    async def _ask(self, text: str, bound: dict[str, str]) -> list[Series]:
        series = await self._market.query(Query(bucket_of(OHLCV_3M), text, bound))
        self.reads_total += 1
        self.answered = True
        return series
