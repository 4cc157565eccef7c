"""Sampling: a pure function of the frames, so that two collectors store the same points."""

from hypothesis import given
from hypothesis import strategies as st

from collector.ingest.sampling import Sampler
from exchange.events import MarkPrice

SECOND_MS = 1000
MINUTE_MS = 60_000
START = 1_790_000_040_000


def frame(second: int, *, next_funding_time_ms: int = START + 8 * 3_600_000) -> MarkPrice:
    return MarkPrice("BTC/USDT:USDT", START + second * SECOND_MS, "1.0", "1.0", "0.0001", next_funding_time_ms)


def test_one_mark_price_is_taken_from_each_ten_seconds() -> None:
    sampler = Sampler()
    taken = [second for second in range(31) if sampler.takes_mark(frame(second))]
    assert taken == [0, 10, 20, 30]


def test_one_funding_rate_is_taken_from_each_minute() -> None:
    sampler = Sampler()
    taken = [second for second in range(130) if sampler.takes_funding(frame(second))]
    assert taken == [0, 60, 120]


def test_the_first_frame_of_a_new_funding_period_is_taken_at_once() -> None:
    sampler = Sampler()
    assert sampler.takes_funding(frame(0))
    assert sampler.takes_funding(frame(7, next_funding_time_ms=START + 16 * 3_600_000))
    assert not sampler.takes_funding(frame(8, next_funding_time_ms=START + 16 * 3_600_000))


def test_a_contract_without_a_next_funding_time_has_no_rate() -> None:
    assert not Sampler().takes_funding(frame(0, next_funding_time_ms=0))


def test_an_older_frame_that_arrives_late_is_not_taken() -> None:
    sampler = Sampler()
    sampler.takes_mark(frame(20))
    sampler.takes_funding(frame(70))
    assert not sampler.takes_mark(frame(9))
    assert not sampler.takes_funding(frame(5))


@given(st.lists(st.integers(0, 300), max_size=200))
def test_no_slot_is_taken_twice(seconds: list[int]) -> None:
    sampler = Sampler()
    slots = [second // 10 for second in seconds if sampler.takes_mark(frame(second))]
    assert len(slots) == len(set(slots))
