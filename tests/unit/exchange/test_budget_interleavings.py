"""The budget against an exchange that counts: any interleaving of requests, responses and losses."""

from collections import Counter
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from exchange.budget import Budget, Priority, Ticket
from exchange.circuit import CircuitState
from exchange.clock import ExchangeClock
from exchange.limits import Limits, Refusal
from tests.support import examples

MINUTE_MS = 60_000
NOON_MS = 1_791_374_400_000

#: Milliseconds until a request or an answer arrives; now and then the network keeps one for seconds.
way = st.integers(0, 500) | st.sampled_from([4_000, 9_000])


@dataclass
class UnderWay:
    ticket: Ticket
    arrives_ms: int


class BudgetMachine(RuleBasedStateMachine):
    """One process and an exchange that counts what arrives, by its own clock, while others use the same address, too.

    Requests and responses take half a second to arrive, sometimes nine; a request that was given up may still arrive;
    the host's clock is wrong by any amount; and all the budget learns is a rounded `Date` and the weight header.
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
        self.left_ms: list[int] = []

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
        """Others leave that much below the stop, or exceed it."""
        self.others[self.minute] = max(self.others[self.minute], self.STOP - self.ours[self.minute] - left)

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 100), way_ms=way, count=st.sampled_from([1, 20]))
    def answer(self, which: int, way_ms: int, count: int) -> None:
        for _ in range(min(count, len(self.under_way))):
            self._answer(self.under_way.pop(which % len(self.under_way)), way_ms)

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 100), early_ms=st.sampled_from([0, 500, 9_000]))
    def lose(self, which: int, early_ms: int) -> None:
        """A request is given up, and may arrive that much later."""
        lost = self.under_way.pop(which % len(self.under_way))
        self.monotonic_ms = max(self.monotonic_ms, lost.arrives_ms - early_ms)
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
    def no_second_sees_more_than_ten_leave(self) -> None:
        if hasattr(self, "left_ms"):
            assert all(after - before >= 1_000 for before, after in zip(self.left_ms, self.left_ms[10:], strict=False))

    @invariant()
    def no_five_minutes_hold_more_than_our_share_of_the_funding_bucket(self) -> None:
        if hasattr(self, "funding_ms"):
            recent = [sent for sent in self.funding_ms if sent > self.monotonic_ms - 300_000]
            assert len(recent) <= 500 * self.SHARE_PERCENT // 100

    def teardown(self) -> None:
        """Nothing starves: once the exchange responds and no more requests come, all are sent in bounded time."""
        if not hasattr(self, "budget"):
            return
        weights = sum(ticket.weight for ticket in self.waiting)
        fundings = sum(ticket.funding for ticket in self.waiting)
        # The circuit's longest default wait, minutes in which a large request did not fit, funding windows.
        allowed_ms = 1_900_000 + (weights // 30 + 3) * MINUTE_MS + (fundings // 9 + 2) * 312_000
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
            self.left_ms.append(self.monotonic_ms)
            arrival = UnderWay(ticket, self.monotonic_ms + way_ms)
            arrival_minute = (self.offset_ms + arrival.arrives_ms) // MINUTE_MS
            self.ours[arrival_minute] += ticket.weight
            if not ticket.funding:
                known = self.told[arrival_minute] + self.since_told[arrival_minute] + ticket.weight
                assert known <= self.STOP, "sent although the header reported that the address is at its stop"
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


BudgetMachine.TestCase.settings = settings(max_examples=examples(150), stateful_step_count=40)
TestAnyInterleaving = BudgetMachine.TestCase


def begun(*, phase_ms: int, wrong_ms: int) -> BudgetMachine:
    """A machine for a sequence that a search has found; its invariants are checked by `lawful`."""
    machine = BudgetMachine()
    machine.begin(phase_ms=phase_ms, wrong_ms=wrong_ms)
    return machine


def told(*, phase_ms: int, way_ms: int = 0) -> BudgetMachine:
    """The same after the first response, which revealed the exchange's time; `way_ms` is its travel time."""
    machine = begun(phase_ms=phase_ms, wrong_ms=0)
    machine.ask(Priority.CONFIRM, weight=1, count=1)
    machine.send_what_may_leave(way_ms=0)
    machine.answer(which=0, way_ms=way_ms, count=1)
    return machine


def lawful(machine: BudgetMachine) -> None:
    machine.the_exchange_counts_no_more_than_our_share_in_any_of_its_minutes()
    machine.no_second_sees_more_than_ten_leave()
    machine.no_five_minutes_hold_more_than_our_share_of_the_funding_bucket()
    machine.teardown()


def test_requests_lost_before_the_first_response_count_in_the_minute_it_reveals() -> None:
    machine = begun(phase_ms=0, wrong_ms=-700)
    machine.ask(Priority.CONFIRM, weight=5, count=12)
    machine.send_what_may_leave(way_ms=0)
    machine.lose(0, early_ms=0)
    machine.wait_and_send(way_ms=0, wait_for=1)
    machine.lose(0, early_ms=0)
    machine.send_what_may_leave(way_ms=4_000)
    machine.answer(which=0, way_ms=0, count=1)
    machine.send_what_may_leave(way_ms=0)
    lawful(machine)


def test_a_request_lost_just_after_the_minute_began_counts_in_it_however_late_the_next_one_is() -> None:
    machine = told(phase_ms=50_000)
    machine.time_passes(9_000)
    machine.ask(Priority.CONFIRM, weight=5, count=12)
    machine.send_what_may_leave(way_ms=4_000)
    while machine.under_way:
        machine.lose(0, early_ms=0)
    machine.time_passes(9_000)
    machine.send_what_may_leave(way_ms=0)
    lawful(machine)


def test_a_slow_first_response_leaves_the_start_of_the_minute_uncertain() -> None:
    machine = told(phase_ms=50_000, way_ms=9_000)  # the budget's clock is nine seconds behind from now on
    machine.time_passes(1_000)
    machine.ask(Priority.CONFIRM, weight=5, count=9)
    machine.send_what_may_leave(way_ms=0)
    while machine.under_way:
        machine.lose(0, early_ms=0)
    machine.ask(Priority.CONFIRM, weight=5, count=9)
    machine.time_passes(9_000)
    machine.send_what_may_leave(way_ms=0)
    lawful(machine)


def test_a_request_that_arrives_after_it_was_given_up_counts_when_it_arrives() -> None:
    machine = told(phase_ms=50_000)
    machine.ask(Priority.CONFIRM, weight=5, count=18)
    machine.time_passes(1_000)
    machine.send_what_may_leave(way_ms=9_000)
    while machine.under_way:
        machine.lose(0, early_ms=9_000)
    machine.time_passes(9_000)
    machine.send_what_may_leave(way_ms=0)
    lawful(machine)
