"""What this process may ask the exchange, and which request goes first. Pure: the clock is injected, `gate` waits.

Binance counts request weight per IP and **UTC clock minute** (measured; not a sliding window), reports the sum in
`X-MBX-USED-WEIGHT-1M`, and allows 2,400 ("General Info", IP Limits). Funding routes have a limit of their own: 500
requests per 5 minutes and IP. A request is sent when all of these hold:

* this process has spent less than its share of the minute, and all users of the IP together less than 80 %;
* a tenth of the share is left, unless it is a CONFIRM: a long fill cannot starve the confirmation of closes;
* nothing more urgent is waiting, and it is not the eleventh within a second (the firewall's threshold is unknown). A
  CONFIRM is sent at once, so that the closes of many pairs are known together; others 100 ms after the previous one;
* the circuit is closed, or it is the single probe of a half-open circuit.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from dataclasses import dataclass
from enum import Enum, IntEnum, auto

from exchange.circuit import Circuit, CircuitState
from exchange.clock import ExchangeClock
from exchange.errors import ShareTooSmall
from exchange.limits import Limits

MINUTE_MS = 60_000
FUNDING_WINDOW_MS = 300_000
FUNDING_LIMIT = 500
STOP_PERCENT = 80
CONFIRM_RESERVE_PERCENT = 10
SECOND_MS = 1_000

#: Date headers are rounded to the second and responses take time to arrive: requests that ended this close to the end
#: of a minute, or within the clock's uncertainty, count in both minutes, as do those still in flight. So uncertainty
#: about the boundary never leads to spending more than the share.
BOUNDARY_MS = 2_000

#: A request that was given up may sit in the kernel's send buffer and reach the exchange once the network is back.
LOST_MS = 10_000


class Priority(IntEnum):
    """Which request goes first: confirming a due close, repairing a gap, the list of symbols, then history."""

    CONFIRM = 0
    REPAIR = 1
    UNIVERSE = 2
    HISTORY = 3


class _State(Enum):
    WAITING = auto()
    GRANTED = auto()
    DONE = auto()


@dataclass(slots=True, eq=False)
class Ticket:
    """One request's place in the queue, and later its entry in the books."""

    priority: Priority
    weight: int
    funding: bool
    asked_ms: int
    granted_ms: int = 0
    over_ms: int = 0
    probe: bool = False
    reported: bool = False
    state: _State = _State.WAITING


@dataclass(frozen=True, slots=True)
class BudgetSnapshot:
    """The books at one moment, in Binance's request weight. Totals count since the start, by priority or status.

    `used_in_minute` is what this process used in the exchange's UTC minute, at most `share`; `ip_used_in_minute` is
    what all users of this IP used, as last reported, and nothing is sent beyond `stop`. `funding_requests` are those of
    the last 5 minutes, at most `funding_share`. A wait is a request that could not be sent at once.
    """

    share: int
    stop: int
    used_in_minute: int
    ip_used_in_minute: int
    funding_requests: int
    funding_share: int
    circuit: CircuitState
    circuit_wait_seconds: float
    circuit_opened_total: int
    refused: dict[int, int]
    waiting: dict[Priority, int]
    requests_total: dict[Priority, int]
    weight_total: dict[Priority, int]
    waits_total: dict[Priority, int]
    wait_seconds_total: dict[Priority, float]

    @property
    def circuit_open(self) -> bool:
        """Whether a refusal still holds back requests."""
        return self.circuit is not CircuitState.CLOSED


class Budget:
    """The books and the queue of one process. One client uses it, through `gate.Gate`.

    `share_percent` is this process's part of `ip_limit` (weight per minute of the whole IP) and of the funding limit.
    Raises ValueError if it is not within 1 to 100.
    """

    def __init__(
        self,
        share_percent: float = 30,
        ip_limit: int = 2400,
        *,
        requests_per_second: int = 10,
        clock: ExchangeClock | None = None,
    ) -> None:
        if not 1 <= share_percent <= 100:
            raise ValueError(f"weight_share_percent = {share_percent} is not within 1 to 100")
        self.clock = clock or ExchangeClock()
        self.circuit = Circuit(self.clock.monotonic_ms)
        self._stop = ip_limit * STOP_PERCENT // 100
        self._share = min(int(ip_limit * share_percent // 100), self._stop)
        self._reserve = self._share * CONFIRM_RESERVE_PERCENT // 100
        self._funding_share = int(FUNDING_LIMIT * min(share_percent, STOP_PERCENT) // 100)
        self._funding_reserve = self._funding_share * CONFIRM_RESERVE_PERCENT // 100
        self._spacing_ms = SECOND_MS // requests_per_second
        self._left_ms: deque[int] = deque(maxlen=requests_per_second)
        self._minute_ms: int | None = None
        self._header = 0
        self._header_at_ms = 0
        self._spent: list[Ticket] = []
        self._funding_spent: list[Ticket] = []
        self._in_flight = 0
        self._answered = self.clock.known
        self._queues: dict[bool, list[tuple[Priority, int, Ticket]]] = {False: [], True: []}
        self._asked = 0
        self._refused: Counter[int] = Counter()
        self._requests_total: Counter[Priority] = Counter()
        self._weight_total: Counter[Priority] = Counter()
        self._waits_total: Counter[Priority] = Counter()
        self._wait_ms_total: Counter[Priority] = Counter()

    def ask(self, priority: Priority, weight: int, *, funding: bool = False) -> Ticket:
        """Queue a request. Raises ShareTooSmall if it could not be sent even in an empty minute."""
        if weight > self._share - self._reserve_before(priority, self._reserve):
            raise ShareTooSmall(
                f"a request of weight {weight} exceeds this process's share of {self._share} a minute",
                "raise exchange.weight_share_percent",
            )
        ticket = Ticket(priority, weight, funding, asked_ms=self.clock.monotonic_ms())
        self._asked += 1
        heapq.heappush(self._queues[funding], (priority, self._asked, ticket))
        return ticket

    def grant(self) -> Ticket | None:
        """Return the ticket whose request is sent now, or None if none may be sent; see `wait_ms`."""
        self._roll()
        now = self.clock.monotonic_ms()
        if self._blocked_by_answer() or self.circuit.wait_ms():
            return None
        heads = [head for head in (self._head(False), self._head(True)) if head and self._fits(head[2])]
        if not heads:
            return None
        ticket = min(heads)[2]
        if now < self._next_slot_ms(ticket.priority):
            return None
        heapq.heappop(self._queues[ticket.funding])
        self._book(ticket, now)
        return ticket

    def wait_ms(self) -> int | None:
        """Return how long until `grant` is worth another try; None if only a response or a request can change it."""
        self._roll()
        now = self.clock.monotonic_ms()
        waits = []
        for funding in (False, True):
            if head := self._head(funding):
                room_ms = 0 if self._fits(head[2]) else self._next_room_ms(now, funding=funding)
                waits.append(max(room_ms, self._next_slot_ms(head[0]) - now))
        if not waits or self._blocked_by_answer():
            return None
        return max(1, min(waits), self.circuit.wait_ms())

    def finish(self, ticket: Ticket, limits: Limits | None) -> None:
        """Record that a granted request is over; `limits` is None if there was no response."""
        if limits is None:
            self._leave(ticket, LOST_MS)
            self.circuit.lost(probe=ticket.probe)
            return
        self._leave(ticket)
        self._answered = True
        if limits.date_ms is not None:
            self.clock.observe(limits.date_ms, ticket.granted_ms)
        self._roll()
        if limits.used_weight is not None:
            ticket.reported = True
            if limits.date_ms is None or _minute_of(limits.date_ms) == self._minute_ms:
                self._header = max(self._header, limits.used_weight)
                self._header_at_ms = self.clock.monotonic_ms()
        if limits.refusal is not None:
            self._refused[limits.refusal.status] += 1
            self.circuit.refused(limits.refusal, probe=ticket.probe)
        else:
            self.circuit.answered(probe=ticket.probe)

    def withdraw(self, ticket: Ticket) -> None:
        """Record that the request will not be sent after all, granted or not."""
        if ticket.state is _State.GRANTED:
            self._leave(ticket)
            if ticket.probe:
                self.circuit.cancel_probe()
        ticket.state = _State.DONE

    def snapshot(self) -> BudgetSnapshot:
        """Return the current state of the books."""
        self._roll()
        waiting = Counter(
            priority for queue in self._queues.values() for priority, _, ticket in queue if _is_waiting(ticket)
        )
        return BudgetSnapshot(
            share=self._share,
            stop=self._stop,
            used_in_minute=self._minute_weight(),
            ip_used_in_minute=self._header,
            funding_requests=len(self._funding_spent),
            funding_share=self._funding_share,
            circuit=self.circuit.state,
            circuit_wait_seconds=self.circuit.wait_ms() / 1000,
            circuit_opened_total=self.circuit.opened_total,
            refused=dict(self._refused),
            waiting={priority: waiting[priority] for priority in Priority},
            requests_total={priority: self._requests_total[priority] for priority in Priority},
            weight_total={priority: self._weight_total[priority] for priority in Priority},
            waits_total={priority: self._waits_total[priority] for priority in Priority},
            wait_seconds_total={priority: self._wait_ms_total[priority] / 1000 for priority in Priority},
        )

    def _head(self, funding: bool) -> tuple[Priority, int, Ticket] | None:
        queue = self._queues[funding]
        while queue and not _is_waiting(queue[0][2]):
            heapq.heappop(queue)
        return queue[0] if queue else None

    def _fits(self, ticket: Ticket) -> bool:
        if ticket.funding:
            reserve = self._reserve_before(ticket.priority, self._funding_reserve)
            return len(self._funding_spent) < self._funding_share - reserve
        reserve = self._reserve_before(ticket.priority, self._reserve)
        unreported = sum(spent.weight for spent in self._spent if not spent.reported)
        own_room = self._share - reserve - self._minute_weight()
        ip_room = self._stop - reserve - self._header - unreported
        return ticket.weight <= min(own_room, ip_room)

    @staticmethod
    def _reserve_before(priority: Priority, reserve: int) -> int:
        return 0 if priority is Priority.CONFIRM else reserve

    def _minute_weight(self) -> int:
        return sum(ticket.weight for ticket in self._spent)

    def _next_room_ms(self, now: int, *, funding: bool) -> int:
        """How long until weight, or a slot among the funding requests, may be free again."""
        if funding:
            return FUNDING_WINDOW_MS - max(_age_ms(ticket, now) for ticket in self._funding_spent)
        if self._minute_ms is None:
            ages_ms = [_age_ms(ticket, now) for ticket in self._spent]
            return MINUTE_MS - max(ages_ms, default=now - self._header_at_ms)
        return self._minute_ms + MINUTE_MS - self.clock.now_ms()

    def _next_slot_ms(self, priority: Priority) -> int:
        """The monotonic time from which earlier requests leave room for one of this priority."""
        full = len(self._left_ms) == self._left_ms.maxlen
        slot_ms = self._left_ms[0] + SECOND_MS if full else 0
        if self._left_ms and priority is not Priority.CONFIRM:
            slot_ms = max(slot_ms, self._left_ms[-1] + self._spacing_ms)
        return slot_ms

    def _blocked_by_answer(self) -> bool:
        """One at a time: the very first request, which reveals the exchange's time, and a half-open circuit's probe."""
        return (not self._answered and self._in_flight > 0) or self.circuit.probing

    def _book(self, ticket: Ticket, now: int) -> None:
        ticket.state = _State.GRANTED
        ticket.granted_ms = now
        if self.circuit.status is not None:
            ticket.probe = True
            self.circuit.begin_probe()
        self._left_ms.append(now)
        self._in_flight += 1
        if ticket.funding:
            self._funding_spent.append(ticket)
        else:
            self._spent.append(ticket)
        self._requests_total[ticket.priority] += 1
        self._weight_total[ticket.priority] += ticket.weight
        if now > ticket.asked_ms:
            self._waits_total[ticket.priority] += 1
            self._wait_ms_total[ticket.priority] += now - ticket.asked_ms

    def _leave(self, ticket: Ticket, later_ms: int = 0) -> None:
        """The request is over here now, and at the exchange `later_ms` from now."""
        self._in_flight -= 1
        ticket.state = _State.DONE
        ticket.over_ms = self.clock.monotonic_ms() + later_ms

    def _roll(self) -> None:
        """Start a new minute in the books when the exchange does."""
        now = self.clock.monotonic_ms()
        # The exchange counted a request no later than its end here, so the window starts there.
        self._funding_spent = [ticket for ticket in self._funding_spent if _age_ms(ticket, now) < FUNDING_WINDOW_MS]
        if not self.clock.known:
            # The minute is not known yet: any that contains a part of the last 60 seconds may be the exchange's.
            self._spent = [ticket for ticket in self._spent if _age_ms(ticket, now) < MINUTE_MS]
            if now - self._header_at_ms >= MINUTE_MS:
                self._header = 0
            return
        exchange_ms = self.clock.now_ms()
        if self._minute_ms is not None and -MINUTE_MS < exchange_ms - self._minute_ms < MINUTE_MS:
            return  # the same minute, or a smaller estimate just after it began
        self._minute_ms = _minute_of(exchange_ms)
        self._header = 0
        # Measured from the start of the minute, not from now: that may be long past when the clock becomes known, or
        # after a quiet period.
        latest_ms = max(self.clock.latest_ms(), exchange_ms + BOUNDARY_MS)
        age_ms = latest_ms - self._minute_ms
        self._spent = [ticket for ticket in self._spent if _age_ms(ticket, now) <= age_ms]


def _minute_of(exchange_ms: int) -> int:
    return exchange_ms // MINUTE_MS * MINUTE_MS


def _is_waiting(ticket: Ticket) -> bool:
    return ticket.state is _State.WAITING


def _age_ms(ticket: Ticket, now_ms: int) -> int:
    """How long ago its request was over at the exchange; 0 while it may still be in flight."""
    return max(0, now_ms - ticket.over_ms) if ticket.state is _State.DONE else 0
