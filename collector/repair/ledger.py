"""The ledger of one store: what is missing and why, what to request, and what the exchange itself lacks. Pure.

The last two reasons (`collector/model/gap.py`) are not gaps of ours. Such candles are requested again, at growing
intervals (`exchange.again`), and keep their state after the last attempt.
"""

from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence, Set
from itertools import pairwise

from collector.model.gap import Gap, Reason, State
from exchange.again import AGAIN_MS, Again
from exchange.events import CANDLE_MS

BUCKETS = 480
"""Rows are counted in spans of this many windows: a day of base candles."""


class Ledger:
    """All open gaps, exchange holes and invalid candles of one store. Each ``note_*`` returns the points to write.

    ``again_after_ms``: when candles that the exchange does not have are requested again.
    """

    def __init__(self, again_after_ms: Sequence[int] = AGAIN_MS) -> None:
        self.open: dict[str, dict[int, str]] = {}
        self.holes: dict[str, dict[int, Again]] = {}
        self.invalid: dict[str, dict[int, Again]] = {}
        self.found: Counter[str] = Counter()
        self.repaired = 0
        self.filled: Counter[str] = Counter()
        """Candles that the store has after all, by their previous state."""
        self._again_after_ms = again_after_ms

    @property
    def gaps_open(self) -> int:
        """The number of open gaps."""
        return sum(map(len, self.open.values()))

    @property
    def exchange_holes(self) -> int:
        """The number of candles that the exchange is known not to have."""
        return sum(map(len, self.holes.values()))

    @property
    def invalid_candles(self) -> int:
        """The number of candles for which the exchange is known to have only an impossible row."""
        return sum(map(len, self.invalid.values()))

    def invalid_asked(self, pair: str) -> int:
        """Return how many invalid candles of a pair will be requested again."""
        return sum(not again.is_over(self._again_after_ms) for again in self.invalid.get(pair, {}).values())

    def recall(self, noted: Iterable[Gap]) -> None:
        """Replace everything with the store's own ``gaps``: at startup, and when others may have written.

        If a point has no ``since_ms``, the candle's close is used: an old candle is requested once more.
        """
        self.open.clear()
        self.holes.clear()
        self.invalid.clear()
        for gap in noted:
            if gap.state == "open":
                self.open.setdefault(gap.pair, {})[gap.open_ms] = gap.reason
            elif gap.state != "repaired":
                again = gap.again or Again(gap.open_ms + CANDLE_MS)
                self._not_at_exchange(gap.state).setdefault(gap.pair, {})[gap.open_ms] = again

    def to_ask(self, pair: str, missing: Collection[int]) -> set[int]:
        """Return which missing candles to request: all but those the exchange is known not to have."""
        return set(missing) - self.holes.get(pair, {}).keys() - self.invalid.get(pair, {}).keys()

    def due_again(self, now_ms: int) -> dict[str, set[int]]:
        """Return the candles the exchange did not have that are due again at ``now_ms`` (exchange time), by pair."""
        due: dict[str, set[int]] = {}
        for known in (self.holes, self.invalid):
            for pair, absences in known.items():
                opens = {t for t, again in absences.items() if again.is_due(now_ms, self._again_after_ms)}
                if opens:
                    due.setdefault(pair, set()).update(opens)
        return due

    def note_missing(self, pair: str, missing: Collection[int], reason_of: Callable[[int], Reason]) -> list[Gap]:
        """Record candles that the store lacks; known ones keep their reason."""
        new = sorted(self.to_ask(pair, missing) - self.open.get(pair, {}).keys())
        gaps = [Gap(pair, open_ms, "open", reason_of(open_ms)) for open_ms in new]
        for gap in gaps:
            self.open.setdefault(pair, {})[gap.open_ms] = gap.reason
            self.found[gap.reason] += 1
        return gaps

    def note_absent(self, pair: str, absent: Iterable[int], now_ms: int) -> list[Gap]:
        """Record candles that the exchange does not have: they are exchange holes and no longer gaps."""
        return self._note_not_at_exchange("exchange_hole", "not_at_exchange", pair, absent, now_ms)

    def note_invalid(self, pair: str, invalid: Iterable[int], now_ms: int) -> list[Gap]:
        """Record candles for which the exchange has only an impossible row: quarantined and no longer gaps."""
        return self._note_not_at_exchange("invalid", "invalid_at_exchange", pair, invalid, now_ms)

    def note_never(self, pair: str, opens: Iterable[int], now_ms: int) -> list[Gap]:
        """Record candles from before the pair's first one: exchange holes that are never requested again."""
        never = Again(now_ms, len(self._again_after_ms))
        gaps = [Gap(pair, open_ms, "exchange_hole", "not_at_exchange", never) for open_ms in sorted(opens)]
        _drop(self.open, pair, [gap.open_ms for gap in gaps])
        for gap in gaps:
            self.holes.setdefault(pair, {})[gap.open_ms] = never
        return gaps

    def note_asked(self, pair: str, asked: Set[int], now_ms: int) -> list[Gap]:
        """Record that these candles were requested again in vain; those not known to be lacking are ignored.

        For responses that prove nothing: they have neither the row nor a later one.
        """
        holes, invalid = self.holes.get(pair, {}).keys() & asked, self.invalid.get(pair, {}).keys() & asked
        return self.note_absent(pair, holes, now_ms) + self.note_invalid(pair, invalid, now_ms)

    def note_stored(self, pair: str, looked_at: Container[int], missing: Container[int]) -> list[Gap]:
        """Record candles that were checked and not found missing: gaps and holes among them are repaired."""

        def stored(open_ms: int) -> bool:
            return open_ms in looked_at and open_ms not in missing

        gaps = [Gap(pair, t, "repaired", reason) for t, reason in self.open.get(pair, {}).items() if stored(t)]
        _drop(self.open, pair, [gap.open_ms for gap in gaps])
        states: tuple[tuple[State, Reason], ...] = (
            ("exchange_hole", "not_at_exchange"),
            ("invalid", "invalid_at_exchange"),
        )
        for state, reason in states:
            known = self._not_at_exchange(state)
            filled = sorted(open_ms for open_ms in known.get(pair, ()) if stored(open_ms))
            _drop(known, pair, filled)
            self.filled[state] += len(filled)
            gaps += [Gap(pair, open_ms, "repaired", reason) for open_ms in filled]
        self.repaired += len(gaps)
        return gaps

    def _note_not_at_exchange(
        self, state: State, reason: Reason, pair: str, opens: Iterable[int], now_ms: int
    ) -> list[Gap]:
        gaps = []
        for open_ms in sorted(opens):
            known = self.holes.get(pair, {}).get(open_ms) or self.invalid.get(pair, {}).get(open_ms)
            again = known.asked_at(now_ms, self._again_after_ms) if known else Again(now_ms)
            gaps.append(Gap(pair, open_ms, state, reason, again))
            self.found[reason] += open_ms not in self._not_at_exchange(state).get(pair, {})
        noted = [gap.open_ms for gap in gaps]
        _drop(self.open, pair, noted)
        _drop(self.holes, pair, noted)
        _drop(self.invalid, pair, noted)
        for gap in gaps:
            assert gap.again is not None
            self._not_at_exchange(state).setdefault(pair, {})[gap.open_ms] = gap.again
        return gaps

    def _not_at_exchange(self, state: State) -> dict[str, dict[int, Again]]:
        return self.invalid if state == "invalid" else self.holes


def _drop[Known](book: dict[str, dict[int, Known]], pair: str, opens: Iterable[int]) -> None:
    known = book.get(pair, {})
    for open_ms in opens:
        known.pop(open_ms, None)
    if not known:
        book.pop(pair, None)


def compare(
    opens: range, counts: Mapping[int, int], asked_ms: tuple[int, int], bucket_ms: int
) -> tuple[set[int], list[tuple[int, int]]]:
    """Compare expected opens with stored counts; return the opens surely missing, and the ranges that must be read.

    ``counts`` are the stored rows of [start, end) = ``asked_ms``, which contains ``opens``, by the open of their bucket
    (``bucket_ms`` long, a whole number of windows, aligned to the epoch). A range [start, end) must be read if its
    bucket is neither full nor empty, or if rows outside of ``opens`` were counted in it.
    """
    missing: set[int] = set()
    unclear: list[tuple[int, int]] = []
    for bucket in range(opens.start // bucket_ms * bucket_ms, opens.stop, bucket_ms) if opens else ():
        first, stop = max(bucket, opens.start), min(bucket + bucket_ms, opens.stop)
        part = range(first, stop, opens.step)
        counted = counts.get(bucket, 0)
        whole = (first, stop) == (max(bucket, asked_ms[0]), min(bucket + bucket_ms, asked_ms[1]))
        if not counted:
            missing.update(part)
        elif not whole or counted != len(part):
            if unclear and unclear[-1][1] == first:
                unclear[-1] = (unclear[-1][0], stop)
            else:
                unclear.append((first, stop))
    return missing, unclear


def slices(start_ms: int, end_ms: int, length_ms: int) -> list[tuple[int, int]]:
    """Cut [start, end) into pieces of at most ``length_ms`` that meet at its multiples, newest first."""
    cuts = [start_ms, *range(start_ms // length_ms * length_ms + length_ms, end_ms, length_ms), end_ms]
    return [piece for piece in pairwise(cuts) if piece[0] < piece[1]][::-1]


def older_windows(covered_ms: int, listed_ms: int, now_ms: int, length_ms: int, most: int) -> range:
    """Return opens of those of the last ``most`` ended windows that our base candles do not cover completely.

    ``covered_ms``: where our base candles begin; the roll-up script computes the windows from there on.
    """
    forming_ms = now_ms // length_ms * length_ms
    first_rolled_ms = -(-max(covered_ms, listed_ms) // length_ms) * length_ms
    oldest_ms = max(forming_ms - most * length_ms, listed_ms // length_ms * length_ms)
    return range(oldest_ms, min(first_rolled_ms, forming_ms), length_ms)


def windows_with_holes(holes: Iterable[int], now_ms: int, length_ms: int) -> set[int]:
    """Return opens of the ended windows that contain one of these candles: without it they are incomplete."""
    forming_ms = now_ms // length_ms * length_ms
    return {open_ms for hole in holes if (open_ms := hole // length_ms * length_ms) < forming_ms}


MERGE_ROWS = 99
"""Holes this close together share a request: 99 rows have weight 1, like a single one."""


def spans(opens: Sequence[int], length_ms: int) -> list[tuple[int, int]]:
    """Join ascending open times into a few ranges (first and last, inclusive), one request each."""
    joined: list[tuple[int, int]] = []
    for open_ms in opens:
        if joined and open_ms - joined[-1][1] <= MERGE_ROWS * length_ms:
            joined[-1] = (joined[-1][0], open_ms)
        else:
            joined.append((open_ms, open_ms))
    return joined


def absent(asked: Iterable[int], answered: Collection[int]) -> set[int]:
    """Return the requested opens the exchange does not have: the response has a later row but not these."""
    newest_ms = max(answered, default=0)
    return {open_ms for open_ms in asked if open_ms < newest_ms} - set(answered)
