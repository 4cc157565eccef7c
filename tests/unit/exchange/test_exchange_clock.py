"""The exchange clock: event times and monotonic time, never the wall clock."""

from hypothesis import given
from hypothesis import strategies as st

from collector.model.clock import JUMP_MS, WITNESSES, ExchangeClock

NOW_MS = 1_790_000_000_000


class Monotonic:
    """A monotonic clock that tests move by hand."""

    def __init__(self) -> None:
        self.ns = 5_000_000_000

    def __call__(self) -> int:
        return self.ns


def test_the_time_is_unknown_before_the_exchange_reports_it() -> None:
    clock = ExchangeClock(Monotonic())
    assert not clock.is_set
    assert clock.now_ms() == 0


def test_it_advances_by_monotonic_time_between_frames() -> None:
    monotonic = Monotonic()
    clock = ExchangeClock(monotonic)
    clock.observe(NOW_MS)
    monotonic.ns += 1_500_000_000
    assert clock.now_ms() == NOW_MS + 1500


def test_one_frame_from_the_far_future_is_not_followed() -> None:
    clock = ExchangeClock(Monotonic())
    clock.observe(NOW_MS)
    clock.observe(NOW_MS + 3_600_000)
    assert clock.now_ms() == NOW_MS


def test_a_jump_is_followed_once_enough_frames_agree_on_it() -> None:
    clock = ExchangeClock(Monotonic())
    clock.observe(NOW_MS)
    for number in range(WITNESSES - 1):
        clock.observe(NOW_MS + 3_600_000 + number)
    assert clock.now_ms() == NOW_MS
    clock.observe(NOW_MS + 3_600_000 + WITNESSES)
    assert clock.now_ms() == NOW_MS + 3_600_000 + WITNESSES


@given(st.lists(st.tuples(st.integers(-10 * JUMP_MS, 10 * JUMP_MS), st.integers(0, 5_000))))
def test_it_never_goes_backwards(steps: list[tuple[int, int]]) -> None:
    monotonic = Monotonic()
    clock = ExchangeClock(monotonic)
    clock.observe(NOW_MS)
    last_ms = clock.now_ms()
    for offset_ms, passed_ms in steps:
        monotonic.ns += passed_ms * 1_000_000
        clock.observe(NOW_MS + offset_ms)
        assert clock.now_ms() >= last_ms
        last_ms = clock.now_ms()
