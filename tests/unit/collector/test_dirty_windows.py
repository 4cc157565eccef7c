"""Dirty windows: whatever happens in between, windows affected by a late delivery are re-rolled."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from collector.store.dirty import SAFETY_MS, TASK_OFFSET_MS, DirtyWindows, runs_for

QUARTER_MS = 900_000
WINDOWS = {"15m": QUARTER_MS, "1h": 3_600_000}
START = 1_790_000_000_000 // 3_600_000 * 3_600_000


def windows(folder: Path) -> DirtyWindows:
    return DirtyWindows(folder / "dirty-main.json", WINDOWS)


def test_a_candle_delivered_in_time_leaves_its_windows_to_the_scheduled_run(tmp_path: Path) -> None:
    dirty = windows(tmp_path)
    dirty.mark([START], START + QUARTER_MS + TASK_OFFSET_MS - SAFETY_MS - 1)
    assert len(dirty) == 0


def test_a_candle_delivered_after_the_scheduled_run_makes_its_window_dirty(tmp_path: Path) -> None:
    dirty = windows(tmp_path)
    dirty.mark([START], START + QUARTER_MS + TASK_OFFSET_MS)
    assert list(dirty.take()) == ["15m"]
    assert list(dirty.take()["15m"]) == [START]


def test_dirty_windows_survive_a_restart(tmp_path: Path) -> None:
    windows(tmp_path).mark([START, START + QUARTER_MS], START + 86_400_000)
    assert {name: list(opens) for name, opens in windows(tmp_path).take().items()} == {
        "15m": [START, START + QUARTER_MS],
        "1h": [START],
    }


def test_a_re_rolled_window_is_still_clean_after_a_restart(tmp_path: Path) -> None:
    dirty = windows(tmp_path)
    dirty.mark([START], START + 86_400_000)
    for timeframe, marks in dirty.take().items():
        dirty.clean(timeframe, marks)
    assert len(windows(tmp_path)) == 0


def test_a_window_marked_again_during_its_re_roll_stays_dirty(tmp_path: Path) -> None:
    dirty = windows(tmp_path)
    dirty.mark([START], START + 86_400_000)
    taken = dirty.take()
    dirty.mark([START + 180_000], START + 86_400_000)
    dirty.clean("15m", taken["15m"])
    assert list(dirty.take()["15m"]) == [START]


@given(st.lists(st.integers(0, 2000), unique=True, min_size=1).map(sorted), st.integers(1, 50))
def test_the_runs_cover_every_window_within_their_overlap(numbers: list[int], overlap_windows: int) -> None:
    opens = [START + number * QUARTER_MS for number in numbers]
    overlap_ms = overlap_windows * QUARTER_MS
    runs = runs_for(opens, overlap_ms)
    assert [open_ms for _, covered in runs for open_ms in covered] == opens
    for now_ms, covered in runs:
        assert all(now_ms - overlap_ms <= open_ms < now_ms for open_ms in covered)
