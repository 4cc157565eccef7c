"""What a reader of /stream must receive when it joins: the newest candles of every pair, and in which order. Pure.

Candle n+1 is shown only once every candle before it is final or known to be absent: "n before n+1", docs/design.md 5.2.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from exchange.events import CANDLE_MS, Candle, MarkPrice

KEPT = 20
"""How many final candles of a pair stay in memory regardless of which store has them (one hour)."""

SPAN = 480
"""No final candle stays longer than this many candles (24 h): what no store has by then remains only in the spool."""


@dataclass(slots=True)
class Final:
    """A final candle; ``corrected`` if readers were shown other values for it before.

    ``line`` is what the stores receive for it: a store has the candle once it has exactly these values.
    """

    candle: Candle
    line: str
    corrected: bool = False
    acknowledged: bool = False


@dataclass(slots=True)
class RecentPair:
    """The remembered state of one pair. Final candles from ``next_open_ms`` on are held back."""

    next_open_ms: int
    finals: dict[int, Final] = field(default_factory=dict)
    absent: set[int] = field(default_factory=set)
    invalid: set[int] = field(default_factory=set)
    """The absent candles for which the exchange has an impossible row."""
    open: Candle | None = None
    mark_price: MarkPrice | None = None

    def shown(self, since_ms: int = 0) -> list[Final]:
        """Return the final candles for a reader that joins, oldest first.

        All from ``since_ms`` on, and older ones that it cannot have: no store has them, or they were corrected.
        """
        return [
            final
            for open_ms, final in sorted(self.finals.items())
            if open_ms < self.next_open_ms and (open_ms >= since_ms or not final.acknowledged or final.corrected)
        ]


class Recent:
    """The newest candles and the last mark price of every pair.

    For each pair it keeps what no store has acknowledged and at least the newest ``kept``, up to ``span`` candles back;
    of the candles held back it keeps the newest ``span``.
    """

    def __init__(self, *, kept: int = KEPT, span: int = SPAN) -> None:
        self.pairs: dict[str, RecentPair] = {}
        self.forgotten = 0
        """Candles that left at the end of the span before any store had acknowledged them."""
        self._kept = kept
        self._span = span
        self._span_ms = span * CANDLE_MS
        self._unacknowledged: dict[str, Final] = {}  # by line
        self._unwatched: dict[str, RecentPair] = {}  # sent to no reader: their candles wait for their store

    @property
    def unacknowledged(self) -> int:
        """Final candles in memory that no store has acknowledged."""
        return len(self._unacknowledged)

    def add_unwatched(self, candle: Candle, line: str) -> None:
        """Remember a final candle of a pair that is not, or not yet, watched; ``watch`` makes it visible."""
        state = self._unwatched.setdefault(candle.pair, RecentPair(next_open_ms=0))
        before = state.finals.get(candle.open_time_ms)
        if before is not None:
            self._unacknowledged.pop(before.line, None)
        state.finals[candle.open_time_ms] = self._unacknowledged[line] = Final(candle, line)
        if len(state.finals) > 2 * self._span:
            self._trim(state)

    def watch(self, pair: str, next_open_ms: int) -> bool:
        """Remember a pair whose candles from ``next_open_ms`` on are expected. False if it is already remembered."""
        if pair in self.pairs:
            return False
        self.pairs[pair] = self._unwatched.pop(pair, RecentPair(next_open_ms))
        self.pairs[pair].next_open_ms = next_open_ms
        self._trim(self.pairs[pair])
        return True

    def unwatch(self, pair: str) -> bool:
        """Stop showing a pair. False if it is not watched."""
        state = self.pairs.pop(pair, None)
        if state is None:
            return False
        self._unwatched[pair] = RecentPair(next_open_ms=0, finals=state.finals)
        return True

    def add_final(self, candle: Candle, line: str, next_open_ms: int) -> list[Final]:
        """Remember a final candle; return what readers may see now, oldest first: it, those it held back, or none.

        ``next_open_ms`` is the pair's oldest candle that is not final yet. A candle remembered with the same values is
        not new.
        """
        state = self.pairs[candle.pair]
        open_ms = candle.open_time_ms
        may_be_shown = open_ms < state.next_open_ms
        before = state.finals.get(open_ms)
        if before is not None and before.candle.values == candle.values:
            return self.advance(candle.pair, next_open_ms)
        final = Final(candle, line, corrected=may_be_shown and before is not None)
        if open_ms >= state.next_open_ms - self._span_ms:
            if before is not None:
                self._unacknowledged.pop(before.line, None)
            state.finals[open_ms] = final
            self._unacknowledged[line] = final
            state.absent.discard(open_ms)
            state.invalid.discard(open_ms)
        return ([final] if may_be_shown else []) + self.advance(candle.pair, next_open_ms)

    def add_absent(self, pair: str, open_time_ms: int, next_open_ms: int, *, invalid: bool = False) -> bool:
        """Note that the exchange has no such candle, or, if ``invalid``, only an impossible row.

        False if that is not decided yet, or already known.
        """
        state = self.pairs[pair]
        if open_time_ms >= next_open_ms or open_time_ms in state.finals or open_time_ms in state.absent:
            return False
        state.absent.add(open_time_ms)
        if invalid:
            state.invalid.add(open_time_ms)
        return True

    def advance(self, pair: str, next_open_ms: int) -> list[Final]:
        """Every candle before ``next_open_ms`` is final or absent: return those that were held back, oldest first.

        Candles stay visible once shown, even if ``next_open_ms`` goes back.
        """
        state = self.pairs[pair]
        first_ms, state.next_open_ms = state.next_open_ms, max(state.next_open_ms, next_open_ms)
        if state.open is not None and state.open.open_time_ms < state.next_open_ms:
            state.open = None
        opens = sorted(open_ms for open_ms in state.finals if first_ms <= open_ms < state.next_open_ms)
        shown = [state.finals[open_ms] for open_ms in opens]
        self._trim(state)
        return shown

    def add_open(self, candle: Candle) -> bool:
        """Remember the forming candle. False if it is no longer forming, or a newer frame is known."""
        state = self.pairs[candle.pair]
        if candle.open_time_ms < state.next_open_ms or candle.open_time_ms in state.finals:
            return False
        known = state.open
        if known is not None and (candle.open_time_ms, candle.event_time_ms) <= (
            known.open_time_ms,
            known.event_time_ms,
        ):
            return False
        state.open = candle
        return True

    def add_mark_price(self, event: MarkPrice) -> bool:
        """Remember a pair's mark price and funding. False if a newer frame is known."""
        state = self.pairs[event.pair]
        if state.mark_price is not None and state.mark_price.event_time_ms >= event.event_time_ms:
            return False
        state.mark_price = event
        return True

    def acknowledge(self, lines: Iterable[str]) -> None:
        """A store has these lines."""
        touched = set()
        for line in lines:
            final = self._unacknowledged.pop(line, None)
            if final is not None:
                final.acknowledged = True
                touched.add(final.candle.pair)
        for pair in touched & self.pairs.keys():
            self._trim(self.pairs[pair])

    def _trim(self, state: RecentPair) -> None:
        opens = sorted(state.finals)
        shown = [open_ms for open_ms in opens if open_ms < state.next_open_ms]
        held_back = opens[len(shown) :]
        oldest_kept_ms = state.next_open_ms - self._span_ms
        leaving = {open_ms for open_ms in shown[: -self._kept] if state.finals[open_ms].acknowledged}
        leaving.update(open_ms for open_ms in shown if open_ms < oldest_kept_ms)
        leaving.update(held_back[: -self._span])
        for open_ms in leaving:
            final = state.finals.pop(open_ms)
            self.forgotten += self._unacknowledged.pop(final.line, None) is not None
        state.absent = {open_ms for open_ms in state.absent if open_ms >= oldest_kept_ms}
        state.invalid &= state.absent
