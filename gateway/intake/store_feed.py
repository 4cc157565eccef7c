"""Fills memory from the stores: every pair's newest candles at the start, each new one while no collector streams."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from itertools import batched

from gateway.memory.health import behind
from gateway.memory.memory import FROM_STORE, Memory, PairState
from gateway.memory.windows import BASE, row
from gateway.past.stored import Stored
from marketdata.errors import MarketDataError
from marketdata.ohlcv import where
from marketdata.schema import OHLCV_BASE
from marketdata.timeframes import BASE_MS

log = logging.getLogger(__name__)

WARM_CANDLES = 500
"""Candles of each pair read at the start: as many as freqtrade requests, plus one."""

PAIRS_A_QUERY = 20
POLL_SECONDS = 1.0
RETRY_SECONDS = 10.0
MEND_SECONDS = 20.0
RECENT_MS = 3_600_000


class StoreFeed:
    """`streaming` returns whether any collector is streaming candles now."""

    def __init__(
        self,
        memory: Memory,
        stored: Stored,
        *,
        streaming: Callable[[], bool],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._memory = memory
        self._stored = stored
        self._streaming = streaming
        self._warm: set[str] = set()
        self._was_streaming: bool | None = None
        self._monotonic = monotonic
        self._mended = -MEND_SECONDS

    async def run(self) -> None:
        """Read what memory lacks until cancelled; never raises because of a store."""
        while True:
            delay_seconds = POLL_SECONDS
            try:
                self._tell_source(streaming=self._streaming())
                if not self._streaming():
                    await self._adopt()
                    await self._poll()
                elif behind(self._memory) and self._monotonic() - self._mended > MEND_SECONDS:
                    # Collectors were down for longer than they remember: the store has what lies in between.
                    self._mended = self._monotonic()
                    await self._poll()
                await self._warm_up()
            except MarketDataError:
                delay_seconds = RETRY_SECONDS
            await asyncio.sleep(delay_seconds)

    def _tell_source(self, *, streaming: bool) -> None:
        if streaming != self._was_streaming:
            log.info("candle source changed source=collectors") if streaming else log.warning(
                'candle source changed source=stores reason="no collector is streaming"'
            )
        self._was_streaming = streaming

    async def _warm_up(self) -> None:
        """Read the newest candles of pairs not read yet, before bots ask for them."""
        cold = [state for symbol, state in self._memory.pairs.items() if symbol not in self._warm]
        for states in batched(cold, PAIRS_A_QUERY, strict=False):
            stop_ms = max(state.next_open_ms for state in states)
            await self._read(states, stop_ms - WARM_CANDLES * BASE_MS, stop_ms)
            self._warm.update(state.symbol for state in states)

    async def _adopt(self) -> None:
        """Track the pairs for which the store has candles of the last hour."""
        known = self._memory.pairs
        ours = {info.pair: info for info in self._memory.symbols.values() if info.ours and info.symbol not in known}
        if not ours:
            return
        now_ms = self._memory.exchange_time_ms()
        condition, bound = where((), now_ms - RECENT_MS, now_ms)
        text = f'SELECT last("trades") FROM "{OHLCV_BASE}" WHERE {condition} GROUP BY "pair"'
        for series in await self._stored.ask(OHLCV_BASE, text, bound):
            info = ours.get(series.tags["pair"])
            if info is not None:
                self._memory.adopt(info.symbol, info.pair, int(series.values[0][0] or 0) + BASE_MS)

    async def _poll(self) -> None:
        ended_ms = BASE.open_of(self._memory.exchange_time_ms())
        late = [state for state in self._memory.pairs.values() if state.next_open_ms < ended_ms]
        if late:
            oldest_ms = ended_ms - WARM_CANDLES * BASE_MS
            await self._read(late, max(min(state.next_open_ms for state in late), oldest_ms), ended_ms)

    async def _read(self, states: Sequence[PairState], first_ms: int, stop_ms: int) -> None:
        symbols = self._memory.symbols
        by_pair = {state.pair: state for state in states if state.symbol in symbols}
        infos = {pair: symbols[state.symbol] for pair, state in by_pair.items()}
        every_pair = len(states) > PAIRS_A_QUERY
        found = await self._stored.candles(infos, BASE.interval, first_ms, stop_ms, every_pair=every_pair)
        for pair, candles in found.items():
            rows = [(values.open_time_ms, row(values)) for values in candles]
            self._memory.learn_rows(by_pair[pair], rows, FROM_STORE)
            await asyncio.sleep(0)  # gives requests a turn
