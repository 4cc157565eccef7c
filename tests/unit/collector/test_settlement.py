"""Funding settlements: which are due, which are the same, and how few requests fetch the missing ones."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.history.settlement import Book, day_of_turn, plan, range_ms
from exchange.budget import FUNDING_WINDOW_MS, Budget, Priority
from exchange.clock import ExchangeClock
from exchange.limits import Limits
from exchange.settlements import HOUR_MS, Stretch, expected, slot_ms

START_MS = 1_791_331_200_000
HISTORY_HOURS = 30 * 24

hours = st.sampled_from((1, 2, 4, 8))
instants = st.integers(START_MS - 90 * 24 * HOUR_MS, START_MS)
jitter = st.integers(-29_000, 29_000)
slots = st.integers(0, 100).map(lambda hour: START_MS + hour * HOUR_MS)


@given(hour=slots, first=jitter, second=jitter)
def test_two_times_within_seconds_of_an_hour_are_the_same_settlement(hour: int, first: int, second: int) -> None:
    assert slot_ms(hour + first) == slot_ms(hour + second) == hour


@given(time_ms=instants)
def test_a_time_lies_in_the_range_of_its_slot_and_of_no_other(time_ms: int) -> None:
    slot = slot_ms(time_ms)
    first_ms, last_ms = range_ms(slot, slot)
    assert first_ms <= time_ms <= last_ms
    assert (slot_ms(first_ms), slot_ms(last_ms)) == (slot, slot)
    assert slot_ms(first_ms - 1) != slot != slot_ms(last_ms + 1)


@given(interval=hours, listed_ms=instants, start_ms=instants, end_ms=instants)
def test_a_pair_settles_at_every_multiple_of_its_interval_after_its_listing(
    interval: int, listed_ms: int, start_ms: int, end_ms: int
) -> None:
    grid = range(0, START_MS + 1, interval * HOUR_MS)
    due = [at for at in grid[max(0, (START_MS - 100 * 24 * HOUR_MS) // grid.step) :] if start_ms <= at <= end_ms]
    assert list(expected(interval, listed_ms, start_ms, end_ms)) == [at for at in due if at > listed_ms]


def test_an_interval_of_four_hours_settles_six_times_a_day() -> None:
    day = expected(4, 0, START_MS, START_MS + 24 * HOUR_MS - 1)
    assert [(at - START_MS) // HOUR_MS for at in day] == [0, 4, 8, 12, 16, 20]


@given(missing=st.dictionaries(st.sampled_from("abcdefghij"), st.frozensets(slots, max_size=12)))
def test_a_plan_requests_everything_missing_and_never_costs_more_than_going_pair_by_pair(
    missing: Mapping[str, frozenset[int]],
) -> None:
    asked = plan(missing)
    lacking = {pair for pair, some in missing.items() if some}
    assert set(asked.pairs) <= lacking
    for pair in lacking - set(asked.pairs):
        assert all(any(first <= slot <= last for first, last in asked.spans) for slot in missing[pair])
    assert asked.requests <= len(lacking)


def book_lacks(book: Book, *held: set[int], interval_hours: int | None = None, last: int = 24) -> list[Stretch]:
    """The day from START_MS on."""
    last_ms = START_MS + last * HOUR_MS
    return book.lacking("a", held, interval_hours=interval_hours, listed_ms=0, first_ms=START_MS, last_ms=last_ms)


def at(*hours: int) -> set[int]:
    return {START_MS + hour * HOUR_MS for hour in hours}


def test_what_the_exchange_lacks_is_requested_once_and_a_settlement_lost_later_is_still_found() -> None:
    book, changed = Book(), at(-8, 0, 8, 12, 16, 20, 24)
    (asked,) = book_lacks(book, changed)
    assert asked.slots == at(4)
    book.note_answer("a", asked.slots, START_MS + 24 * HOUR_MS)
    assert book_lacks(book, changed) == []
    (lost,) = book_lacks(book, changed - at(16))
    assert lost.slots == at(16)


def test_what_has_just_settled_may_still_arrive() -> None:
    book = Book()
    book.note_answer("a", at(16, 20), START_MS + 21 * HOUR_MS)
    (asked,) = book_lacks(book, at(0, 4, 8, 12), last=21)
    assert asked.slots == at(20)


def test_what_only_one_store_has_is_missing_in_the_other_even_if_its_own_settlements_show_no_gap() -> None:
    found = book_lacks(Book(), at(0, 8, 12, 16, 24), at(0, 8, 16, 24))
    assert [stretch.slots for stretch in found] == [at(4), at(20), at(12)]
    assert not any(stretch.slots & at(12) for stretch in book_lacks(Book(), at(0, 8, 16, 24)))


def test_what_is_no_longer_requested_is_forgotten() -> None:
    book = Book()
    book.note_answer("a", at(4, 12), START_MS + 24 * HOUR_MS)
    book.forget_before(START_MS + 8 * HOUR_MS)
    assert book_lacks(book, at(0, 8, 16, 20, 24)) == []
    (asked,) = book_lacks(book, at(0, 8, 12, 16, 20, 24))
    assert asked.slots == at(4)


@given(now_ms=instants, days=st.integers(1, 40))
def test_every_hour_of_the_history_is_checked_within_twice_as_many_hours_as_it_has_days(now_ms: int, days: int) -> None:
    seen: set[int] = set()
    for hour in range(2 * days):
        first_ms, last_ms = day_of_turn(now_ms + hour * HOUR_MS, days * 24)
        assert (last_ms - first_ms) // HOUR_MS == 23
        seen |= set(range(first_ms, last_ms + 1, HOUR_MS))
    hour_ms = now_ms // HOUR_MS * HOUR_MS
    assert seen >= set(range(hour_ms - (days * 24 - 2 * days) * HOUR_MS, hour_ms + 1, HOUR_MS))


def universe(pairs: int, first_hour: int = 0) -> dict[str, range]:
    """Pairs that lack everything: one in ten pays every hour, four every 8 h, the others every 4 h."""
    end_ms = START_MS + HISTORY_HOURS * HOUR_MS
    return {
        f"pair {number}": expected(
            (1, 8, 8, 8, 8, 4, 4, 4, 4, 4)[number % 10], 0, START_MS + first_hour * HOUR_MS, end_ms - 1
        )
        for number in range(pairs)
    }


@pytest.mark.parametrize(("pairs", "requests"), [(10, 10), (164, 126), (700, 126)])
def test_a_history_of_30_days_takes_few_requests(pairs: int, requests: int) -> None:
    assert plan(universe(pairs)).requests == requests


def test_a_night_of_all_pairs_takes_a_few_requests_and_a_month_of_one_pair_takes_one() -> None:
    night = universe(700, first_hour=HISTORY_HOURS - 12)
    assert plan(night).requests == 3
    assert plan(night | {"new": universe(1)["pair 0"]}).pairs == ["new"]


@given(missing=st.dictionaries(st.sampled_from("abc"), st.frozensets(slots, min_size=1, max_size=1), min_size=1))
def test_one_hour_of_all_pairs_takes_one_request(missing: Mapping[str, frozenset[int]]) -> None:
    asked = plan(dict.fromkeys(missing, next(iter(missing.values()))))
    assert (len(asked.spans), asked.pairs) == (1, [])


@pytest.mark.parametrize(
    ("requests", "minutes"),
    [
        (plan(universe(164)).requests, 1),
        (plan(universe(700)).requests, 1),
        (164, 6),  # by symbol
        (700, 26),
    ],
)
def test_the_requests_of_a_history_fit_the_funding_bucket_in_the_documented_minutes(
    requests: int, minutes: int
) -> None:
    """Uses the budget of a 30 % share; the bucket's window is checked over all granted requests."""
    now_ms = 0
    budget = Budget(30, clock=ExchangeClock(lambda: now_ms, lambda: START_MS))
    granted: list[int] = []
    for _ in range(requests + 1):  # one for fundingInfo
        budget.ask(Priority.HISTORY, 0, funding=True)
    while len(granted) <= requests:
        ticket = budget.grant()
        if ticket is None:
            wait_ms = budget.wait_ms()
            assert wait_ms is not None
            now_ms += wait_ms
            continue
        granted.append(now_ms)
        budget.finish(ticket, Limits(None, None, None))
    assert now_ms <= minutes * 60_000
    for number, at_ms in enumerate(granted):
        assert sum(earlier > at_ms - FUNDING_WINDOW_MS for earlier in granted[: number + 1]) <= 150
