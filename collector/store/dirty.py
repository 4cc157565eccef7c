"""Which roll-up windows a store must re-roll: marked after delivery, kept on disk until they are re-rolled.

A candle delivered after its window's scheduled roll-up would never reach the window (InfluxDB does not catch up), so
its windows are dirty. Marks are global, not per pair: one run of the script rolls up every pair.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from service.durable_files import write_json_durably

TASK_OFFSET_MS = 40_000
"""The tasks run 40 s after each quarter of an hour (influx/tasks)."""

SAFETY_MS = 5_000
"""The run may not see a candle delivered this shortly before it."""


class DirtyWindows:
    """The dirty windows of one store, by timeframe. Saved whenever a window is added or removed (small: no rows).

    Each mark has a serial number, so that a window marked again during its re-roll stays dirty.
    """

    def __init__(self, path: Path, window_ms: Mapping[str, int]) -> None:
        self._path = path
        self._window_ms = dict(window_ms)
        self._serial = 0
        self._marks: dict[str, dict[int, int]] = {timeframe: {} for timeframe in window_ms}
        if path.exists():
            for timeframe, opens in json.loads(path.read_text(encoding="utf-8")).items():
                if timeframe in self._marks:
                    self._marks[timeframe] = dict.fromkeys(opens, 0)

    def __len__(self) -> int:
        return sum(len(marks) for marks in self._marks.values())

    def mark(self, candle_times_ms: Iterable[int], now_ms: int) -> None:
        """Mark the windows of delivered candles whose scheduled run has passed at ``now_ms`` (exchange time)."""
        times = set(candle_times_ms)
        self._serial += 1
        grown = False
        for timeframe, length_ms in self._window_ms.items():
            passed_ms = now_ms - length_ms - TASK_OFFSET_MS + SAFETY_MS
            marks = self._marks[timeframe]
            for open_ms in {t // length_ms * length_ms for t in times}:
                if open_ms <= passed_ms:
                    grown = grown or open_ms not in marks
                    marks[open_ms] = self._serial
        if grown:
            self._save()

    def take(self) -> dict[str, dict[int, int]]:
        """Return the dirty windows (open time ms -> serial), oldest first; they stay dirty until ``clean``."""
        return {timeframe: dict(sorted(marks.items())) for timeframe, marks in self._marks.items() if marks}

    def clean(self, timeframe: str, rolled: Mapping[int, int]) -> None:
        """Note that these windows were re-rolled; those marked again since they were taken stay dirty."""
        marks = self._marks[timeframe]
        for open_ms, serial in rolled.items():
            if marks.get(open_ms) == serial:
                del marks[open_ms]
        self._save()

    def _save(self) -> None:
        write_json_durably(self._path, {timeframe: sorted(marks) for timeframe, marks in self._marks.items()})


def runs_for(opens: Iterable[int], overlap_ms: int) -> list[tuple[int, list[int]]]:
    """Cover window open times (ascending) with as few runs as possible: (the run's ``now`` in ms, its windows).

    A run at T rolls up every window that opens in [T - overlap, T).
    """
    runs: list[tuple[int, list[int]]] = []
    for open_ms in opens:
        if runs and open_ms < runs[-1][0]:
            runs[-1][1].append(open_ms)
        else:
            runs.append((open_ms + overlap_ms, [open_ms]))
    return runs
