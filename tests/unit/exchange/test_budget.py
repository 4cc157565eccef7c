"""The rules of the budget, one by one. Any interleaving of them: test_budget_interleavings.py."""

from itertools import pairwise

import pytest

from exchange.budget import Budget, Priority, Ticket
from exchange.circuit import CircuitState
from exchange.clock import ExchangeClock
from exchange.errors import ShareTooSmall
from exchange.limits import Limits, Refusal

MINUTE_MS = 60_000
NOON_MS = 1_791_374_400_000


class World:
    """A clock moved by hand, and an exchange that responds at once."""

    def __init__(self, share_percent: float = 30, ip_limit: int = 2400, now_ms: int = NOON_MS) -> None:
        self.monotonic_ms = 0
        self.start_ms = now_ms
        clock = ExchangeClock(lambda: self.monotonic_ms, lambda: now_ms)
        clock.observe(now_ms)
        self.budget = Budget(share_percent, ip_limit, clock=clock)

    @property
    def now_ms(self) -> int:
        return self.start_ms + self.monotonic_ms

    def next(self) -> Ticket:
        """Return the next ticket granted, after moving the clock to it."""
        while (ticket := self.budget.grant()) is None:
            wait_ms = self.budget.wait_ms()
            assert wait_ms is not None
            self.monotonic_ms += wait_ms
        return ticket

    def answer(self, ticket: Ticket, used_weight: int | None = None, refusal: Refusal | None = None) -> None:
        self.budget.finish(ticket, Limits(used_weight, self.now_ms // 1000 * 1000, refusal))

    def times(self, priority: Priority, count: int) -> list[int]:
        """Ask `count` times at once and answer what is granted; return the monotonic time at which each was sent."""
        for _ in range(count):
            self.budget.ask(priority, 1)
        times = []
        for _ in range(count):
            self.answer(self.next())
            times.append(self.monotonic_ms)
        return times

    def spend(self, count: int, weight: int, priority: Priority = Priority.HISTORY) -> int:
        """Ask `count` times and answer what is granted within this minute; return how many that was."""
        tickets = [self.budget.ask(priority, weight) for _ in range(count)]
        minute, granted = self.now_ms // MINUTE_MS, 0
        while granted < count:
            wait_ms = self.budget.wait_ms()
            assert wait_ms is not None
            if (self.now_ms + wait_ms) // MINUTE_MS > minute:
                break
            self.answer(self.next())
            granted += 1
        for ticket in tickets:
            if ticket.granted_ms == 0 and ticket is not tickets[0]:
                self.budget.withdraw(ticket)
        return granted


@pytest.fixture
def world() -> World:
    return World()


def test_history_stops_short_of_the_share_and_a_confirmation_is_still_sent_at_once(world: World) -> None:
    assert world.spend(200, 5) == 129  # 645 of 720; 72 are reserved for confirmations
    started_ms = world.monotonic_ms
    world.budget.ask(Priority.HISTORY, 5)
    confirm = world.budget.ask(Priority.CONFIRM, 1)
    assert world.next() is confirm
    assert world.monotonic_ms - started_ms <= 100


def test_the_share_is_renewed_at_the_exchanges_next_minute(world: World) -> None:
    assert world.spend(200, 5) == 129
    ticket = world.budget.ask(Priority.HISTORY, 5)
    assert world.next() is ticket
    assert world.now_ms == NOON_MS + MINUTE_MS


def test_weight_spent_by_others_behind_the_address_counts_up_to_80_percent(world: World) -> None:
    world.budget.ask(Priority.CONFIRM, 1)
    world.answer(world.next(), used_weight=1919)
    world.budget.ask(Priority.CONFIRM, 1)
    world.answer(world.next(), used_weight=1920)
    ticket = world.budget.ask(Priority.CONFIRM, 1)
    assert world.next() is ticket
    assert world.now_ms == NOON_MS + MINUTE_MS


def test_a_header_from_the_previous_minute_does_not_count_in_this_one(world: World) -> None:
    world.budget.ask(Priority.CONFIRM, 1)
    late = world.next()
    world.monotonic_ms += MINUTE_MS + 500
    world.budget.finish(late, Limits(used_weight=2390, date_ms=NOON_MS + 59_000))
    world.budget.ask(Priority.CONFIRM, 1)
    world.next()
    assert world.now_ms == NOON_MS + MINUTE_MS + 500


def test_a_request_in_flight_at_the_boundary_counts_in_both_minutes(world: World) -> None:
    world.monotonic_ms = 30_000
    world.budget.ask(Priority.HISTORY, 10)
    world.next()
    world.monotonic_ms = MINUTE_MS + 1
    assert world.budget.snapshot().used_in_minute == 10


def test_a_request_just_before_the_boundary_counts_in_both_minutes_but_no_third(world: World) -> None:
    world.monotonic_ms = 59_000
    assert world.spend(1, 10) == 1
    world.monotonic_ms = MINUTE_MS
    assert world.budget.snapshot().used_in_minute == 10
    world.monotonic_ms = 2 * MINUTE_MS
    assert world.budget.snapshot().used_in_minute == 0


def test_requests_the_header_cannot_include_yet_are_added_to_it(world: World) -> None:
    world.budget.ask(Priority.CONFIRM, 1)
    world.answer(world.next(), used_weight=1915)
    for _ in range(3):
        world.budget.ask(Priority.CONFIRM, 2)
    assert [world.next().granted_ms // MINUTE_MS for _ in range(3)] == [0, 0, 1]


def test_a_smaller_estimate_of_the_time_does_not_start_the_same_minute_twice(world: World) -> None:
    world.monotonic_ms = MINUTE_MS
    assert world.spend(2, 5) == 2
    for _ in range(64):  # the clock forgets its best sample and is before the boundary again
        world.budget.clock.observe(world.now_ms - 700)
    assert world.budget.clock.now_ms() < NOON_MS + MINUTE_MS
    assert world.budget.snapshot().used_in_minute == 10
    world.monotonic_ms += 5_000
    assert world.budget.snapshot().used_in_minute == 10


def test_requests_are_sent_a_tenth_of_a_second_apart(world: World) -> None:
    times = world.times(Priority.HISTORY, 30)
    assert {second - first for first, second in pairwise(times)} == {100}


def test_the_confirmations_of_a_close_are_sent_together_up_to_ten_in_any_second(world: World) -> None:
    assert world.times(Priority.CONFIRM, 25) == [0] * 10 + [1_000] * 10 + [2_000] * 5


def test_confirmations_use_what_others_left_of_the_second_and_others_wait_for_them(world: World) -> None:
    for _ in range(4):
        world.budget.ask(Priority.HISTORY, 1)
    for _ in range(3):
        world.answer(world.next())
    assert world.monotonic_ms == 200
    for _ in range(8):
        world.budget.ask(Priority.CONFIRM, 1)
    left = [(world.next().priority, world.monotonic_ms) for _ in range(9)]
    assert left == [(Priority.CONFIRM, 200)] * 7 + [(Priority.CONFIRM, 1_000), (Priority.HISTORY, 1_100)]


def test_the_more_urgent_request_goes_first_and_equal_ones_in_order_of_arrival(world: World) -> None:
    asked = [
        world.budget.ask(priority, 1)
        for priority in (Priority.HISTORY, Priority.UNIVERSE, Priority.REPAIR, Priority.CONFIRM, Priority.REPAIR)
    ]
    granted = []
    for _ in asked:
        granted.append(world.next())
        world.answer(granted[-1])
    assert granted == [asked[3], asked[2], asked[4], asked[1], asked[0]]


def test_a_withdrawn_request_is_not_granted(world: World) -> None:
    gone = world.budget.ask(Priority.CONFIRM, 1)
    stays = world.budget.ask(Priority.HISTORY, 1)
    world.budget.withdraw(gone)
    assert world.next() is stays


def test_funding_requests_have_their_own_limit_per_five_minutes(world: World) -> None:
    for _ in range(200):
        world.budget.ask(Priority.HISTORY, 0, funding=True)
    for _ in range(135):  # 30 % of 500, less the tenth reserved for confirmations
        world.answer(world.next())
    assert world.monotonic_ms < 20_000
    candles = world.budget.ask(Priority.HISTORY, 1)
    assert world.next() is candles  # a used-up funding limit does not hold back candles
    world.answer(candles)
    world.monotonic_ms = 299_999
    assert world.budget.grant() is None
    world.next()
    assert world.monotonic_ms >= 300_000


def test_the_error_for_a_request_that_fits_no_minute_names_the_setting_to_raise() -> None:
    budget = World(share_percent=1).budget
    with pytest.raises(ShareTooSmall, match="weight_share_percent"):
        budget.ask(Priority.HISTORY, 40)


@pytest.mark.parametrize("share", [0, -1, 100.5])
def test_an_invalid_share_is_rejected(share: float) -> None:
    with pytest.raises(ValueError, match="weight_share_percent"):
        Budget(share)


def test_after_a_refusal_nothing_is_sent_until_one_probe_has_been_answered(world: World) -> None:
    for _ in range(5):
        world.budget.ask(Priority.HISTORY, 1)
    first, second = world.next(), world.next()
    world.answer(first, refusal=Refusal(429, 20))
    world.answer(second)
    probe = world.next()
    assert world.monotonic_ms >= 20_000
    assert (world.budget.grant(), world.budget.wait_ms()) == (None, None)
    world.answer(probe)
    assert world.budget.circuit.state is CircuitState.CLOSED
    world.next()
    assert world.budget.snapshot().refused == {429: 1}


def test_a_withdrawn_probe_makes_way_for_another(world: World) -> None:
    world.budget.ask(Priority.HISTORY, 1)
    world.answer(world.next(), refusal=Refusal(403, 10))
    world.budget.ask(Priority.HISTORY, 1)
    world.budget.withdraw(world.next())
    second = world.budget.ask(Priority.HISTORY, 1)
    assert world.next() is second


def test_requests_go_one_by_one_until_the_exchanges_time_is_known() -> None:
    now = [0]
    budget = Budget(clock=ExchangeClock(lambda: now[0], lambda: NOON_MS))
    first, second = budget.ask(Priority.UNIVERSE, 1), budget.ask(Priority.UNIVERSE, 1)
    assert budget.grant() is first
    now[0] = 5_000
    assert (budget.grant(), budget.wait_ms()) == (None, None)
    budget.finish(first, Limits(date_ms=NOON_MS - 3_600_000))
    assert budget.grant() is second
