"""Whatever happens to a pair's intervals, stores and collector, the stores end with what the exchange settled.

Law, book and plan are the collector's own; exchange, two stores and process are a few lines here. Two promises:

    lasting intervals, losses far apart    the settlements around a loss reveal it
    anything                               a check of every day of the history restores what is left

In both cases, once everything is right, a check requests nothing.
"""

from dataclasses import dataclass, field

from hypothesis import example, given
from hypothesis import strategies as st

from collector.history.settlement import Book, count, day_of_turn, hours, not_among, plan
from exchange.settlements import HOUR_MS, Stretch, slot_ms

PAIR = "BTC/USDT:USDT"
START_HOUR = 1_791_331_200_000 // HOUR_MS
DAYS = 6
ROUNDS = 4

type Step = tuple[str, int, int]
"""(what, which store, how many or which)"""


@dataclass
class Exchange:
    """What it settled, each dated some ms late, and the present interval."""

    hour: int = START_HOUR
    interval_hours: int = 8
    listed: bool = True
    settled: list[int] = field(default_factory=list)

    def pass_hours(self, count: int) -> None:
        for _ in range(count):
            self.hour += 1
            if self.hour % self.interval_hours == 0:
                self.settled.append(self.hour * HOUR_MS + self.hour % 5)

    @property
    def now_ms(self) -> int:
        return self.hour * HOUR_MS + 20 * 60_000

    def rates(self, first_ms: int, last_ms: int) -> list[int]:
        return [at for at in self.settled if first_ms <= slot_ms(at) <= last_ms]


class Run:
    """One pair, its two stores, and a collector that checks them when a step asks for it."""

    def __init__(self) -> None:
        self.exchange = Exchange()
        self.stores: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.book = Book()
        self.requests = 0
        self.exchange.pass_hours(DAYS * 24)
        self.look()

    def step(self, what: str, which: int, number: int) -> None:
        match what:
            case "hours":
                self.exchange.pass_hours(number)
            case "interval" | "blip":
                self.exchange.interval_hours = (8, 4, 2, 1)[number % 4]
                self.exchange.listed = self.exchange.interval_hours != 8
                self.exchange.pass_hours(self.exchange.interval_hours * 4 if what == "interval" else 0)
            case "look":
                self.look()
            case "follow":  # a running collector has checked the history before it follows
                self.look()
                for _ in range(number):
                    self.exchange.pass_hours(1)
                    self.fetch(self.exchange.hour * HOUR_MS, self.exchange.hour * HOUR_MS)
            case "lose":
                self.lose(self.stores[which], number)
            case "lose everywhere":
                self.lose(self.stores[0], number)
                self.lose(self.stores[1], number)
            case "kill":
                self.book = Book()

    def lose(self, store: dict[int, int], number: int) -> None:
        if store:
            del store[sorted(store)[number % len(store)]]

    def look(self) -> None:
        """One check of the history, as in collector/history/funding.py."""
        last_ms = self.exchange.now_ms
        first_ms = last_ms - DAYS * 24 * HOUR_MS
        self.book.forget_before(first_ms - HOUR_MS)
        asked: dict[str, set[int]] = {}
        for _ in range(ROUNDS):
            new = not_among({PAIR: self.lacking(first_ms, last_ms)}, asked)
            if not new:
                break
            asked.setdefault(PAIR, set()).update(*(stretch.slots for stretch in new[PAIR]))
            assert plan(hours(new)).requests == 1
            stretches = new[PAIR]
            self.fetch(min(one.first_ms for one in stretches), max(one.last_ms for one in stretches))
            left = (slot for one in stretches for slot in one.slots if any(slot not in held for held in self.stores))
            self.book.note_answer(PAIR, left, last_ms)

    def look_at_every_day(self) -> None:
        """Twice as many hours as the history has days; in each hour one of the days is checked."""
        for _ in range(2 * DAYS):
            self.exchange.pass_hours(1)
            self.fetch(*day_of_turn(self.exchange.now_ms, DAYS * 24))

    def lacking(self, first_ms: int, last_ms: int) -> list[Stretch]:
        exchange = self.exchange
        return self.book.lacking(
            PAIR,
            [store.keys() for store in self.stores],
            interval_hours=exchange.interval_hours if exchange.listed else None,
            listed_ms=0,
            first_ms=first_ms,
            last_ms=last_ms,
        )

    def fetch(self, first_ms: int, last_ms: int) -> None:
        self.requests += 1
        for at in self.exchange.rates(first_ms, last_ms):
            for store in self.stores:
                store.setdefault(slot_ms(at), at)

    def assert_whole(self) -> None:
        """Every store has everything that settled in the history, and the next check confirms it."""
        first_ms = self.exchange.now_ms - DAYS * 24 * HOUR_MS
        truth = {slot_ms(at): at for at in self.exchange.settled if at >= first_ms}
        for store in self.stores:
            assert {slot: at for slot, at in store.items() if slot >= first_ms} == truth
        self.look()
        before = self.requests
        self.look()
        # What should have settled in the current hour may still arrive: only that is requested again.
        again = self.lacking(first_ms, self.exchange.now_ms)
        assert self.requests - before <= count({PAIR: again}) <= 1


def steps(*kinds: str) -> st.SearchStrategy[list[Step]]:
    step = st.tuples(st.sampled_from(kinds), st.integers(0, 1), st.integers(0, 40))
    return st.lists(step, max_size=40)


@given(steps("hours", "interval", "look", "follow", "kill", "lose"))
@example([("interval", 0, 1), ("interval", 0, 3), ("look", 0, 0), ("kill", 0, 0), ("lose", 1, 20)])
def test_what_one_of_two_stores_loses_is_restored_whatever_the_intervals(taken: list[Step]) -> None:
    run = Run()
    for step in taken:
        run.step(*step)
    run.look()
    run.assert_whole()


@given(steps("hours", "interval", "look", "follow", "kill"), st.integers(0, 400))
@example([("interval", 0, 1), ("interval", 0, 0), ("look", 0, 0)], 30)  # every 4 h, then every 8 h: one of 4 h is lost
def test_a_settlement_lost_everywhere_is_found_from_those_around_it(taken: list[Step], lost: int) -> None:
    run = Run()
    for step in taken:
        run.step(*step)
    run.look()
    run.assert_whole()
    run.step("lose everywhere", 0, lost)
    run.step("kill", 0, 0)
    run.look()
    run.assert_whole()


@given(steps("hours", "interval", "blip", "look", "follow", "kill", "lose", "lose everywhere", "lose everywhere"))
def test_after_a_check_of_every_day_everything_is_right_whatever_happened(taken: list[Step]) -> None:
    run = Run()
    for step in taken:
        run.step(*step)
    run.look()
    run.look_at_every_day()
    run.look()
    run.assert_whole()


def test_a_fresh_store_is_filled_with_settlements_of_all_past_intervals_in_two_requests() -> None:
    run = Run()
    for interval in (3, 1, 2, 0):
        run.step("interval", 0, interval)
    fresh = Run()
    fresh.exchange, fresh.stores, fresh.requests = run.exchange, ({}, {}), 0
    fresh.look()
    assert fresh.requests == 2  # everything, and once more around the changes of interval
    fresh.assert_whole()
