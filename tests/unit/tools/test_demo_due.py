"""Which candles the demo's check demands: all that the platform promises by now, and none that it does not."""

from hypothesis import given
from hypothesis import strategies as st

from tools.demo import due
from tools.demo.compare import LENGTH_MS
from tools.demo.run import Run

MIDNIGHT_MS = 1_795_305_600_000  # 2026-11-22 00:00 UTC
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def run_at(start_ms: int) -> Run:
    return Run(
        rest_url="",
        ca_file=None,
        influx_url="",
        org="",
        reader_token_file="",
        collector_url="",
        prometheus_url=None,
        provisioned_ms=start_ms,
        collector_started_ms=start_ms + 2_000,
        pairs_known_ms=start_ms + 3_000,
    )


def test_a_3m_candle_is_due_60_s_after_its_close() -> None:
    run = run_at(MIDNIGHT_MS)
    close_ms = MIDNIGHT_MS + 30 * MINUTE_MS
    assert due.last_due_open_ms("3m", run, close_ms + 59_999) == close_ms - 6 * MINUTE_MS
    assert due.last_due_open_ms("3m", run, close_ms + 60_000) == close_ms - 3 * MINUTE_MS


def test_3m_candles_are_due_from_49_hours_before_the_start() -> None:
    run = run_at(MIDNIGHT_MS + 10_000)
    assert due.first_due_open_ms("3m", run, 0) == MIDNIGHT_MS - 49 * HOUR_MS


def test_a_window_that_the_fill_covers_is_due_at_once() -> None:
    run = run_at(MIDNIGHT_MS + 7 * MINUTE_MS)
    assert due.last_due_open_ms("15m", run, MIDNIGHT_MS + 8 * MINUTE_MS) == MIDNIGHT_MS - 15 * MINUTE_MS
    assert due.last_due_open_ms("1d", run, MIDNIGHT_MS + 8 * MINUTE_MS) == MIDNIGHT_MS - DAY_MS


def test_a_window_that_ended_later_is_due_a_minute_after_its_task() -> None:
    run = run_at(MIDNIGHT_MS + 7 * MINUTE_MS)
    end_ms = MIDNIGHT_MS + 15 * MINUTE_MS
    assert due.last_due_open_ms("15m", run, end_ms + 99_999) == end_ms - 30 * MINUTE_MS
    assert due.last_due_open_ms("15m", run, end_ms + 100_000) == end_ms - 15 * MINUTE_MS


def test_a_window_that_ended_just_before_the_tasks_were_made_waits_for_their_first_run() -> None:
    run = run_at(MIDNIGHT_MS + 1_000)  # too late for the run of midnight, too early for the fill to cover it
    assert due.last_due_open_ms("15m", run, MIDNIGHT_MS + 10 * MINUTE_MS) == MIDNIGHT_MS - 30 * MINUTE_MS
    assert due.last_due_open_ms("15m", run, MIDNIGHT_MS + 17 * MINUTE_MS) == MIDNIGHT_MS


def test_of_roll_ups_the_newest_499_windows_are_due() -> None:
    run = run_at(MIDNIGHT_MS)
    last_ms = due.last_due_open_ms("1h", run, MIDNIGHT_MS + 5 * MINUTE_MS)
    assert (last_ms - due.first_due_open_ms("1h", run, last_ms)) // HOUR_MS + 1 == 499


@given(st.integers(0, DAY_MS), st.integers(0, 2 * HOUR_MS))
def test_a_pair_listed_long_ago_has_a_whole_rolled_day_at_any_hour_of_start(start: int, later: int) -> None:
    run = run_at(MIDNIGHT_MS + start)
    assert due.must_have_a_day(0, run)
    last_day_ms = due.last_due_open_ms("1d", run, MIDNIGHT_MS + start + 5_000 + later)
    assert last_day_ms >= due.rolled_from_ms(0, run)


@given(st.integers(0, DAY_MS), st.integers(0, 3 * HOUR_MS), st.sampled_from(sorted(LENGTH_MS)))
def test_nothing_is_due_before_it_ended(start: int, later: int, interval: str) -> None:
    now_ms = MIDNIGHT_MS + start + later
    last_ms = due.last_due_open_ms(interval, run_at(MIDNIGHT_MS + start), now_ms)
    assert last_ms % LENGTH_MS[interval] == 0
    assert last_ms + LENGTH_MS[interval] <= now_ms


def test_a_pair_listed_within_the_fill_needs_no_whole_day_and_is_rolled_from_its_listing() -> None:
    run = run_at(MIDNIGHT_MS)
    listed_ms = MIDNIGHT_MS - 5 * HOUR_MS
    assert not due.must_have_a_day(listed_ms, run)
    assert due.rolled_from_ms(listed_ms, run) == listed_ms
