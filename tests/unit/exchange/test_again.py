"""When a candle the exchange did not have is requested again: five times, less and less often, never in a burst."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from exchange.again import AGAIN_MS, Again

SINCE_MS = 1_790_000_000_000
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000


def asks(looks_ms: Sequence[int]) -> list[int]:
    """How long after it was found absent it is requested, if checked this often."""
    again, asked = Again(SINCE_MS), []
    for look_ms in looks_ms:
        if again.is_due(SINCE_MS + look_ms):
            asked.append(look_ms)
            again = again.asked_at(SINCE_MS + look_ms)
    return asked


def test_it_is_requested_after_ten_minutes_an_hour_six_hours_a_day_and_a_week() -> None:
    every_three_minutes = range(0, 9 * DAY_MS, 3 * MINUTE_MS)
    expected = [12 * MINUTE_MS, HOUR_MS, 6 * HOUR_MS, DAY_MS, 7 * DAY_MS]
    assert asks(every_three_minutes) == expected


def test_times_that_were_missed_count_as_one_request() -> None:
    assert asks([9 * HOUR_MS, 9 * HOUR_MS + MINUTE_MS, DAY_MS]) == [9 * HOUR_MS, DAY_MS]
    assert asks([400 * DAY_MS, 401 * DAY_MS, 500 * DAY_MS]) == [400 * DAY_MS]


@given(st.lists(st.integers(0, 10 * DAY_MS)).map(sorted))
def test_whenever_it_is_checked_no_time_is_used_twice_and_the_last_is_not_skipped(looks_ms: list[int]) -> None:
    asked = asks(looks_ms)
    assert len(asked) <= len(AGAIN_MS)
    for after_ms, until_ms in zip(AGAIN_MS, (*AGAIN_MS[1:], 10 * DAY_MS + 1), strict=True):
        there = [look for look in looks_ms if after_ms <= look < until_ms]
        assert [look for look in asked if after_ms <= look < until_ms] == there[:1]


def test_a_custom_schedule_ends_with_its_last_time() -> None:
    again = Again(SINCE_MS)
    assert not again.is_over((5, 9))
    again = again.asked_at(SINCE_MS + 9, (5, 9))
    assert again.is_over((5, 9))
    assert not again.is_due(SINCE_MS + DAY_MS, (5, 9))
    assert Again(SINCE_MS).is_over(())
