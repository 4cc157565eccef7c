"""What a backfill has done, so that the next one continues from there: ranges of time by pair and interval, on disk."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from service.durable_files import write_json_durably

type Ranges = list[tuple[int, int]]
"""Ranges [start, end) in ms, ascending and disjoint."""


def joined(ranges: Sequence[tuple[int, int]], start_ms: int, end_ms: int) -> Ranges:
    """Return the ranges with [start_ms, end_ms) added. Pure."""
    apart: Ranges = []
    for first, end in sorted([*ranges, (start_ms, end_ms)]):
        if apart and first <= apart[-1][1]:
            apart[-1] = (apart[-1][0], max(apart[-1][1], end))
        elif first < end:
            apart.append((first, end))
    return apart


def covers(ranges: Iterable[tuple[int, int]], start_ms: int, end_ms: int) -> bool:
    """Whether [start_ms, end_ms) lies in one of the ranges, or is empty. Pure."""
    return start_ms >= end_ms or any(first <= start_ms and end_ms <= end for first, end in ranges)


class BackfillProgress:
    """The file. It counts only for the same set of stores: another store may have nothing yet.

    Raises ValueError if the file is damaged.
    """

    def __init__(self, path: Path, stores: Sequence[str]) -> None:
        self._path = path
        self._stores = sorted(stores)
        self._done: dict[str, dict[str, Ranges]] = {}
        if not path.exists():
            return
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
            if known["stores"] == self._stores:
                self._done = {
                    pair: {interval: [(first, end) for first, end in ranges] for interval, ranges in some.items()}
                    for pair, some in known["done"].items()
                }
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is damaged: remove it, and the backfill starts again: {error!r}") from error

    def is_done(self, pair: str, interval: str, start_ms: int, end_ms: int) -> bool:
        """Whether every candle of [start_ms, end_ms) that the exchange has is stored."""
        return covers(self._done.get(pair, {}).get(interval, ()), start_ms, end_ms)

    def end_ms(self, pair: str, interval: str, start_ms: int) -> int:
        """Return how far the history around `start_ms` reaches without a hole; `start_ms` itself if there is none."""
        ranges = self._done.get(pair, {}).get(interval, ())
        return next((end for first, end in ranges if first <= start_ms < end), start_ms)

    def add(self, pairs: Iterable[str], intervals: Sequence[str], start_ms: int, end_ms: int) -> None:
        """Record [start_ms, end_ms) as done, durably."""
        for pair in pairs:
            done = self._done.setdefault(pair, {})
            for interval in intervals:
                done[interval] = joined(done.get(interval, ()), start_ms, end_ms)
        write_json_durably(self._path, {"stores": self._stores, "done": self._done})
