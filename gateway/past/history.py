"""Final windows of any age: from memory, from the stores, and the rest from the exchange, once for all bots."""

import asyncio
from collections.abc import Sequence

from exchange.universe import Instrument
from gateway.memory.memory import FROM_STORE, KEPT, Memory, PairState
from gateway.memory.rows import Row, Values, decode
from gateway.memory.windows import BASE, Digits, Grid, merge, row
from gateway.past.contracts import Contracts
from gateway.past.fetched import Fetched, Once
from gateway.past.series import Series
from gateway.past.stored import Stored
from marketdata.timeframes import BASE_MS, DAY_MS, TIMEFRAME_MS, WEEK_MS

ROLLED_SECONDS = 60.0
"""How long a collector takes to re-roll the windows in the stores after a late candle."""

_EXCHANGE_LENGTHS = frozenset(TIMEFRAME_MS.values())


class History:
    """The past of every pair. Both public methods may raise Refused."""

    def __init__(
        self,
        memory: Memory,
        stored: Stored,
        fetched: Fetched,
        once: Once,
        contracts: Contracts,
        *,
        rolled_seconds: float = ROLLED_SECONDS,
    ) -> None:
        self._memory = memory
        self._stored = stored
        self._fetched = fetched
        self._once = once
        self._contracts = contracts
        self._series: dict[tuple[str, str], Series] = {}
        self._rolled_seconds = rolled_seconds
        self._rewinding: dict[str, int] = {}
        memory.changed = self._changed

    async def series(self, state: PairState, info: Instrument, grid: Grid, count: int) -> Series:
        """Return the newest windows of a pair, at least `count` if that many exist."""
        series = self._series.get((state.symbol, grid.interval))
        if series is None or not _reaches(series, info, count) or not series.extend(state):
            load = self._load(state, info, grid, count)
            series = await self._once.do(("series", state.symbol, grid.interval, count), load)
            series.extend(state)
        return series

    async def rows(
        self, state: PairState, info: Instrument, grid: Grid, first_ms: int, stop_ms: int
    ) -> list[tuple[int, Row]]:
        """Return every final window that opens in [first_ms, stop_ms), oldest first; all must have ended."""
        if first_ms < grid.open_of(info.begins_ms):
            info = await self._contracts.find(info)
            first_ms = max(first_ms, grid.open_of(info.begins_ms))
        is_base = grid.length_ms == BASE_MS
        have = dict(state.shown(first_ms, stop_ms)) if is_base else {}
        missing = [
            at for at in grid.opens(first_ms, stop_ms) if at not in have and not (is_base and at in state.absent)
        ]
        if missing:
            have |= await self._stored.windows(info, grid, missing[0], missing[-1] + grid.length_ms)
            missing = [at for at in missing if at not in have]
        if missing and not is_base:
            missing = await self._without_spoiled(state, info, grid, missing)
            have |= _built(state, grid, missing)
            missing = [at for at in missing if at not in have]
        if missing:
            # Nobody has what lies before the first candle: the onboardDate may be months before it.
            info = await self._contracts.find(info)
            missing = [at for at in missing if at >= grid.open_of(info.begins_ms)]
        if missing:
            have |= await self._from_exchange(state, info, grid, missing)
        return sorted(have.items())

    async def _without_spoiled(self, state: PairState, info: Instrument, grid: Grid, opens: Sequence[int]) -> list[int]:
        """The windows without a row that cannot be a candle: the exchange's own would include its numbers."""
        self._memory.learn_invalid(state, await self._stored.invalid(info, opens[0], opens[-1] + grid.length_ms))
        return [at for at in opens if not state.spoils(at, at + grid.length_ms)]

    def _changed(self, state: PairState, open_ms: int) -> None:
        if open_ms >= state.next_open_ms - KEPT * BASE_MS:
            self._rewind(state.symbol, open_ms)
        # Windows that memory cannot build are read from the stores, and those have yet to be re-rolled.
        if not self._rewinding:
            asyncio.get_running_loop().call_later(self._rolled_seconds, self._rewind_all)
        self._rewinding[state.symbol] = min(open_ms, self._rewinding.get(state.symbol, open_ms))

    def _rewind_all(self) -> None:
        rewinding, self._rewinding = self._rewinding, {}
        for symbol, open_ms in rewinding.items():
            self._rewind(symbol, open_ms)

    def _rewind(self, symbol: str, open_ms: int) -> None:
        for (of, _), series in self._series.items():
            if of == symbol:
                series.rewind(open_ms)

    async def _load(self, state: PairState, info: Instrument, grid: Grid, count: int) -> Series:
        key = (state.symbol, grid.interval)
        until_ms = grid.open_of(state.next_open_ms)
        known = self._series.get(key)
        if known is not None and _reaches(known, info, count):
            from_ms = known.until_ms
            rows = await self.rows(state, info, grid, from_ms, until_ms)
            if known.until_ms == from_ms:  # nothing was added or taken back in the meantime
                known.append(rows, until_ms)
            return known
        days = None
        if grid.length_ms == WEEK_MS:
            days = await self.series(state, info, Grid("1d", DAY_MS), 7)
        first_ms = until_ms - count * grid.length_ms
        rows = await self.rows(state, info, grid, first_ms, until_ms)
        series = Series(grid, Digits.of(info), first_ms, until_ms, days=days)
        series.append(rows, until_ms)
        self._series[key] = series
        return series

    async def _from_exchange(
        self, state: PairState, info: Instrument, grid: Grid, opens: Sequence[int]
    ) -> dict[int, Row]:
        if grid.length_ms not in _EXCHANGE_LENGTHS:
            return await self._merged(state, info, grid, opens)
        found, invalid = await self._fetched.windows(info.symbol, grid, opens)
        if grid.length_ms == BASE_MS:
            # Kept with the others, as far back as memory reaches.
            self._memory.learn_rows(state, found.items(), FROM_STORE)
            oldest_ms = state.next_open_ms - KEPT * BASE_MS
            absent = [at for at in opens if at not in found and at not in invalid and at >= oldest_ms]
            self._memory.learn_absent(state, absent, invalid=invalid)
        return found

    async def _merged(self, state: PairState, info: Instrument, grid: Grid, opens: Sequence[int]) -> dict[int, Row]:
        """Windows of a length the exchange does not offer, built from its 3m candles."""
        windows: dict[int, list[Values]] = {at: [] for at in opens}
        for at, text in await self.rows(state, info, BASE, opens[0], opens[-1] + grid.length_ms):
            if grid.open_of(at) in windows:
                windows[grid.open_of(at)].append(decode(text))
        return {at: row(merge(parts, at, grid.length_ms)) for at, parts in windows.items() if parts}


def _reaches(series: Series, info: Instrument, count: int) -> bool:
    wanted_ms = series.until_ms - count * series.grid.length_ms
    return series.first_ms <= max(wanted_ms, series.grid.open_of(info.begins_ms))


def _built(state: PairState, grid: Grid, opens: Sequence[int]) -> dict[int, Row]:
    """Windows that the 3m candles in memory can build: those not yet rolled up by the store's tasks."""
    built = {}
    for at in opens:
        stop_ms = at + grid.length_ms
        if stop_ms <= state.next_open_ms and not state.lacks(at, stop_ms):
            candles = [decode(text) for _, text in state.shown(at, stop_ms)]
            if candles:
                built[at] = row(merge(candles, at, grid.length_ms))
    return built
