"""The newest data of every pair: the union of what several collectors report. Pure except for the event for waiters.

Rows of 3m candles are kept as JSON text. `next_open_ms` of a pair is its oldest candle that is neither final nor
absent: nothing from there on is served but the forming candle, and that only while it is the one at `next_open_ms`.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from exchange.binance.universe import parse
from exchange.clock import ExchangeClock
from exchange.universe import Instrument, Universe
from gateway.memory.rows import Row, of_candle
from gateway.memory.stream_lines import (
    AbsentEvent,
    Candle,
    Event,
    ExchangeInfo,
    FinalCandle,
    FinalEvent,
    LeftEvent,
    Mark,
    MarkEvent,
    OpenEvent,
    PairTold,
)
from marketdata.pairs import symbol_of
from marketdata.timeframes import BASE_MS, WEEK_MS

HOUR_MS = 3_600_000
KEPT = 1_500
"""Final 3m candles per pair in memory: as many as one request may ask for."""

INVALID_KEPT_MS = 2 * WEEK_MS
"""How long to remember for which candles the exchange has an impossible row: weekly windows contain them."""

FROM_STORE, TOLD, CONFIRMED = 0, 1, 2
"""Ranks of rows: a lower one does not replace a higher one. CONFIRMED comes from REST, or is a correction."""


@dataclass(slots=True)
class PairState:
    """What is known about one pair."""

    symbol: str
    pair: str
    next_open_ms: int
    rows: dict[int, Row] = field(default_factory=dict)
    """Final 3m candles by open time, including those held back."""
    absent: set[int] = field(default_factory=set)
    invalid: set[int] = field(default_factory=set)
    """Open times for which the exchange has a row that cannot be a candle: longer windows over one are not served."""
    open: Candle | None = None
    ended: Candle | None = None
    """The last frame of the candle before `open`, which is not final yet."""
    mark: Mark | None = None
    settled_ms: int | None = None
    """The full hour of the newest settlement, if there were frames in the hour before it and in the one after it."""
    event_ms: int = 0
    """Time of the pair's newest event, candle or mark price."""
    version: int = 0
    """Increases with every change to what may be served of its final candles."""
    worth: dict[int, int] = field(default_factory=dict)
    advanced: asyncio.Event = field(default_factory=asyncio.Event)

    def has(self, open_ms: int) -> bool:
        """Whether the candle is final, or known not to exist."""
        return open_ms in self.rows or open_ms in self.absent

    def lacks(self, first_ms: int, stop_ms: int) -> list[int]:
        """Return the open times in [first_ms, stop_ms) for which nothing is known."""
        return [open_ms for open_ms in range(first_ms, stop_ms, BASE_MS) if not self.has(open_ms)]

    def spoils(self, first_ms: int, stop_ms: int) -> bool:
        """Whether a row that cannot be a candle lies in [first_ms, stop_ms)."""
        return any(first_ms <= open_ms < stop_ms for open_ms in self.invalid)

    def shown(self, first_ms: int, stop_ms: int) -> list[tuple[int, Row]]:
        """Return the final candles that open in [first_ms, stop_ms) and may be served, oldest first."""
        rows = self.rows
        stop_ms = min(stop_ms, self.next_open_ms)
        return [(open_ms, rows[open_ms]) for open_ms in range(first_ms, stop_ms, BASE_MS) if open_ms in rows]

    def unfinished(self) -> list[Candle]:
        """Return the newest frame of the candle at `next_open_ms` and of the one after it, if there are any."""
        frames = (self.ended, self.open)
        return [frame for frame in frames if frame is not None and frame.open_time_ms >= self.next_open_ms]


class Memory:
    """Candles, mark prices and exchangeInfo, as reported by the collectors."""

    def __init__(self, clock: ExchangeClock) -> None:
        self.clock = clock
        self.exchange_info: dict[str, Any] | None = None
        self.exchange_info_version = 0
        self.universe = Universe({})
        self.changed: Callable[[PairState, int], None] = lambda _state, _open_ms: None
        """Called if a candle older than the newest one arrived, was corrected, or turned out to be impossible."""
        self._by_symbol: dict[str, PairState] = {}
        self._by_pair: dict[str, PairState] = {}
        self._told_by: dict[str, set[str]] = {}

    @property
    def pairs(self) -> Mapping[str, PairState]:
        """What is collected, by symbol."""
        return MappingProxyType(self._by_symbol)

    @property
    def symbols(self) -> Mapping[str, Instrument]:
        """Every symbol the exchange lists, collected or not; empty until exchangeInfo is known."""
        return self.universe.symbols

    def exchange_time_ms(self) -> int:
        """Return the exchange's time now."""
        return self.clock.now_ms()

    def pair_state(self, symbol: str) -> PairState | None:
        """Return what is known about a symbol that is collected."""
        return self._by_symbol.get(symbol)

    def mark_of(self, symbol: str) -> Mark | None:
        """Return the newest mark price frame of a symbol."""
        state = self._by_symbol.get(symbol)
        return None if state is None else state.mark

    def settled_ms_of(self, symbol: str) -> int | None:
        """Return the full hour of a symbol's newest settlement, if mark price frames have shown it."""
        state = self._by_symbol.get(symbol)
        return None if state is None else state.settled_ms

    def age_ms(self, symbol: str) -> int | None:
        """Return how long ago the exchange last reported anything about a symbol; None if it never did."""
        state = self._by_symbol.get(symbol)
        if state is None or not state.event_ms:
            return None
        return max(self.exchange_time_ms() - state.event_ms, 0)

    def learn_exchange_info(self, answer: dict[str, Any]) -> None:
        """Take an exchangeInfo response, from /stream, REST or disk. Raises ValueError if it is not one."""
        self.universe = parse(answer)
        self.exchange_info = answer
        self.exchange_info_version += 1

    async def wait_final(self, state: PairState, open_ms: int, deadline_ms: int) -> bool:
        """Return True once every candle up to `open_ms` is final or absent, False at the exchange's `deadline_ms`."""
        while state.next_open_ms <= open_ms:
            left_seconds = (deadline_ms - self.exchange_time_ms()) / 1000
            if left_seconds <= 0:
                return False
            try:
                async with asyncio.timeout(left_seconds):
                    await state.advanced.wait()
            except TimeoutError:
                continue
        return True

    def begin(self, source: str) -> None:
        """A collector starts its snapshot again."""
        self._told_by.pop(source, None)

    def end_of_snapshot(self, source: str) -> None:
        """The snapshot is complete: a pair that no collector reports is no longer collected."""
        self._told_by.setdefault(source, set())
        for pair in list(self._by_pair):
            self._drop_if_left(pair)

    def apply(self, source: str, event: Event) -> None:
        """Apply one event of a collector. Raises ValueError for an invalid exchangeInfo."""
        match event:
            case OpenEvent():
                self._open(self._by_pair.get(event.pair), event)
            case MarkEvent():
                self._mark(self._by_pair.get(event.pair), event)
            case FinalEvent():
                self._finals(self._by_pair.get(event.pair), [event])
            case AbsentEvent():
                opens = [event.open_time_ms]
                self.learn_absent(self._by_pair.get(event.pair), opens, invalid=opens if event.invalid else ())
            case PairTold():
                self._told(source, event)
            case LeftEvent():
                self._told_by.get(source, set()).discard(event.pair)
                self._drop_if_left(event.pair)
            case ExchangeInfo():
                self.learn_exchange_info(event.exchange_info)

    def adopt(self, symbol: str, pair: str, next_open_ms: int) -> PairState:
        """Start tracking a pair; one that is known already is returned unchanged."""
        state = self._by_symbol.get(symbol)
        if state is None:
            state = self._by_symbol[symbol] = self._by_pair[pair] = PairState(symbol, pair, next_open_ms)
        return state

    def learn_frame(self, state: PairState, candle: Candle) -> None:
        """Take a frame of the forming candle, from REST."""
        self._open(state, candle)

    def learn_rows(self, state: PairState, rows: Iterable[tuple[int, Row]], worth: int) -> None:
        """Take final 3m candles from the store (FROM_STORE) or from REST (CONFIRMED)."""
        for open_ms, row in rows:
            self._put(state, open_ms, row, worth)
        self._advance(state)

    def learn_absent(self, state: PairState | None, opens: Iterable[int], *, invalid: Iterable[int] = ()) -> None:
        """The exchange has no such candles; for the `invalid` ones it has a row that cannot be a candle."""
        if state is None:
            return
        impossible = [open_ms for open_ms in invalid if open_ms not in state.rows]
        oldest_ms = state.next_open_ms - KEPT * BASE_MS
        state.absent.update(open_ms for open_ms in opens if open_ms not in state.rows)
        state.absent.update(open_ms for open_ms in impossible if open_ms >= oldest_ms)
        self.learn_invalid(state, impossible)
        self._advance(state)

    def learn_invalid(self, state: PairState, opens: Iterable[int]) -> None:
        """For these the exchange has a row that cannot be a candle, however old: windows over them are not served."""
        for open_ms in opens:
            if open_ms not in state.invalid and open_ms >= state.next_open_ms - INVALID_KEPT_MS:
                state.invalid.add(open_ms)
                if open_ms < state.next_open_ms:
                    state.version += 1
                    self.changed(state, open_ms)

    def _told(self, source: str, told: PairTold) -> None:
        self._told_by.setdefault(source, set()).add(told.pair)
        state = self.adopt(symbol_of(told.pair), told.pair, told.next_open_ms)
        self._finals(state, told.final)
        self.learn_absent(state, told.absent, invalid=told.invalid)
        if told.open is not None:
            self._open(state, told.open)
        if told.mark_price is not None:
            self._mark(state, told.mark_price)

    def _drop_if_left(self, pair: str) -> None:
        if any(pair in told for told in self._told_by.values()):
            return
        state = self._by_pair.pop(pair, None)
        if state is not None:
            del self._by_symbol[state.symbol]
            state.advanced.set()

    def _open(self, state: PairState | None, candle: Candle) -> None:
        if state is None:
            return
        known = state.open
        if known is None or (known.open_time_ms, known.event_time_ms) < (candle.open_time_ms, candle.event_time_ms):
            if known is not None and known.open_time_ms < candle.open_time_ms:
                state.ended = known
            state.open = candle
            state.event_ms = max(state.event_ms, candle.event_time_ms)

    def _mark(self, state: PairState | None, mark: Mark) -> None:
        if state is not None and (state.mark is None or state.mark.event_time_ms < mark.event_time_ms):
            state.settled_ms = _settled_ms(state, mark)
            state.mark = mark
            state.event_ms = max(state.event_ms, mark.event_time_ms)

    def _finals(self, state: PairState | None, candles: Iterable[FinalCandle]) -> None:
        if state is None:
            return
        for candle in candles:
            worth = CONFIRMED if candle.corrected or candle.origin == "rest" else TOLD
            self._put(state, candle.open_time_ms, of_candle(candle), worth)
            state.event_ms = max(state.event_ms, candle.event_time_ms)
        self._advance(state)

    def _put(self, state: PairState, open_ms: int, row: Row, worth: int) -> None:
        if open_ms < state.next_open_ms - KEPT * BASE_MS:
            if worth > FROM_STORE:
                state.invalid.discard(open_ms)
                self.changed(state, open_ms)
            return
        if worth < state.worth.get(open_ms, 0):
            return
        known = state.rows.get(open_ms)
        if known is not None and worth == FROM_STORE:
            return
        state.worth[open_ms] = worth
        if known == row:
            return
        was_absent = open_ms in state.absent
        state.rows[open_ms] = row
        state.absent.discard(open_ms)
        state.invalid.discard(open_ms)
        if open_ms < state.next_open_ms:
            state.version += 1
            if worth > FROM_STORE or was_absent:
                self.changed(state, open_ms)

    def _advance(self, state: PairState) -> None:
        """Move past every candle that is final or absent, wake the waiters, and forget the oldest candles."""
        before_ms = state.next_open_ms
        while state.has(state.next_open_ms):
            state.next_open_ms += BASE_MS
        if state.next_open_ms == before_ms:
            return
        state.version += 1
        state.advanced.set()
        state.advanced = asyncio.Event()
        for open_ms in range(before_ms - KEPT * BASE_MS, state.next_open_ms - KEPT * BASE_MS, BASE_MS):
            state.rows.pop(open_ms, None)
            state.worth.pop(open_ms, None)
            state.absent.discard(open_ms)
        oldest_ms = state.next_open_ms - INVALID_KEPT_MS
        for open_ms in [open_ms for open_ms in state.invalid if open_ms < oldest_ms]:
            state.invalid.discard(open_ms)


def _settled_ms(state: PairState, mark: Mark) -> int | None:
    """The newest settlement, if the mark price frames show it: within less than an hour there is at most one."""
    before = state.mark
    if before is None or mark.event_time_ms - before.event_time_ms >= HOUR_MS:
        return None
    if before.event_time_ms < before.next_funding_time_ms <= mark.event_time_ms:
        return before.next_funding_time_ms
    return state.settled_ms
