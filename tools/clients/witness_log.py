"""Compares what the witness strategy recorded with the exchange's truth. Pure."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tools.demo.compare import Row

COLUMNS = ("open", "high", "low", "close", "volume")
EXAMPLES_KEPT = 5

type Key = tuple[str, str]
"""Pair and timeframe."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The last two candles of a pair as a loop of the bot received them: open time, then COLUMNS."""

    seen_ms: int
    pair: str
    timeframe: str
    rows: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Witnessed:
    """One bot's file: when its loops started to decide, and what changed from one to the next."""

    loops: list[int]
    seen: list[Seen]


@dataclass
class Judgement:
    """What a bot received. delays: seconds from a candle's close to the first loop that had it, for each pair."""

    candles: int = 0
    wrong: int = 0
    missed: int = 0
    delays: list[float] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)

    def add(self, other: "Judgement") -> None:
        """Add the judgement of another bot."""
        self.candles += other.candles
        self.wrong += other.wrong
        self.missed += other.missed
        self.delays += other.delays
        self.examples = (self.examples + other.examples)[:EXAMPLES_KEPT]

    def note(self, example: str) -> None:
        """Keep an example of a problem."""
        self.examples = [*self.examples, example][:EXAMPLES_KEPT]

    def within(self, seconds: float) -> float:
        """Return the share of the closes that arrived within this time; 0 if there are none."""
        return sum(delay <= seconds for delay in self.delays) / len(self.delays) if self.delays else 0.0

    def quantile(self, share: float) -> float:
        """Return the delay that this share of the closes did not exceed; infinite if there are none."""
        return sorted(self.delays)[math.ceil(share * len(self.delays)) - 1] if self.delays else math.inf


def parse(lines: Iterable[str]) -> Witnessed:
    """Parse a bot's file. Raises ValueError for a line that the witness did not write."""
    witnessed = Witnessed([], [])
    for line in lines:
        entry = json.loads(line)
        if "loop_ms" in entry:
            witnessed.loops.append(entry["loop_ms"])
        else:
            rows = tuple((int(row[0]), *row[1:]) for row in entry["rows"])
            witnessed.seen.append(Seen(entry["seen_ms"], entry["pair"], entry["timeframe"], rows))
    return witnessed


def keys(witnessed: Witnessed) -> dict[Key, tuple[int, int]]:
    """Return the oldest and newest open time of every pair and timeframe: the truth that `judge` needs."""
    spans: dict[Key, tuple[int, int]] = {}
    for seen in witnessed.seen:
        low, high = spans.get((seen.pair, seen.timeframe), (int(seen.rows[0][0]), int(seen.rows[-1][0])))
        spans[seen.pair, seen.timeframe] = min(low, int(seen.rows[0][0])), max(high, int(seen.rows[-1][0]))
    return spans


def judge(
    witnessed: Witnessed,
    truth: Mapping[Key, Mapping[int, Row]],
    length_ms: Mapping[str, int],
    *,
    base: str,
    grace_ms: int = 15_000,
) -> Judgement:
    """Compare each row that a loop received with the truth, and time each close of the `base` timeframe.

    A close counts for time if it came after the first loop and `grace_ms` before the last one; a pair that never
    received that candle has missed it. For longer timeframes only the values count: freqtrade requests them when it
    likes.
    """
    judgement = Judgement()
    first: dict[tuple[Key, int], int] = {}
    for seen in witnessed.seen:
        key = (seen.pair, seen.timeframe)
        for row in seen.rows:
            judgement.candles += 1
            true = truth.get(key, {}).get(int(row[0]))
            if true is None or tuple(row[1:]) != tuple(true[column] for column in COLUMNS):
                judgement.wrong += 1
                judgement.note(f"{seen.pair} {seen.timeframe} {list(row)} at {seen.seen_ms}: the exchange has {true}")
            first.setdefault((key, int(row[0])), seen.seen_ms)
    if witnessed.loops:
        pairs = sorted({seen.pair for seen in witnessed.seen if seen.timeframe == base})
        _time(judgement, pairs, first, closes(witnessed.loops, length_ms[base], grace_ms), base, length_ms[base])
    return judgement


def closes(loops: Sequence[int], length_ms: int, grace_ms: int) -> list[int]:
    """Return the closes after the first loop and `grace_ms` before the last."""
    after = loops[0] // length_ms + 1
    until = (loops[-1] - grace_ms) // length_ms
    return [number * length_ms for number in range(after, until + 1)]


def _time(
    judgement: Judgement,
    pairs: Sequence[str],
    first: Mapping[tuple[Key, int], int],
    closed: Sequence[int],
    base: str,
    length_ms: int,
) -> None:
    for close_ms in closed:
        for pair in pairs:
            at = first.get(((pair, base), close_ms - length_ms))
            if at is None:
                judgement.missed += 1
                judgement.note(f"{pair} {base}: the bot never received the candle closed at {close_ms}")
            else:
                judgement.delays.append((at - close_ms) / 1000)
