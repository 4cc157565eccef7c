"""The ledger of one store: what is missing, why, what is to be asked, and what the exchange itself does not have. Pure.

A candle is named by its pair and open time (UTC milliseconds). The reasons of a gap:

    collector_down   it closed while no collector of this state folder was running
    not_received     neither stream nor REST brought it in time
    undelivered      it was final here, and the store does not have it: dropped at a bound, rejected, lost in a crash
    vanished         the store had it at an earlier pass
    not_at_exchange  the exchange has later candles and not this one (an exchange hole)
"""

from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

from collector.events import CANDLE_MS

type State = Literal["open", "repaired", "exchange_hole"]
type Reason = Literal["collector_down", "not_received", "undelivered", "vanished", "not_at_exchange"]

REASONS: tuple[Reason, ...] = get_args(Reason.__value__)

BUCKETS = 480
"""Rows are counted in stretches of this many windows: a day of 3m candles."""


@dataclass(frozen=True, slots=True)
class Gap:
    """One missing candle as the measurement ``gaps`` keeps it."""

    pair: str
    open_ms: int
    state: State
    reason: str


class Ledger:
    """Every open gap and every exchange hole of one store. Each ``note_*`` returns the points to write."""

    def __init__(self) -> None:
        self.open: dict[str, dict[int, str]] = {}
        self.holes: dict[str, set[int]] = {}
        self.found: Counter[str] = Counter()
        self.repaired = 0

    @property
    def gaps_open(self) -> int:
        """Number of open gaps."""
        return sum(map(len, self.open.values()))

    @property
    def exchange_holes(self) -> int:
        """Number of candles that the exchange is known not to have."""
        return sum(map(len, self.holes.values()))

    def recall(self, noted: Iterable[Gap]) -> None:
        """Know what the store's own ``gaps`` say, and nothing else: at the start, and when others may have written."""
        self.open.clear()
        self.holes.clear()
        for gap in noted:
            if gap.state == "open":
                self.open.setdefault(gap.pair, {})[gap.open_ms] = gap.reason
            elif gap.state == "exchange_hole":
                self.holes.setdefault(gap.pair, set()).add(gap.open_ms)

    def to_ask(self, pair: str, missing: Collection[int]) -> set[int]:
        """Return what of the missing the exchange is to be asked for: what it is not known to lack."""
        return set(missing) - self.holes.get(pair, set())

    def note_missing(self, pair: str, missing: Collection[int], reason_of: Callable[[int], Reason]) -> list[Gap]:
        """Note candles the store lacks; those that are known already keep their reason."""
        new = sorted(self.to_ask(pair, missing) - self.open.get(pair, {}).keys())
        gaps = [Gap(pair, open_ms, "open", reason_of(open_ms)) for open_ms in new]
        for gap in gaps:
            self.open.setdefault(pair, {})[gap.open_ms] = gap.reason
            self.found[gap.reason] += 1
        return gaps

    def note_absent(self, pair: str, absent: Collection[int]) -> list[Gap]:
        """Note candles the exchange does not have: they are exchange holes, and no gap of ours any more."""
        known = self.holes.setdefault(pair, set()) if absent else set()
        new = sorted(set(absent) - known)
        known.update(new)
        self.found["not_at_exchange"] += len(new)
        self._close(pair, absent)
        return [Gap(pair, open_ms, "exchange_hole", "not_at_exchange") for open_ms in new]

    def note_stored(self, pair: str, looked_at: Container[int], missing: Container[int]) -> list[Gap]:
        """Note what was looked at and not found missing: gaps and holes among it are repaired."""

        def stored(open_ms: int) -> bool:
            return open_ms in looked_at and open_ms not in missing

        gaps = [Gap(pair, t, "repaired", reason) for t, reason in self.open.get(pair, {}).items() if stored(t)]
        filled = {open_ms for open_ms in self.holes.get(pair, ()) if stored(open_ms)}
        if filled:
            self.holes[pair] -= filled
        self._close(pair, [gap.open_ms for gap in gaps])
        gaps += [Gap(pair, open_ms, "repaired", "not_at_exchange") for open_ms in sorted(filled)]
        self.repaired += len(gaps)
        return gaps

    def _close(self, pair: str, opens: Iterable[int]) -> None:
        known = self.open.get(pair, {})
        for open_ms in opens:
            known.pop(open_ms, None)
        if not known:
            self.open.pop(pair, None)


def compare(
    opens: range, counts: Mapping[int, int], asked_ms: tuple[int, int], bucket_ms: int
) -> tuple[set[int], list[tuple[int, int]]]:
    """Compare what should be stored with how much is: the opens surely missing, and the ranges that must be read.

    ``counts`` are the stored rows of [start, end) = ``asked_ms``, which holds ``opens``, by the open of their bucket
    (``bucket_ms`` long, a whole number of windows, from the epoch on). A range [start, end) must be read if its bucket
    is neither full nor empty, or if rows outside of ``opens`` were counted in it.
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
    """Cut [start, end) into pieces of at most ``length_ms`` that meet on its multiples, the newest first."""
    cuts = [start_ms, *range(start_ms // length_ms * length_ms + length_ms, end_ms, length_ms), end_ms]
    return [piece for piece in pairwise(cuts) if piece[0] < piece[1]][::-1]


def older_windows(covered_ms: int, listed_ms: int, now_ms: int, length_ms: int, most: int) -> range:
    """Opens of the windows, of the last ``most`` that ended, which our own 3m candles do not cover whole.

    ``covered_ms``: from where on we have 3m candles; the windows from there on are the roll-up script's.
    """
    forming_ms = now_ms // length_ms * length_ms
    first_rolled_ms = -(-max(covered_ms, listed_ms) // length_ms) * length_ms
    oldest_ms = max(forming_ms - most * length_ms, listed_ms // length_ms * length_ms)
    return range(oldest_ms, min(first_rolled_ms, forming_ms), length_ms)


def windows_with_holes(holes: Iterable[int], now_ms: int, length_ms: int) -> set[int]:
    """Opens of the windows that ended and can never be complete, because the exchange lacks a candle of theirs."""
    forming_ms = now_ms // length_ms * length_ms
    return {open_ms for hole in holes if (open_ms := hole // length_ms * length_ms) < forming_ms}


MERGE_ROWS = 99
"""Holes this near to each other are one request: a request of 99 rows weighs 1 as one of a single row does."""


def spans(opens: Sequence[int], length_ms: int) -> list[tuple[int, int]]:
    """Join ascending open times into few ranges (first, last inclusive) worth a request each."""
    joined: list[tuple[int, int]] = []
    for open_ms in opens:
        if joined and open_ms - joined[-1][1] <= MERGE_ROWS * length_ms:
            joined[-1] = (joined[-1][0], open_ms)
        else:
            joined.append((open_ms, open_ms))
    return joined


def absent(asked: Iterable[int], answered: Collection[int]) -> set[int]:
    """Return which of the asked opens the exchange does not have: it answered with a later row and not with these."""
    newest_ms = max(answered, default=0)
    return {open_ms for open_ms in asked if open_ms < newest_ms} - set(answered)


def reason(
    open_ms: int, *, checked_until_ms: int, watched_from_ms: int, final_before_ms: int
) -> Literal["collector_down", "not_received", "undelivered", "vanished"]:
    """Say why a candle may be missing.

    ``checked_until_ms``: what opened before was there at an earlier pass. ``watched_from_ms``: the first candle this
    process watched. ``final_before_ms``: what opened before and was watched became final here.
    """
    if open_ms < checked_until_ms:
        return "vanished"
    if open_ms + CANDLE_MS <= watched_from_ms:
        return "collector_down"
    return "undelivered" if open_ms < final_before_ms else "not_received"
