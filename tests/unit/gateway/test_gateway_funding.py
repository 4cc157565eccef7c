"""Whether stored funding is complete, judging by settlements and frames, and how stored numbers are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.settlements import HOUR_MS
from gateway.memory.texts import eight_decimals
from gateway.routes.settled import Frames, lacking, wants_interval

T0 = 1_791_331_200_000


def at(*hours: int) -> list[int]:
    return [T0 + hour * HOUR_MS for hour in hours]


def covers(
    times: list[int],
    first_ms: int,
    until_ms: int,
    *,
    frames: Frames = Frames(),  # noqa: B008 - frozen
    interval_hours: int | None = None,
    unsettled: tuple[int, ...] = (),
) -> bool:
    return not lacking(
        times,
        frames,
        interval_hours=interval_hours,
        listed_ms=0,
        first_ms=first_ms,
        last_ms=until_ms,
        unsettled=at(*unsettled),
    )


@pytest.mark.parametrize(
    ("hours", "until"),
    [((0, 8, 16), 20), ((0, 4, 8, 12), 15), ((0, 2, 4, 6), 7), ((0, 1, 2), 2), ((0,), 7)],
    ids=["each 8 h", "each 4 h", "each 2 h", "each hour", "one"],
)
def test_settlements_of_one_interval_are_complete(hours: tuple[int, ...], until: int) -> None:
    assert covers(at(*hours), T0, T0 + until * HOUR_MS)


@pytest.mark.parametrize(
    ("hours", "until"),
    [
        ((0, 16), 20),
        ((17,), 18),
        ((0, 8), 17),
        ((), 9),
        ((0, 4, 12, 16), 17),
        ((0, 1, 2, 4, 5), 5),
        ((0, 4, 8), 13),
    ],
    ids=["a hole", "a late begin", "an early end", "nothing", "of 4 h", "of 1 h", "the newest of 4 h"],
)
def test_a_longer_pause_than_around_it_means_that_something_may_be_missing(hours: tuple[int, ...], until: int) -> None:
    assert not covers(at(*hours), T0, T0 + until * HOUR_MS)


def test_a_change_of_the_interval_is_complete_once_the_exchange_has_nothing_in_between() -> None:
    changed = at(-8, 0, 8, 12, 16, 17, 18)
    assert not covers(changed, T0, T0 + 18 * HOUR_MS)
    assert covers(changed, T0, T0 + 18 * HOUR_MS, unsettled=(4, 13, 14, 15))


def test_the_jitter_of_settlement_times_is_not_a_hole() -> None:
    assert covers([T0 + 3, T0 + 8 * HOUR_MS + 2, T0 + 16 * HOUR_MS], T0 + 1, T0 + 24 * HOUR_MS - 1)


@pytest.mark.parametrize(
    ("frames", "interval_hours", "complete"),
    [
        (Frames(), None, True),  # only past settlements, every 8 h
        (Frames(), 4, False),  # fundingInfo: changed to 4 h
        (Frames(next_ms=T0 + 24 * HOUR_MS), 4, False),
        (Frames(next_ms=T0 + 24 * HOUR_MS), 8, True),
        (Frames(next_ms=T0 + 20 * HOUR_MS), None, False),  # the frame is older than the settlement it announces
        (Frames(next_ms=T0 + 24 * HOUR_MS, settled_ms=T0 + 20 * HOUR_MS), None, False),  # frames before and after it
        (Frames(next_ms=T0 + 24 * HOUR_MS, settled_ms=T0 + 16 * HOUR_MS), None, True),  # nothing settled since 16:00
    ],
)
def test_frames_and_funding_info_show_whether_the_newest_settlement_is_missing(
    frames: Frames, interval_hours: int | None, complete: bool
) -> None:
    """It is 21:00, and the store has the settlements of 00:00, 08:00 and 16:00."""
    times, until_ms = at(0, 8, 16), T0 + 21 * HOUR_MS
    assert covers(times, T0, until_ms, frames=frames, interval_hours=interval_hours) == complete


def test_past_settlements_make_nothing_due_if_frames_showed_the_newest_and_the_next() -> None:
    """Every 4 h before 16:00, every 8 h since; it is 21:00."""
    times, until_ms = at(4, 8, 12, 16), T0 + 21 * HOUR_MS
    assert not covers(times, at(4)[0], until_ms)
    assert covers(times, at(4)[0], until_ms, frames=Frames(next_ms=at(24)[0], settled_ms=at(16)[0]))


@pytest.mark.parametrize(
    ("frames", "first", "now", "wanted"),
    [
        (Frames(next_ms=T0 + 24 * HOUR_MS), 0, 19, False),  # every 4 h: the next would be at 20:00
        (Frames(next_ms=T0 + 24 * HOUR_MS), 0, 20, True),
        (Frames(next_ms=T0 + 24 * HOUR_MS), 21, 21, False),  # 20:00 is not in the request
        (Frames(next_ms=T0 + 24 * HOUR_MS, settled_ms=T0 + 16 * HOUR_MS), 0, 23, False),
        (Frames(), 0, 16, False),
        (Frames(), 0, 17, True),
    ],
)
def test_funding_info_is_requested_only_if_neither_store_nor_frames_decide(
    frames: Frames, first: int, now: int, wanted: bool
) -> None:
    assert wants_interval(at(0, 8, 16), frames, T0 + first * HOUR_MS, T0 + now * HOUR_MS) == wanted


@given(units=st.integers(0, 10**14))
def test_a_stored_price_is_written_with_the_exchanges_own_decimals(units: int) -> None:
    text = f"{units // 10**8}.{units % 10**8:08d}"
    assert eight_decimals(float(text)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-7.43e-06, "-0.00000743"),
        (0.0, "0.00000000"),
        (-0.0, "0.00000000"),
        (1e-4, "0.00010000"),
        (1e-10, "0.0000000001"),
    ],
)
def test_a_stored_rate_is_written_with_eight_decimals_and_never_fewer_than_are_stored(value: float, text: str) -> None:
    assert eight_decimals(value) == text
