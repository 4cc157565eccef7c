"""Delays double up to the longest and start again after a success; jitter draws from the upper half."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.backoff import Backoff

FIRST = st.floats(0.001, 10)
LONGEST = st.floats(10, 600)
JITTER = st.floats(0, 1, exclude_max=True)


def test_delays_double_up_to_the_longest() -> None:
    backoff = Backoff(1.0, 30.0)
    assert [backoff.next_seconds() for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]


def test_a_success_resets_the_delay_to_the_first_one() -> None:
    backoff = Backoff(0.5, 10.0)
    for _ in range(9):
        backoff.next_seconds()
    backoff.reset()
    assert backoff.failures == 0
    assert [backoff.next_seconds(), backoff.next_seconds()] == [0.5, 1.0]
    assert backoff.failures == 2


def test_a_first_delay_of_zero_stays_zero() -> None:
    backoff = Backoff(0, 8.0)
    assert [backoff.next_seconds() for _ in range(3)] == [0, 0, 0]


@given(FIRST, LONGEST, st.lists(JITTER, min_size=1, max_size=60))
def test_each_delay_is_in_the_upper_half_of_the_full_delay(first: float, longest: float, drawn: list[float]) -> None:
    numbers = iter(drawn)
    whole, jittered = Backoff(first, longest), Backoff(first, longest, lambda: next(numbers))
    for _ in drawn:
        most = whole.next_seconds()
        assert most / 2 <= jittered.next_seconds() <= most


@given(FIRST, LONGEST, st.integers(2, 60))
def test_full_delays_never_shrink_or_exceed_the_longest(first: float, longest: float, count: int) -> None:
    backoff = Backoff(first, longest)
    delays = [backoff.next_seconds() for _ in range(count)]
    assert delays[0] == pytest.approx(min(first, longest))
    assert all(earlier <= later for earlier, later in pairwise(delays))
    assert max(delays) <= longest


def test_days_of_failures_do_not_overflow() -> None:
    backoff = Backoff(1.0, 60.0)
    backoff.failures = 10_000
    assert backoff.next_seconds() == 60.0
