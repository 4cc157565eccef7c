"""Which candles are final, overdue or contradicted: the newest candles of every pair, in memory. Pure.

A candle is final when the exchange marks it so (``x: true``) or REST confirmed it after the close deadline.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from exchange.events import CANDLE_MS, Candle
from exchange.rows import Kline
from marketdata.candle_values import CandleValues
from marketdata.thresholds import CLOSE_DEADLINE_MS

REMEMBERED = 20
"""Final candles kept per pair (one hour): enough to recognize repeated and late closing frames."""


class Verdict(Enum):
    """What happens to an offered candle; the last three are the ``filtered`` reasons of the frame law."""

    USED = "used"
    OPEN = "open"
    DUPLICATE = "duplicate"
    SUPERSEDED = "superseded"


@dataclass(slots=True)
class _PairState:
    next_open_ms: int  # the oldest candle that is not final yet
    final: dict[int, CandleValues] = field(default_factory=dict)
    recheck: set[int] = field(default_factory=set)


class Finality:
    """Judges every candle of every pair and knows which closes are overdue.

    ``watch`` starts a pair at the candle that is forming; the fill handles everything before it.
    """

    def __init__(self) -> None:
        self._pairs: dict[str, _PairState] = {}
        self.conflicts = 0

    @property
    def pairs(self) -> Iterable[str]:
        """The watched pairs."""
        return self._pairs.keys()

    def watch(self, pair: str, from_open_ms: int) -> None:
        """Expect every candle of ``pair`` from the one that opens at ``from_open_ms`` on. No-op if watched."""
        self._pairs.setdefault(pair, _PairState(next_open_ms=from_open_ms))

    def unwatch(self, pair: str) -> None:
        """Stop expecting candles of ``pair``. No-op if not watched."""
        self._pairs.pop(pair, None)

    def next_open_ms(self, pair: str) -> int:
        """Return the open time of the oldest candle of ``pair`` that is overdue or forming."""
        return self._pairs[pair].next_open_ms

    def offer(self, candle: Candle) -> Verdict:
        """Judge a candle and remember it if it is used.

        Streams may repeat themselves (DUPLICATE). A closing frame with other values than the final candle is a
        conflict (SUPERSEDED), and REST decides; likewise for a frame older than every remembered candle. A REST row is
        used unless it is already known.
        """
        if not candle.final:
            return Verdict.OPEN
        state = self._pairs[candle.pair]
        known = state.final.get(candle.open_time_ms)
        if candle.origin == "rest":
            state.recheck.discard(candle.open_time_ms)
        if known == candle.values:
            return Verdict.DUPLICATE
        if candle.origin == "stream" and (known is not None or candle.open_time_ms < self._oldest_ms(state)):
            self.conflicts += known is not None
            state.recheck.add(candle.open_time_ms)
            return Verdict.SUPERSEDED
        self._remember(state, candle)
        return Verdict.USED

    def forget(self, pair: str, open_time_ms: int) -> None:
        """Expect the candle again, since it could not be handed on."""
        state = self._pairs[pair]
        state.final.pop(open_time_ms, None)
        state.next_open_ms = min(state.next_open_ms, open_time_ms)

    def absent(self, pair: str, open_time_ms: int) -> bool:
        """The exchange has no such candle, or only an impossible one: stop expecting it. False if it was not expected.

        A candle that was already final and has been contradicted stays as it is.
        """
        state = self._pairs[pair]
        state.recheck.discard(open_time_ms)
        owed = open_time_ms >= state.next_open_ms and open_time_ms not in state.final
        if state.next_open_ms == open_time_ms:
            state.next_open_ms += CANDLE_MS
            self._advance(state)
        return owed

    def overdue(self, exchange_time_ms: int) -> dict[str, list[int]]:
        """Return, by pair, the open times to request from REST: past the deadline, or contradicted."""
        owed: dict[str, list[int]] = {}
        for pair, state in self._pairs.items():
            due_ms = exchange_time_ms - CLOSE_DEADLINE_MS - CANDLE_MS
            due = [t for t in range(state.next_open_ms, due_ms + 1, CANDLE_MS) if t not in state.final]
            due.extend(state.recheck)
            if due:
                owed[pair] = sorted(due)
        return owed

    def _oldest_ms(self, state: _PairState) -> int:
        """Return the open time before which nothing is remembered: older closing frames cannot be compared."""
        return min(state.final, default=state.next_open_ms)

    def _remember(self, state: _PairState, candle: Candle) -> None:
        state.final[candle.open_time_ms] = candle.values
        self._advance(state)
        while len(state.final) > REMEMBERED:
            oldest = min(state.final)
            if oldest >= state.next_open_ms:
                break
            del state.final[oldest]

    @staticmethod
    def _advance(state: _PairState) -> None:
        while state.next_open_ms in state.final:
            state.next_open_ms += CANDLE_MS


def is_final(kline: Kline, exchange_time_ms: int) -> bool:
    """Whether a REST row is final: its close is past the close deadline (docs/design.md 5.1)."""
    return kline.close_time_ms + CLOSE_DEADLINE_MS < exchange_time_ms
