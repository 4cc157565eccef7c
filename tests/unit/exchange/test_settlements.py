"""Which settlements may be missing, inferred from past ones, whatever the exchange does to the intervals."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.settlements import HOUR_MS, Stretch, doubtful, slot_ms, unanswered

T0 = 1_791_331_200_000
"""A midnight."""

JITTER_MS = st.integers(0, 40)


def at(*hours: int) -> list[int]:
    return [T0 + hour * HOUR_MS for hour in hours]


def slots_of(stretches: list[Stretch]) -> set[int]:
    """Hours since T0."""
    return {(slot - T0) // HOUR_MS for stretch in stretches for slot in stretch.slots}


def judged(times: list[int], first: int, last: int, interval_hours: int | None = None) -> set[int]:
    return slots_of(
        doubtful(
            times,
            interval_hours=interval_hours,
            listed_ms=0,
            first_ms=T0 + first * HOUR_MS,
            last_ms=T0 + last * HOUR_MS,
        )
    )


@dataclass(frozen=True)
class Schedule:
    """Settlements, as dated by the exchange, and the interval at the end."""

    times: list[int]
    interval_hours: int

    @property
    def slots(self) -> list[int]:
        return [slot_ms(time) for time in self.times]


@st.composite
def schedules(draw: st.DrawFn, changes: int = 5) -> Schedule:
    """Any number of intervals, each for at least four settlements, changed at any hour before the next one is due."""
    hour, hours, interval = draw(st.integers(0, 23)), [], 8
    for interval in draw(st.lists(st.sampled_from((8, 4, 2, 1)), min_size=1, max_size=changes)):
        for _ in range(draw(st.integers(4, 12))):
            hour = (hour // interval + 1) * interval
            hours.append(hour)
        hour += draw(st.integers(0, interval - 1))
    return Schedule([time + draw(JITTER_MS) for time in at(*hours)], interval)


@given(schedule=schedules(), listed=st.booleans(), data=st.data())
def test_a_missing_settlement_of_any_interval_is_found(schedule: Schedule, listed: bool, data: st.DataObject) -> None:
    """`listed`: fundingInfo lists the symbol."""
    lost = data.draw(st.integers(0, len(schedule.times) - 1))
    left = schedule.times[:lost] + schedule.times[lost + 1 :]
    interval = schedule.interval_hours if listed or schedule.interval_hours == 8 else None
    found = doubtful(left, interval_hours=interval, listed_ms=0, first_ms=schedule.slots[0], last_ms=schedule.times[-1])
    assert any(schedule.slots[lost] in stretch.slots for stretch in found)


@given(schedule=schedules(), listed=st.booleans())
def test_one_response_leaves_nothing_in_doubt_if_nothing_is_missing(schedule: Schedule, listed: bool) -> None:
    def open_stretches(answered: set[int]) -> list[Stretch]:
        interval = schedule.interval_hours if listed else None
        first_ms, last_ms = schedule.slots[0], schedule.times[-1]
        found = doubtful(schedule.times, interval_hours=interval, listed_ms=0, first_ms=first_ms, last_ms=last_ms)
        return unanswered(found, answered)

    asked = {slot for stretch in open_stretches(set()) for slot in stretch.slots}
    assert not asked & set(schedule.slots)
    assert open_stretches(asked) == []


@given(schedule=schedules(changes=1), listed=st.booleans())
def test_settlements_of_one_interval_are_complete_without_a_request(schedule: Schedule, listed: bool) -> None:
    interval = schedule.interval_hours if listed else None
    first_ms, last_ms = schedule.slots[0], schedule.times[-1]
    assert not doubtful(schedule.times, interval_hours=interval, listed_ms=0, first_ms=first_ms, last_ms=last_ms)


@given(schedule=schedules(), first=st.integers(0, 400), length=st.integers(0, 100))
def test_only_hours_of_the_span_without_a_settlement_are_doubtful(schedule: Schedule, first: int, length: int) -> None:
    first_ms, last_ms = at(first, first + length)
    for stretch in doubtful(schedule.times, interval_hours=None, listed_ms=0, first_ms=first_ms, last_ms=last_ms):
        assert stretch.slots <= set(stretch.hours)
        assert first_ms <= stretch.first_ms <= stretch.last_ms <= last_ms
        assert not set(stretch.hours) & set(schedule.slots)


def test_the_hours_around_a_change_are_doubtful_up_to_the_settlement_on_either_side() -> None:
    day = at(-16, -8, 0, 8, 12, 16, 20, 21, 22, 23, 24)  # every 8 h, every 4 h from 08:00 on, hourly from 20:00 on
    assert judged(day, -16, 24) == {4, 17, 18, 19}


@pytest.mark.parametrize(
    ("settled", "lost"),
    [
        ((0, 8, 16, 20, 28, 32), {24}),
        ((0, 4, 8, 16, 20), {12}),
        ((0, 1, 3, 4), {2}),
        ((0, 2, 4, 8, 10), {6}),
        ((0, 4, 8, 24, 28), {12, 16, 20}),
        ((0, 8, 24, 32), {16}),
        ((8, 11, 13, 16), {9, 10, 12, 14, 15}),  # 11:00 means hourly settlements
    ],
)
def test_a_gap_wider_than_its_neighbors_or_than_the_hour_allows_may_have_a_hole(
    settled: tuple[int, ...], lost: set[int]
) -> None:
    assert judged(at(*settled), settled[0], settled[-1]) >= lost


@pytest.mark.parametrize(
    ("interval_hours", "settled", "now", "due"),
    [
        (4, (0, 8, 16), 21, {20}),  # changed just now, or at 16:00 already
        (8, (8, 12, 16), 23, set()),  # changed back: nothing is due at 20:00
        (None, (8, 12, 16), 21, {20}),  # not listed, but past settlements show it
        (None, (0, 8, 16), 23, set()),
        (None, (), 17, {0, 8, 16}),
        (1, (), 3, {0, 1, 2, 3}),
    ],
)
def test_funding_info_and_then_past_settlements_decide_what_is_due_since_the_newest(
    interval_hours: int | None, settled: tuple[int, ...], now: int, due: set[int]
) -> None:
    assert {hour for hour in judged(at(*settled), 0, now, interval_hours) if hour > max(settled, default=-1)} == due


def test_nothing_is_due_before_the_listing() -> None:
    listed_ms = T0 + 9 * HOUR_MS
    found = doubtful([], interval_hours=4, listed_ms=listed_ms, first_ms=T0, last_ms=T0 + 20 * HOUR_MS)
    assert slots_of(found) == {12, 16, 20}
    settled = at(16, 20)
    found = doubtful(settled, interval_hours=4, listed_ms=listed_ms, first_ms=T0, last_ms=T0 + 20 * HOUR_MS)
    assert slots_of(found) == {12}


def test_a_span_is_judged_by_the_settlements_around_it() -> None:
    around = at(-8, -4, 0, 8, 12, 16)
    assert judged(around, 1, 7) == {4}
    assert judged(at(0, 8), 1, 7) == set()


def test_a_rate_that_the_exchange_dates_minutes_late_belongs_to_its_hour() -> None:
    assert judged([*at(0), at(4)[0] + 5 * 60_000, *at(8)], 0, 8, 4) == set()
