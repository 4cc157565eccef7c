"""The budget: its rules one by one, and then any interleaving of requests, answers and losses against an exchange."""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from exchange.budget import Budget, Priority, Ticket
from exchange.circuit import CircuitState
from exchange.clock import ExchangeClock
from exchange.errors import ShareTooSmall
from exchange.limits import Limits, Refusal

MINUTE_MS = 60_000
NOON_MS = 1_791_374_400_000


class World:
    """A clock moved by hand, and an exchange that answers at once."""

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
        """The next ticket granted, with the clock moved to it."""
        while (ticket := self.budget.grant()) is None:
            wait_ms = self.budget.wait_ms()
            assert wait_ms is not None
            self.monotonic_ms += wait_ms
        return ticket

    def answer(self, ticket: Ticket, used_weight: int | None = None, refusal: Refusal | None = None) -> None:
        self.budget.finish(ticket, Limits(used_weight, self.now_ms // 1000 * 1000, refusal))

    def spend(self, count: int, weight: int, priority: Priority = Priority.HISTORY) -> int:
        """Ask `count` times and answer what is granted within this minute; how many that was."""
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


def test_history_stops_short_of_the_share_and_a_confirmation_still_leaves_at_once(world: World) -> None:
    assert world.spend(200, 5) == 129  # 645 of 720, 72 are kept for confirmations
    started_ms = world.monotonic_ms
    world.budget.ask(Priority.HISTORY, 5)
    confirm = world.budget.ask(Priority.CONFIRM, 1)
    assert world.next() is confirm
    assert world.monotonic_ms - started_ms <= 100


def test_the_share_is_new_at_the_exchanges_next_minute(world: World) -> None:
    assert world.spend(200, 5) == 129
    ticket = world.budget.ask(Priority.HISTORY, 5)
    assert world.next() is ticket
    assert world.now_ms == NOON_MS + MINUTE_MS


def test_what_others_behind_the_address_spend_counts_up_to_80_percent(world: World) -> None:
    world.budget.ask(Priority.CONFIRM, 1)
    world.answer(world.next(), used_weight=1919)
    world.budget.ask(Priority.CONFIRM, 1)
    world.answer(world.next(), used_weight=1920)
    ticket = world.budget.ask(Priority.CONFIRM, 1)
    assert world.next() is ticket
    assert world.now_ms == NOON_MS + MINUTE_MS


def test_a_header_that_belongs_to_the_minute_before_is_not_held_against_this_one(world: World) -> None:
    world.budget.ask(Priority.CONFIRM, 1)
    late = world.next()
    world.monotonic_ms += MINUTE_MS + 500
    world.budget.finish(late, Limits(used_weight=2390, date_ms=NOON_MS + 59_000))
    world.budget.ask(Priority.CONFIRM, 1)
    world.next()
    assert world.now_ms == NOON_MS + MINUTE_MS + 500


def test_a_request_under_way_at_the_boundary_counts_in_both_minutes(world: World) -> None:
    world.monotonic_ms = 30_000
    world.budget.ask(Priority.HISTORY, 10)
    world.next()
    world.monotonic_ms = MINUTE_MS + 1
    assert world.budget.snapshot().used_in_minute == 10


def test_a_request_just_before_the_boundary_counts_in_both_minutes_and_in_no_third(world: World) -> None:
    world.monotonic_ms = 59_000
    assert world.spend(1, 10) == 1
    world.monotonic_ms = MINUTE_MS
    assert world.budget.snapshot().used_in_minute == 10
    world.monotonic_ms = 2 * MINUTE_MS
    assert world.budget.snapshot().used_in_minute == 0


def test_requests_the_header_cannot_know_of_yet_count_beside_it(world: World) -> None:
    world.budget.ask(Priority.CONFIRM, 1)
    world.answer(world.next(), used_weight=1915)
    for _ in range(3):
        world.budget.ask(Priority.CONFIRM, 2)
    assert [world.next().granted_ms // MINUTE_MS for _ in range(3)] == [0, 0, 1]


def test_a_smaller_estimate_of_the_time_does_not_open_the_same_minute_twice(world: World) -> None:
    world.monotonic_ms = MINUTE_MS
    assert world.spend(2, 5) == 2
    for _ in range(64):  # the clock forgets its best sample, and is now before the boundary again
        world.budget.clock.observe(world.now_ms - 700)
    assert world.budget.clock.now_ms() < NOON_MS + MINUTE_MS
    assert world.budget.snapshot().used_in_minute == 10
    world.monotonic_ms += 5_000
    assert world.budget.snapshot().used_in_minute == 10


def test_requests_leave_a_tenth_of_a_second_apart(world: World) -> None:
    for _ in range(30):
        world.budget.ask(Priority.HISTORY, 1)
    times = []
    for _ in range(30):
        world.answer(world.next())
        times.append(world.monotonic_ms)
    assert {second - first for first, second in pairwise(times)} == {100}


def test_the_confirmations_of_a_close_leave_together_up_to_ten_in_any_second(world: World) -> None:
    for _ in range(25):
        world.budget.ask(Priority.CONFIRM, 1)
    times = []
    for _ in range(25):
        world.answer(world.next())
        times.append(world.monotonic_ms)
    assert times == [0] * 10 + [1_000] * 10 + [2_000] * 5


def test_confirmations_fill_what_others_left_of_the_second_and_others_wait_for_them(world: World) -> None:
    for _ in range(4):
        world.budget.ask(Priority.HISTORY, 1)
    for _ in range(3):
        world.answer(world.next())
    assert world.monotonic_ms == 200
    for _ in range(8):
        world.budget.ask(Priority.CONFIRM, 1)
    left = [(world.next().priority, world.monotonic_ms) for _ in range(9)]
    assert left == [(Priority.CONFIRM, 200)] * 7 + [(Priority.CONFIRM, 1_000), (Priority.HISTORY, 1_100)]


def test_the_more_urgent_goes_first_and_equals_in_the_order_they_came(world: World) -> None:
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


def test_funding_requests_have_their_own_bucket_of_five_minutes(world: World) -> None:
    for _ in range(200):
        world.budget.ask(Priority.HISTORY, 0, funding=True)
    for _ in range(135):  # 30 % of 500, less the tenth kept for confirmations
        world.answer(world.next())
    assert world.monotonic_ms < 20_000
    candles = world.budget.ask(Priority.HISTORY, 1)
    assert world.next() is candles  # a full bucket holds no candles back
    world.answer(candles)
    world.monotonic_ms = 299_999
    assert world.budget.grant() is None
    world.next()
    assert world.monotonic_ms >= 300_000


def test_a_request_that_fits_no_minute_says_which_setting_to_raise() -> None:
    budget = World(share_percent=1).budget
    with pytest.raises(ShareTooSmall, match="weight_share_percent"):
        budget.ask(Priority.HISTORY, 40)


@pytest.mark.parametrize("share", [0, -1, 100.5])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="weight_share_percent"):
        Budget(share)


def test_after_a_refusal_nothing_leaves_until_one_probe_has_been_answered(world: World) -> None:
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


def test_a_withdrawn_probe_leaves_the_way_to_another(world: World) -> None:
    world.budget.ask(Priority.HISTORY, 1)
    world.answer(world.next(), refusal=Refusal(403, 10))
    world.budget.ask(Priority.HISTORY, 1)
    world.budget.withdraw(world.next())
    second = world.budget.ask(Priority.HISTORY, 1)
    assert world.next() is second


def test_before_the_exchange_has_told_its_time_requests_go_one_by_one() -> None:
    now = [0]
    budget = Budget(clock=ExchangeClock(lambda: now[0], lambda: NOON_MS))
    first, second = budget.ask(Priority.UNIVERSE, 1), budget.ask(Priority.UNIVERSE, 1)
    assert budget.grant() is first
    now[0] = 5_000
    assert (budget.grant(), budget.wait_ms()) == (None, None)
    budget.finish(first, Limits(date_ms=NOON_MS - 3_600_000))
    assert budget.grant() is second


#: Milliseconds until a request arrives; now and then the network keeps one for seconds.
way = st.integers(0, 500) | st.sampled_from([4_000, 9_000])


@dataclass
class UnderWay:
    ticket: Ticket
    arrives_ms: int


class BudgetMachine(RuleBasedStateMachine):
    """One process against an exchange that counts what arrives by its own clock, as others spend from the same address.

    Requests take half a second to arrive, sometimes nine, and any time to be answered, the host's clock is wrong by any
    amount, and all the budget learns is a rounded `Date` and the weight header.
    """

    SHARE_PERCENT, IP_LIMIT = 2, 2400
    SHARE, STOP = 48, 1920

    @initialize(
        phase_ms=st.integers(0, MINUTE_MS), wrong_ms=st.sampled_from([0, 700, -700, 45_000, -86_400_000, 3_600_000])
    )
    def begin(self, phase_ms: int, wrong_ms: int) -> None:
        self.monotonic_ms = 0
        self.offset_ms = NOON_MS + phase_ms
        self.budget = Budget(
            self.SHARE_PERCENT,
            self.IP_LIMIT,
            clock=ExchangeClock(lambda: self.monotonic_ms, lambda: self.offset_ms + wrong_ms),
        )
        self.waiting: list[Ticket] = []
        self.under_way: list[UnderWay] = []
        self.ours: Counter[int] = Counter()
        self.others: Counter[int] = Counter()
        self.told: Counter[int] = Counter()
        self.since_told: Counter[int] = Counter()
        self.funding_ms: list[int] = []

    @property
    def minute(self) -> int:
        return (self.offset_ms + self.monotonic_ms) // MINUTE_MS

    @rule(
        priority=st.sampled_from(Priority), weight=st.sampled_from([1, 1, 2, 5, 10]), count=st.sampled_from([1, 4, 12])
    )
    def ask(self, priority: Priority, weight: int, count: int) -> None:
        self.waiting += [self.budget.ask(priority, weight) for _ in range(count)]

    @rule(priority=st.sampled_from(Priority), count=st.sampled_from([1, 15]))
    def ask_funding(self, priority: Priority, count: int) -> None:
        self.waiting += [self.budget.ask(priority, 0, funding=True) for _ in range(count)]

    @rule(way_ms=way)
    def send_what_may_leave(self, way_ms: int) -> None:
        self._send(way_ms)

    @rule(way_ms=way, wait_for=st.integers(1, 20))
    def wait_and_send(self, way_ms: int, wait_for: int) -> None:
        for _ in range(wait_for):
            wait_ms = self.budget.wait_ms()
            if wait_ms is None:
                return
            self.monotonic_ms += wait_ms
            self._send(way_ms)

    @rule(ms=st.sampled_from([1, 90, 1_000, 9_000, 59_999]))
    def time_passes(self, ms: int) -> None:
        self.monotonic_ms += ms

    @rule(left=st.integers(-5, 40))
    def others_spend(self, left: int) -> None:
        """They leave that much below the stop, or are beyond it."""
        self.others[self.minute] = max(self.others[self.minute], self.STOP - self.ours[self.minute] - left)

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 100), way_ms=st.integers(0, 500), count=st.sampled_from([1, 20]))
    def answer(self, which: int, way_ms: int, count: int) -> None:
        for _ in range(min(count, len(self.under_way))):
            self._answer(self.under_way.pop(which % len(self.under_way)), way_ms)

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 100))
    def lose(self, which: int) -> None:
        lost = self.under_way.pop(which % len(self.under_way))
        self.monotonic_ms = max(self.monotonic_ms, lost.arrives_ms)
        self.budget.finish(lost.ticket, None)

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 100), status=st.sampled_from([403, 429]), seconds=st.sampled_from([None, 3.0]))
    def refuse(self, which: int, status: int, seconds: float | None) -> None:
        self._answer(self.under_way.pop(which % len(self.under_way)), 0, Refusal(status, seconds))

    @precondition(lambda self: self.waiting)
    @rule(which=st.integers(0, 100))
    def give_up(self, which: int) -> None:
        self.budget.withdraw(self.waiting.pop(which % len(self.waiting)))

    @invariant()
    def the_exchange_counts_no_more_than_our_share_in_any_of_its_minutes(self) -> None:
        if hasattr(self, "ours"):
            assert all(spent <= self.SHARE for spent in self.ours.values())

    @invariant()
    def no_five_minutes_hold_more_than_our_share_of_the_funding_bucket(self) -> None:
        if hasattr(self, "funding_ms"):
            recent = [sent for sent in self.funding_ms if sent > self.monotonic_ms - 300_000]
            assert len(recent) <= 500 * self.SHARE_PERCENT // 100

    def teardown(self) -> None:
        """Nobody starves: when the exchange answers again and nobody asks more, all that wait leave in bounded time."""
        if not hasattr(self, "budget"):
            return
        weights = sum(ticket.weight for ticket in self.waiting)
        fundings = sum(ticket.funding for ticket in self.waiting)
        # The circuit's longest wait by default, minutes in which a large request did not fit the rest, funding windows.
        allowed_ms = 1_900_000 + (weights // 30 + 3) * MINUTE_MS + (fundings // 9 + 2) * 302_000
        deadline_ms = self.monotonic_ms + allowed_ms
        while self.waiting or self.under_way:
            while self.under_way:
                self._answer(self.under_way.pop(), 0)
            self._send(0)
            if self.waiting and not self.under_way:
                wait_ms = self.budget.wait_ms()
                assert wait_ms is not None
                self.monotonic_ms += wait_ms
            assert self.monotonic_ms <= deadline_ms

    def _send(self, way_ms: int) -> None:
        while (ticket := self.budget.grant()) is not None:
            for other in self.waiting:
                if other.funding == ticket.funding:
                    assert other.priority >= ticket.priority, "a more urgent request was passed over"
            if self.budget.circuit.state is not CircuitState.CLOSED:
                assert ticket.probe
            self.waiting.remove(ticket)
            arrival = UnderWay(ticket, self.monotonic_ms + way_ms)
            arrival_minute = (self.offset_ms + arrival.arrives_ms) // MINUTE_MS
            self.ours[arrival_minute] += ticket.weight
            if not ticket.funding:
                known = self.told[arrival_minute] + self.since_told[arrival_minute] + ticket.weight
                assert known <= self.STOP, "sent although the header said that the address is at its stop"
            self.since_told[arrival_minute] += ticket.weight
            if ticket.funding:
                self.funding_ms.append(arrival.arrives_ms)
            self.under_way.append(arrival)

    def _answer(self, arrival: UnderWay, way_ms: int, refusal: Refusal | None = None) -> None:
        self.monotonic_ms = max(self.monotonic_ms, arrival.arrives_ms)
        minute = self.minute
        date_ms = (self.offset_ms + self.monotonic_ms) // 1000 * 1000
        used = None if arrival.ticket.funding else self.ours[minute] + self.others[minute]
        self.monotonic_ms += way_ms
        if used is not None:
            self.told[minute] = max(self.told[minute], used)
            self.since_told[minute] = 0
        self.budget.finish(arrival.ticket, Limits(used, date_ms, refusal))


BudgetMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestAnyInterleaving = BudgetMachine.TestCase
