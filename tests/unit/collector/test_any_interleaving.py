"""Whatever two collectors see, in any order, the store they share ends up with the exchange's truth.

Finality, ledger and comparison are the collector's own; exchange, spools and store are a few lists here. The promises,
each of which needs more machinery than the previous one:

    nothing is killed, and every lie is contradicted     frames and confirmed closes are enough
    no lies                                              the ledger restores what a kill lost
    REST lacks candles, or has impossible rows           the pair continues at once, the ledger asks again
    the listing date is wrong                            candles before the first one are no gaps once it is known
    anything                                             a sweep corrects what is left
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from hypothesis import example, given
from hypothesis import strategies as st

from collector.ingest.confirm import told_of
from collector.ingest.finality import REMEMBERED, Finality, Verdict
from collector.model.gap import Gap
from collector.repair.ledger import Ledger, absent
from collector.verify.compare import compare
from exchange.again import AGAIN_MS
from exchange.events import CANDLE_MS, Candle, Origin, candle_from_kline
from exchange.rows import Kline, flaw
from marketdata.candle_values import CandleValues
from marketdata.thresholds import CLOSE_DEADLINE_MS

PAIR = "BTC/USDT:USDT"
START = 1_780_000_200_000 // CANDLE_MS * CANDLE_MS
CLOSED = REMEMBERED + 4

type Step = tuple[str, int, int]
"""(what, which collector, which candle or how many)"""


def open_ms(index: int) -> int:
    return START + index * CANDLE_MS


def kline(index: int) -> Kline:
    """The truth: what REST returns once the candle has closed."""
    start = open_ms(index)
    return Kline(start, "1.0", "2.0", "0.5", f"1.{index:02d}", "10", start + CANDLE_MS - 1, "12", 3 + index, "5", "6")


def values(index: int, *, lie: bool = False) -> CandleValues:
    row = kline(index)
    trades = row.trades + lie
    return CandleValues(row.open, row.high, row.low, row.close, row.volume, row.quote_volume, "5", "6", trades)


def candle(index: int, *, final: bool = True, origin: Origin = "stream", lie: bool = False) -> Candle:
    return Candle(PAIR, open_ms(index), values(index, lie=lie), final, origin, open_ms(index + 1))


def impossible(row: Kline) -> Kline:
    """A row that no candle can have: volume without a trade."""
    return row._replace(trades=0)


@dataclass
class Exchange:
    """What REST returns: the truth, except for candles it lacks and impossible rows."""

    lacks: set[int] = field(default_factory=set)
    spoiled: set[int] = field(default_factory=set)

    def rows(self, forming: int) -> list[Kline]:
        """Every row up to the forming one."""
        there = (index for index in range(forming + 1) if index not in self.lacks)
        return [impossible(kline(index)) if index in self.spoiled else kline(index) for index in there]

    def change(self, what: str, index: int) -> None:
        self.lacks.discard(index)
        self.spoiled.discard(index)
        if what == "hide":
            self.lacks.add(index)
        elif what == "spoil":
            self.spoiled.add(index)


@dataclass
class Collector:
    """One process: its memory is lost with it, its spool is not."""

    finality: Finality = field(default_factory=Finality)
    spool: list[Candle] = field(default_factory=list)

    def start(self, forming: int) -> None:
        self.finality = Finality()
        self.finality.watch(PAIR, open_ms(forming))

    def take(self, seen: Candle) -> None:
        if not possible(seen.values):
            return  # the serializer refuses it before it is judged
        if self.finality.offer(seen) is Verdict.USED:
            self.spool.append(seen)

    def confirm(self, forming: int, exchange: Exchange) -> None:
        """Request everything overdue from REST until nothing is; what REST does not have is no longer expected."""
        now_ms = open_ms(forming) + CLOSE_DEADLINE_MS + 1
        rows = exchange.rows(forming)
        found = {row.open_time_ms: row for row in rows}
        while owed := self.finality.overdue(now_ms).get(PAIR):
            for at_ms, told in told_of(owed, rows, now_ms):
                assert told != "later"
                if told == "final":
                    self.take(candle_from_kline(PAIR, found[at_ms], final=True, exchange_time_ms=now_ms))
                else:
                    self.finality.absent(PAIR, at_ms)
            assert set(self.finality.overdue(now_ms).get(PAIR, ())) < set(owed), "something stays overdue forever"
        assert self.finality.next_open_ms(PAIR) == open_ms(forming), "readers are held back"


class Run:
    """Two collectors and the store they share, from the first candle on."""

    def __init__(self) -> None:
        self.collectors = (Collector(), Collector())
        self.store: dict[int, CandleValues] = {}
        self.gaps: dict[int, Gap] = {}
        self.exchange = Exchange()
        self.later_ms = 0
        self.asked: Counter[int] = Counter()
        self.forming = 0
        self.dated_early = 0
        """By how many candles the exchange's listing date precedes the first one, until that is known."""
        for collector in self.collectors:
            collector.start(0)

    def step(self, what: str, which: int, number: int) -> None:
        collector = self.collectors[which]
        closed = number % max(self.forming, 1)
        match what:
            case "close":
                self.forming = min(self.forming + 1, CLOSED)
            case "frame" | "lie" if self.forming:
                collector.take(candle(closed, lie=what == "lie"))
            case "nonsense" if self.forming:
                seen = candle(closed)
                collector.take(replace(seen, values=seen.values._replace(trades=0)))
            case "open":
                collector.take(candle(self.forming, final=False))
            case "confirm":
                collector.confirm(self.forming, self.exchange)
            case "pass":
                self.later_ms += number * 60_000
                self.repair()
            case "hide" | "spoil" | "mend" | "date" | "learn":
                self.exchange_changes(what, closed, number)
            case "deliver":
                self.deliver(collector, number)
            case "kill":
                del collector.spool[len(collector.spool) - min(number, len(collector.spool)) :]
                collector.start(self.forming)

    def exchange_changes(self, what: str, closed: int, number: int) -> None:
        """What REST returns for a closed candle, or how early exchangeInfo dates the listing."""
        if what in ("date", "learn"):
            self.dated_early = number if what == "date" else 0
        elif self.forming:
            self.exchange.change(what, closed)

    def deliver(self, collector: Collector, number: int) -> None:
        """The store accepts this many candles of a spool, oldest first; some are sent twice."""
        for seen in collector.spool[:number]:
            self._put(seen.open_time_ms, seen.values)
        del collector.spool[: max(number - 1, 0)]

    def heal(self) -> None:
        """Everything closes, every overdue close is confirmed, every spool drains."""
        while self.forming < CLOSED:
            self.step("close", 0, 0)
        for collector in self.collectors:
            collector.confirm(self.forming, self.exchange)
        for collector in self.collectors[::-1]:
            self.deliver(collector, len(collector.spool) + 1)
            assert not collector.spool

    def repair(self) -> None:
        """One pass of the ledger, as after a restart: it knows only what the store's own `gaps` report."""
        expected, ledger = {open_ms(index) for index in range(-self.dated_early, self.forming)}, Ledger()
        now_ms = open_ms(self.forming) + CLOSE_DEADLINE_MS + 1 + self.later_ms
        ledger.recall(self.gaps.values())
        if not self.dated_early:
            before = {at_ms for at_ms in ledger.open.get(PAIR, {}) if at_ms < START}
            self._note(ledger.note_never(PAIR, before, now_ms))
        missing = expected - self.store.keys()
        self._note(ledger.note_missing(PAIR, missing, lambda _open_ms: "collector_down"))
        asked = ledger.to_ask(PAIR, missing) | (ledger.due_again(now_ms).get(PAIR, set()) & missing)
        rows = {row.open_time_ms: row for row in self.exchange.rows(self.forming)}
        invalid = {at_ms for at_ms in asked & rows.keys() if flaw(rows[at_ms])}
        # For a range that ends before the first candle the response has no row, which proves nothing.
        self._note(ledger.note_absent(PAIR, absent({t for t in asked if t >= START}, rows.keys()), now_ms))
        self._note(ledger.note_invalid(PAIR, invalid, now_ms))
        for at_ms in asked & rows.keys() - invalid:
            self._put(at_ms, values((at_ms - START) // CANDLE_MS))
        self._note(ledger.note_stored(PAIR, expected, expected - self.store.keys()))
        self.asked.update(t for t in asked if t >= START or not self.dated_early)
        assert not self.dated_early or ledger.gaps_open
        assert self.dated_early or not ledger.gaps_open
        assert max(self.asked.values(), default=0) <= 1 + len(AGAIN_MS)

    def come_late(self) -> None:
        """The exchange has everything in the end, and the ledger requests it when due."""
        self.exchange = Exchange()
        for _ in AGAIN_MS:
            self.later_ms += AGAIN_MS[-1]
            self.repair()
        assert all(gap.state == "repaired" for at_ms, gap in self.gaps.items() if at_ms >= START)

    def sweep(self) -> None:
        """One verification of the whole span."""
        stored = {at_ms: _as_stored(row) for at_ms, row in self.store.items()}
        exchange = {open_ms(index): kline(index) for index in range(CLOSED)}
        for difference in compare(PAIR, "3m", stored, exchange, quantity_precision=3):
            assert difference.kind == "wrong"
            self.store[difference.open_time_ms] = values((difference.open_time_ms - START) // CANDLE_MS)

    def _put(self, at_ms: int, stored: CandleValues) -> None:
        assert possible(stored)
        self.store[at_ms] = stored

    def _note(self, gaps: Iterable[Gap]) -> None:
        self.gaps.update({gap.open_ms: gap for gap in gaps})


def possible(seen: CandleValues) -> bool:
    row = kline(0)._replace(trades=seen.trades, open=seen.open, high=seen.high, low=seen.low, close=seen.close)
    return not flaw(row._replace(volume=seen.volume, quote_volume=seen.quote_volume))


def _as_stored(row: CandleValues) -> dict[str, float | int | None]:
    return {
        "open": float(row.open),
        "high": float(row.high),
        "low": float(row.low),
        "close": float(row.close),
        "volume": float(row.volume),
        "quote_volume": float(row.quote_volume),
        "taker_buy_volume": float(row.taker_buy_volume),
        "taker_buy_quote_volume": float(row.taker_buy_quote_volume),
        "trades": row.trades,
    }


TRUTH = {open_ms(index): values(index) for index in range(CLOSED)}


def steps(*kinds: str) -> st.SearchStrategy[list[Step]]:
    step = st.tuples(st.sampled_from(("close", "close", *kinds)), st.integers(0, 1), st.integers(0, CLOSED))
    return st.lists(step, max_size=120)


@given(steps("frame", "open", "confirm", "deliver"))
def test_frames_in_any_order_with_confirmed_closes_end_in_the_truth(taken: list[Step]) -> None:
    run = Run()
    for step in taken:
        run.step(*step)
    run.heal()
    assert run.store == TRUTH


@given(steps("frame", "open", "confirm", "deliver", "lie"))
def test_a_lie_that_is_contradicted_to_everyone_who_received_it_does_not_stay(taken: list[Step]) -> None:
    run = Run()
    for what, which, number in taken:
        run.step(what, which, number)
        if what == "lie":
            run.step("frame", which, number)
    run.heal()
    assert run.store == TRUTH


@given(steps("frame", "open", "confirm", "deliver", "kill"))
def test_what_a_kill_loses_is_found_missing_and_fetched(taken: list[Step]) -> None:
    run = Run()
    for step in taken:
        run.step(*step)
    run.heal()
    run.repair()
    assert run.store == TRUTH


ABSENCES = ("hide", "spoil", "mend", "nonsense", "pass")


@given(steps("frame", "open", "confirm", "deliver", "kill", *ABSENCES))
@example([("close", 0, 0), ("spoil", 0, 0), ("confirm", 0, 0), ("pass", 0, 1), ("hide", 0, 0), ("pass", 0, 20)])
@example([("close", 0, 0), ("spoil", 0, 0), *[("pass", 0, 12)] * 20])
@example([("close", 0, 0), ("hide", 0, 0), *[("pass", 0, 12)] * 20])
def test_what_rest_lacked_or_had_as_an_impossible_row_is_stored_once_available(taken: list[Step]) -> None:
    run = Run()
    for step in taken:
        run.step(*step)
    run.heal()
    run.repair()
    run.come_late()
    assert run.store == TRUTH


@given(steps("frame", "open", "confirm", "deliver", "kill", "date", "pass", *ABSENCES), st.integers(1, 30))
def test_candles_before_the_first_one_are_no_gaps_once_it_is_known(taken: list[Step], early: int) -> None:
    run = Run()
    run.step("date", 0, early)
    for step in taken:
        run.step(*step)
    run.heal()
    run.repair()
    run.step("learn", 0, 0)
    asked = {at_ms: count for at_ms, count in run.asked.items() if at_ms < START}
    run.come_late()
    assert run.store == TRUTH
    assert {gap.state for at_ms, gap in run.gaps.items() if at_ms < START} <= {"exchange_hole"}
    assert {at_ms: count for at_ms, count in run.asked.items() if at_ms < START} == asked, "it is not requested again"


@given(steps("frame", "open", "confirm", "deliver", "kill", "lie", "date", "learn", *ABSENCES))
@example([("close", 0, 0), ("lie", 0, 0), ("kill", 0, 0), ("frame", 1, 0), ("deliver", 1, 1)])  # a late spool's lie
def test_after_a_sweep_everything_is_right_whatever_happened(taken: list[Step]) -> None:
    run = Run()
    for step in taken:
        run.step(*step)
    run.step("learn", 0, 0)
    run.heal()
    run.repair()
    run.come_late()
    run.sweep()
    assert run.store == TRUTH
