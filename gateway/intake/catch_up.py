"""Fetches the candles that have just ended and that no collector has delivered: from the stores or by REST."""

from exchange.budget import Priority
from exchange.client import ExchangeClient
from exchange.errors import ExchangeError
from exchange.rows import Kline, flaw
from exchange.universe import Instrument
from gateway.memory.memory import CONFIRMED, FROM_STORE, KEPT, Memory, PairState
from gateway.memory.stream_lines import Candle
from gateway.memory.windows import BASE
from gateway.past.fetched import CHUNK, Fetched, Once
from gateway.past.stored import Stored
from marketdata.thresholds import CLOSE_DEADLINE_MS
from marketdata.timeframes import BASE_MS

QUIET_MS = 30_000
"""How long not to ask the exchange again for candles that it did not have."""

REFUSED_MS = 10_000
"""And how long if it did not respond."""


class CatchUp:
    """One pair's newest candles, fetched once for all who wait. Methods raise Refused."""

    def __init__(self, memory: Memory, stored: Stored, fetched: Fetched, client: ExchangeClient, once: Once) -> None:
        self._memory = memory
        self._stored = stored
        self._fetched = fetched
        self._client = client
        self._once = once
        self._quiet_until_ms: dict[str, int] = {}
        self._halted: set[str] = set()

    async def run(self, state: PairState, info: Instrument) -> None:
        """Ask the stores, then the exchange, unless it was asked just now."""
        if not self.is_quiet(state.symbol):
            await self._once.do(("catch up", state.symbol), self._run(state, info))

    def is_quiet(self, symbol: str) -> bool:
        """Whether the exchange was asked just now and had nothing newer, or did not respond."""
        return self._memory.exchange_time_ms() < self._quiet_until_ms.get(symbol, 0)

    def has_ended(self, symbol: str) -> bool:
        """Whether the exchange, asked for newer candles, had none: the symbol is halted."""
        return symbol in self._halted

    async def adopt(self, info: Instrument) -> PairState:
        """Start tracking a pair that no collector streams."""
        return await self._once.do(("adopt", info.symbol), self._adopt(info))

    async def frame(self, state: PairState) -> None:
        """Ask the exchange for the forming candle, once per candle for all: a final one needs no newer frame."""
        if not self.is_quiet(state.symbol) and not state.unfinished():
            await self._once.do(("frame", state.symbol), self._frame(state))

    async def _frame(self, state: PairState) -> None:
        try:
            klines = await self._client.klines(
                state.symbol, BASE.interval, limit=1, start_ms=state.next_open_ms, priority=Priority.UNIVERSE
            )
        except ExchangeError:
            self._quiet_until_ms[state.symbol] = self._memory.exchange_time_ms() + REFUSED_MS
            raise
        self._take_frames(state, klines)

    def _take_frames(self, state: PairState, klines: list[Kline]) -> None:
        now_ms = self._memory.exchange_time_ms()
        for kline in klines:
            if kline.close_time_ms >= now_ms and not flaw(kline):
                self._memory.learn_frame(state, _as_frame(kline, now_ms))

    async def _adopt(self, info: Instrument) -> PairState:
        ended_ms = BASE.open_of(self._memory.exchange_time_ms() - CLOSE_DEADLINE_MS)
        rows = await self._stored.windows(info, BASE, ended_ms - CHUNK * BASE_MS, ended_ms)
        state = self._memory.adopt(info.symbol, info.pair, max(rows, default=ended_ms - BASE_MS) + BASE_MS)
        self._memory.learn_rows(state, rows.items(), FROM_STORE)
        return state

    async def _run(self, state: PairState, info: Instrument) -> None:
        ended_ms = BASE.open_of(self._memory.exchange_time_ms())
        first_ms = max(state.next_open_ms, ended_ms - KEPT * BASE_MS)
        rows = await self._stored.windows(info, BASE, first_ms, ended_ms)
        self._memory.learn_rows(state, rows.items(), FROM_STORE)
        if state.next_open_ms >= ended_ms or self._memory.exchange_time_ms() < ended_ms + CLOSE_DEADLINE_MS:
            return
        first_ms = max(state.next_open_ms, ended_ms - CHUNK * BASE_MS)
        limit = (ended_ms - first_ms) // BASE_MS + 1
        try:
            klines = await self._client.klines(
                state.symbol, BASE.interval, limit=limit, start_ms=first_ms, priority=Priority.CONFIRM
            )
        except ExchangeError:
            self._halted.discard(state.symbol)
            self._quiet_until_ms[state.symbol] = self._memory.exchange_time_ms() + REFUSED_MS
            raise
        self._learn(state, klines, first_ms, ended_ms)

    def _learn(self, state: PairState, klines: list[Kline], first_ms: int, ended_ms: int) -> None:
        now_ms = self._memory.exchange_time_ms()
        rows, invalid = self._fetched.final(klines)
        self._memory.learn_rows(state, rows.items(), CONFIRMED)
        newest_ms = max({*rows, *invalid}, default=first_ms)
        absent = [at for at in range(first_ms, newest_ms, BASE_MS) if at not in rows and at not in invalid]
        self._memory.learn_absent(state, absent, invalid=invalid)
        self._take_frames(state, klines)
        if state.next_open_ms < ended_ms:
            self._quiet_until_ms[state.symbol] = now_ms + QUIET_MS
            self._halted.add(state.symbol)
        else:
            self._halted.discard(state.symbol)


def _as_frame(kline: Kline, now_ms: int) -> Candle:
    return Candle(
        kline.open_time_ms,
        now_ms,
        kline.open,
        kline.high,
        kline.low,
        kline.close,
        kline.volume,
        kline.quote_volume,
        kline.taker_buy_volume,
        kline.taker_buy_quote_volume,
        kline.trades,
    )
