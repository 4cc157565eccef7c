"""/fapi/v1/klines: final candles, and the forming one, but only once every candle before it is final."""

import asyncio
from collections.abc import Callable, Container

from exchange.binance import limits
from exchange.universe import Instrument
from gateway.api import params
from gateway.api.answers import AGE_LIMIT_MS, Answer, Query, Refused, State, not_now
from gateway.intake.catch_up import CatchUp
from gateway.memory.memory import Memory, PairState
from gateway.memory.rows import Row, body
from gateway.memory.windows import Grid
from gateway.past.contracts import Contracts
from gateway.past.history import History
from gateway.past.series import Series
from gateway.routes.exchange_info import listed
from gateway.upstream.forward import forward
from gateway.upstream.upstream import Upstream
from marketdata.thresholds import CLOSE_DEADLINE_MS, STALE_MS
from marketdata.timeframes import BASE_MS, TIMEFRAME_MS, InvalidTimeframe, timeframe_ms

HOLD_MS = 5_000
"""How long a request is held at a close (docs/design.md 5.1)."""

CONFIRMED_BY_MS = 7_000
"""A collector asks REST to confirm a candle 4 s after its close. We leave it this much time before we ask ourselves."""

FRAME_SECONDS = 3.0
"""How long a request waits for the exchange's forming candle while no collector is streaming."""

_FORWARDED_MS = {"1m": 60_000, "5m": 300_000}

_NAMES = ("interval", "startTime", "endTime", "limit")
_DEFAULT_LIMIT = 500


class Klines:
    """The route for candles. `streaming` returns whether any collector is streaming candles now."""

    def __init__(
        self,
        memory: Memory,
        history: History,
        contracts: Contracts,
        catch_up: CatchUp,
        upstream: Upstream,
        *,
        streaming: Callable[[], bool],
        refuse_intervals: Container[str] = (),
        held: Callable[[float, bool], None] = lambda _seconds, _final: None,
    ) -> None:
        self._memory = memory
        self._history = history
        self._contracts = contracts
        self._catch_up = catch_up
        self._upstream = upstream
        self._streaming = streaming
        self._refuse_intervals = refuse_intervals
        self._held = held

    async def answer(self, query: Query) -> Answer:
        """Return a symbol's candles from startTime to endTime (open times, inclusive) or its newest, oldest first."""
        universe = listed(self._memory)
        symbol = params.symbol(query, universe)
        info = universe.symbols.get(symbol)
        interval = params.interval(query, self._refuse_intervals)
        limit = params.limit(query, default=_DEFAULT_LIMIT, most=limits.MAX_KLINES)
        start_ms, end_ms = params.span(query)
        now_ms = self._memory.exchange_time_ms()
        grid = _grid(interval)
        state = None if grid is None or info is None else await self._known(info)
        if grid is None or info is None or state is None:
            return await self._forwarded(query, symbol, interval, end_ms)
        info = self._contracts.told(info)
        if start_ms is None and (end_ms is None or end_ms >= now_ms):
            return await self._newest(state, info, grid, limit)
        return await self._range(state, info, grid, start_ms, end_ms, limit)

    async def _newest(self, state: PairState, info: Instrument, grid: Grid, limit: int) -> Answer:
        await self._hold(state, info, grid)
        series = await self._history.series(state, info, grid, limit)
        now_ms = self._memory.exchange_time_ms()
        forming = series.forming(state, now_ms)
        if forming is None and not self._streaming() and series.until_ms == grid.open_of(now_ms):
            await self._frame(state)
            forming = series.forming(state, self._memory.exchange_time_ms())
        text, gzipped = series.body(limit, forming)
        if len(text) <= len("[]"):
            raise not_now("no candle of this symbol is known yet", 5)
        return Answer(text, 200, self._age_ms(state, now_ms), self._state(state, series, now_ms), gzipped)

    async def _range(
        self, state: PairState, info: Instrument, grid: Grid, start_ms: int | None, end_ms: int | None, limit: int
    ) -> Answer:
        now_ms = self._memory.exchange_time_ms()
        last_ms = grid.open_of(now_ms if end_ms is None else min(end_ms, now_ms))
        if start_ms is not None or last_ms < info.begins_ms:
            info = await self._contracts.find(info, last_ms)
        first_ms = grid.open_of(info.begins_ms)
        if start_ms is not None:
            first_ms = max(grid.first_from(start_ms), first_ms)
        if first_ms > last_ms:
            return Answer(b"[]", state="history")
        wanted_ms = last_ms if start_ms is None else min(last_ms, first_ms + (limit - 1) * grid.length_ms)
        if wanted_ms >= grid.open_of(state.next_open_ms):
            await self._hold(state, info, grid)
        final_ms = grid.open_of(state.next_open_ms)
        stop_ms = min(last_ms + grid.length_ms, final_ms)
        if start_ms is not None:
            rows = await self._forward_from(state, info, grid, first_ms, stop_ms, limit)
        else:
            rows = await self._backward_from(state, info, grid, stop_ms, limit)
        now_ms = self._memory.exchange_time_ms()
        reaches_now = last_ms == grid.open_of(now_ms) and (start_ms is None or len(rows) < limit)
        if reaches_now and final_ms == last_ms:
            forming = (await self._history.series(state, info, grid, 1)).forming(state, now_ms)
            rows = rows if forming is None else [*rows, forming][-limit:]
        if not rows and wanted_ms >= final_ms:
            raise not_now("the requested candles are not final yet", 2)
        if not reaches_now:
            return Answer(body(rows), state="history")
        return Answer(body(rows), 200, self._age_ms(state, now_ms), "live" if final_ms == last_ms else "behind")

    async def _forward_from(
        self, state: PairState, info: Instrument, grid: Grid, first_ms: int, stop_ms: int, limit: int
    ) -> list[Row]:
        """The first `limit` windows from `first_ms` on; those the exchange does not have do not count."""
        rows: list[Row] = []
        while first_ms < stop_ms and len(rows) < limit:
            until_ms = min(first_ms + (limit - len(rows)) * grid.length_ms, stop_ms)
            rows += [text for _, text in await self._history.rows(state, info, grid, first_ms, until_ms)]
            first_ms = until_ms
        return rows

    async def _backward_from(
        self, state: PairState, info: Instrument, grid: Grid, stop_ms: int, limit: int
    ) -> list[Row]:
        rows: list[Row] = []
        listed_ms = grid.open_of(info.begins_ms)
        while stop_ms > listed_ms and len(rows) < limit:
            first_ms = max(stop_ms - (limit - len(rows)) * grid.length_ms, listed_ms)
            rows = [text for _, text in await self._history.rows(state, info, grid, first_ms, stop_ms)] + rows
            stop_ms = first_ms
        return rows

    async def _hold(self, state: PairState, info: Instrument, grid: Grid) -> None:
        """Wait until the window that ended last is final; raises Refused if the known data is too old to be served."""
        began_ms = self._memory.exchange_time_ms()
        ended_ms = grid.open_of(began_ms)
        if state.next_open_ms >= ended_ms:
            return
        overdue = began_ms - ended_ms > STALE_MS
        if not overdue:
            patience_ms = CONFIRMED_BY_MS if self._streaming() else CLOSE_DEADLINE_MS
            until_ms = min(began_ms + HOLD_MS, max(ended_ms + patience_ms, began_ms))
            final = await self._memory.wait_final(state, ended_ms - BASE_MS, until_ms)
            now_ms = self._memory.exchange_time_ms()
            if not final and now_ms < began_ms + HOLD_MS:
                final = await self._caught_up(state, info, ended_ms, began_ms + HOLD_MS)
            self._held((self._memory.exchange_time_ms() - began_ms) / 1000, final)
        elif not self._catch_up.is_quiet(state.symbol):
            final = await self._caught_up(state, info, ended_ms, began_ms + HOLD_MS)
        else:
            final = False
        too_old = began_ms - state.next_open_ms - BASE_MS > AGE_LIMIT_MS
        if not final and too_old and not self._catch_up.has_ended(state.symbol):
            raise not_now("newer candles of this symbol are not available", 5)

    async def _caught_up(self, state: PairState, info: Instrument, ended_ms: int, until_ms: int) -> bool:
        """Ask the stores and the exchange for what is missing; False if it does not arrive in time."""
        left_seconds = (until_ms - self._memory.exchange_time_ms()) / 1000
        try:
            async with asyncio.timeout(max(left_seconds, 0)):
                await self._catch_up.run(state, info)
        except (TimeoutError, Refused):
            return state.next_open_ms >= ended_ms
        return state.next_open_ms >= ended_ms

    async def _frame(self, state: PairState) -> None:
        """Get the forming candle: without a collector nobody reports it, and bots take the last row for it."""
        try:
            async with asyncio.timeout(FRAME_SECONDS):
                await self._catch_up.frame(state)
        except (TimeoutError, Refused):
            return

    async def _known(self, info: Instrument) -> PairState | None:
        """What is known about a collected pair. Without a collector to tell, every pair that could be collected is."""
        state = self._memory.pair_state(info.symbol)
        if state is None and not self._streaming() and info.ours and info.state == "trading":
            return await self._catch_up.adopt(info)
        return state

    async def _forwarded(self, query: Query, symbol: str, interval: str, end_ms: int | None) -> Answer:
        """The response for what is not stored: fetched once for all bots, and again once the next candle is final."""
        now_ms = self._memory.exchange_time_ms()
        length_ms = _FORWARDED_MS.get(interval, BASE_MS)
        final_ms = now_ms - now_ms % length_ms + CLOSE_DEADLINE_MS
        while (end_ms is None or end_ms >= now_ms) and now_ms < final_ms:
            await asyncio.sleep((final_ms - now_ms) / 1000)
            now_ms = self._memory.exchange_time_ms()
        fresh_ms = max(now_ms - final_ms, 0)
        return await forward(
            self._upstream,
            limits.KLINES,
            query,
            _NAMES,
            symbol=symbol,
            now_ms=now_ms,
            end_ms=end_ms,
            fresh_ms=fresh_ms,
        )

    @staticmethod
    def _age_ms(state: PairState, now_ms: int) -> int:
        """How old the newest part of the response is: the forming candle's frame, or the last final candle's close."""
        newest_ms = max(state.next_open_ms, max((frame.event_time_ms for frame in state.unfinished()), default=0))
        return max(now_ms - newest_ms, 0)

    @staticmethod
    def _state(state: PairState, series: Series, now_ms: int) -> State:
        return "live" if series.until_ms == series.grid.open_of(now_ms) else "behind"


def _grid(interval: str) -> Grid | None:
    """Return the windows of an interval that can be built from 3m candles, None for 1m, 5m, 3d and 1M."""
    try:
        length_ms = timeframe_ms(interval)
    except InvalidTimeframe:
        return None
    names = [name for name, known_ms in TIMEFRAME_MS.items() if known_ms == length_ms]  # 60m is 1h
    return Grid(names[0] if names else interval, length_ms)
