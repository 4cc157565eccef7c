"""Pacing of connections: quick after a good session, slow after bad ones, never over the exchange's limit."""

from hypothesis import given
from hypothesis import strategies as st

from collector.feed.pacing import LONGEST_DELAY_SECONDS, AttemptWindow, Pacing


def test_the_first_attempt_and_the_one_after_a_long_good_session_are_immediate() -> None:
    pacing = Pacing(lambda: 1.0)
    assert pacing.delay_seconds == 0
    pacing.ended(86_000, delivered=True)
    assert pacing.delay_seconds == 0


def test_short_silent_and_failed_sessions_wait_longer_each_time_up_to_the_cap() -> None:
    pacing = Pacing(lambda: 1.0)
    delays = []
    for lived, delivered in ((0, False), (3, True), (200, False), *(((0, False),) * 10)):
        pacing.ended(lived, delivered=delivered)
        delays.append(pacing.delay_seconds)
    assert delays[:4] == [1, 2, 4, 8]
    assert delays[-1] == LONGEST_DELAY_SECONDS


def test_the_delay_is_drawn_from_its_upper_half() -> None:
    pacing = Pacing(lambda: 0.0)
    for _ in range(3):
        pacing.ended(0, delivered=False)
    assert pacing.delay_seconds == 2


def test_attempts_that_can_wait_leave_half_of_the_window_to_those_that_cannot() -> None:
    window = AttemptWindow(limit=10, window_seconds=300)
    for second in range(5):
        assert window.has_room(second)
        window.record(second)
    assert not window.has_room(5)
    assert window.wait_seconds(5) == 0
    assert window.has_room(301)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=400))
def test_no_window_ever_holds_more_attempts_than_the_limit(pauses: list[float]) -> None:
    window = AttemptWindow(limit=20, window_seconds=300)
    now, attempts = 0.0, []
    for pause in pauses:
        now += pause
        now += window.wait_seconds(now)
        window.record(now)
        attempts.append(now)
    for start in attempts:
        assert sum(start < at <= start + 299.99 for at in attempts) <= 20
