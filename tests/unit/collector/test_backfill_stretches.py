"""A backfill's arithmetic: spans, pages, what is done; and which candles an audit considers due."""

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.commands.backfill import STRETCH_MS, stretches
from collector.commands.backfill_progress import BackfillProgress, covers, joined
from collector.verify.due import DUE_MS, due_opens
from exchange.binance.limits import KLINES, page_rows, weight
from exchange.budget import Budget
from marketdata.timeframes import DAY_MS, timeframe_ms

START = 1_790_000_000_000
times = st.integers(0, 60)
spans = st.lists(st.tuples(times, times))
timeframes = st.sampled_from(["3m", "15m", "1h", "4h", "1d"])


def members(ranges: list[tuple[int, int]]) -> set[int]:
    return {t for first, end in ranges for t in range(first, end)}


@given(spans)
def test_joined_ranges_contain_what_was_added_and_stay_disjoint_and_ordered(added: list[tuple[int, int]]) -> None:
    ranges: list[tuple[int, int]] = []
    for first, end in added:
        ranges = joined(ranges, first, end)
    assert members(ranges) == members(added)
    assert all(first < end for first, end in ranges)
    assert all(one[1] < other[0] for one, other in itertools.pairwise(ranges))


@given(spans, times, times)
def test_a_range_is_covered_if_every_moment_of_it_was_added(added: list[tuple[int, int]], first: int, end: int) -> None:
    ranges: list[tuple[int, int]] = []
    for some in added:
        ranges = joined(ranges, *some)
    assert covers(ranges, first, end) == (set(range(first, end)) <= members(added))


def test_progress_is_kept_by_pair_and_interval_and_counts_only_for_the_same_stores(tmp_path: Path) -> None:
    path = tmp_path / "backfill.json"
    BackfillProgress(path, ["main", "second"]).add(["BTC/USDT:USDT"], ["3m"], 10, 20)
    BackfillProgress(path, ["second", "main"]).add(["币安人生/USDT:USDT"], ["3m", "1h"], 0, 10)
    known = BackfillProgress(path, ["main", "second"])
    assert known.is_done("BTC/USDT:USDT", "3m", 12, 20)
    assert not known.is_done("BTC/USDT:USDT", "3m", 5, 15)
    assert not known.is_done("BTC/USDT:USDT", "1h", 10, 20)
    assert known.is_done("币安人生/USDT:USDT", "1h", 0, 10)
    assert not BackfillProgress(path, ["main"]).is_done("BTC/USDT:USDT", "3m", 10, 20)


def test_contiguous_history_counts_as_one_range_over_several_runs(tmp_path: Path) -> None:
    pair = "BTC/USDT:USDT"
    progress = BackfillProgress(tmp_path / "backfill.json", ["main"])
    progress.add([pair], ["3m"], START, START + DAY_MS)
    assert progress.end_ms(pair, "3m", START) == START + DAY_MS
    assert progress.end_ms(pair, "3m", START - 1) == START - 1
    progress.add([pair], ["3m"], START + DAY_MS, START + 2 * DAY_MS)
    assert progress.end_ms(pair, "3m", START) == START + 2 * DAY_MS


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"stores": ["main"], "done": {"BTC": {"3m": [1]}}})])
def test_damaged_progress_is_reported_with_the_name_of_the_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "backfill.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"backfill\.json is damaged: remove it"):
        BackfillProgress(path, ["main"])


@given(st.integers(START, START + 40 * DAY_MS), st.integers(0, 40 * DAY_MS))
def test_stretches_cut_the_range_newest_first_and_complete_ones_cut_no_window(from_ms: int, length: int) -> None:
    pieces = list(stretches(from_ms, from_ms + length))
    assert [piece[0] for piece in pieces] == sorted((piece[0] for piece in pieces), reverse=True)
    assert sum(end - start for start, end in pieces) == length
    assert all(piece[1] % STRETCH_MS == 0 for piece in pieces[1:])
    assert all(one[0] == other[1] for one, other in itertools.pairwise(pieces))


def test_pages_are_the_cheapest_at_a_small_share_and_the_largest_of_weight_5_if_the_request_rate_is_the_limit() -> None:
    rows = {percent: page_rows(Budget(share_percent=percent).snapshot().share) for percent in (1, 15, 30, 75)}
    assert rows == {1: 499, 15: 499, 30: 499, 75: 1000}
    assert weight(KLINES, {"limit": 1000}) == 5


@given(timeframes, st.integers(START, START + 9 * DAY_MS), st.integers(0, 9 * DAY_MS), st.integers(-9, 9), st.data())
def test_every_candle_since_the_listing_that_ended_long_enough_ago_is_due(
    timeframe: str, from_ms: int, length: int, listed_days: int, data: st.DataObject
) -> None:
    length_ms = timeframe_ms(timeframe)
    listed_ms = from_ms + listed_days * DAY_MS
    now_ms = data.draw(st.integers(from_ms, from_ms + 9 * DAY_MS))
    expected = [
        t
        for t in range(from_ms // length_ms * length_ms, from_ms + length, length_ms)
        if from_ms <= t and t + length_ms > listed_ms and t + length_ms + DUE_MS <= now_ms
    ]
    assert list(due_opens(timeframe, from_ms, from_ms + length, listed_ms, now_ms)) == expected
