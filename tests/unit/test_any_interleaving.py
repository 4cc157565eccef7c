"""Whatever two collectors see, and in whatever order: the store they share ends in the exchange's truth.

Finality, ledger and comparison are the collector's own; the exchange, the spools and the store are a few lists here.
Three promises, each of more machinery than the one before:

    nothing is killed, and no lie goes uncontradicted    frames and confirmed closes suffice
    no lie                                               so does the ledger for what a kill took
    anything                                             a sweep puts right what is left
"""

from dataclasses import dataclass, field

from hypothesis import example, given
from hypothesis import strategies as st

from collector.compare import compare
from collector.events import CANDLE_MS, Candle, CandleValues, Origin
from collector.finality import CLOSE_DEADLINE_MS, REMEMBERED, Finality, Verdict
from collector.ledger import Ledger
from exchange.client import Kline

PAIR = "BTC/USDT:USDT"
START = 1_780_000_200_000 // CANDLE_MS * CANDLE_MS
CLOSED = REMEMBERED + 4

type Step = tuple[str, int, int]
"""(what, which collector, which candle or how many)"""


def open_ms(index: int) -> int:
    return START + index * CANDLE_MS


def kline(index: int) -> Kline:
    """The truth: what REST answers once the candle has closed."""
    start = open_ms(index)
    return Kline(start, "1.0", "2.0", "0.5", f"1.{index:02d}", "10", start + CANDLE_MS - 1, "12", 3 + index, "5", "6")


def values(index: int, *, lie: bool = False) -> CandleValues:
    row = kline(index)
    trades = row.trades + lie
    return CandleValues(row.open, row.high, row.low, row.close, row.volume, row.quote_volume, "5", "6", trades)


def candle(index: int, *, final: bool = True, origin: Origin = "stream", lie: bool = False) -> Candle:
    return Candle(PAIR, open_ms(index), values(index, lie=lie), final, origin, open_ms(index + 1))


@dataclass
class Collector:
    """One process: what it knows dies with it, its spool does not."""

    finality: Finality = field(default_factory=Finality)
    spool: list[Candle] = field(default_factory=list)

    def start(self, forming: int) -> None:
        self.finality = Finality()
        self.finality.watch(PAIR, open_ms(forming))

    def take(self, seen: Candle) -> None:
        if self.finality.offer(seen) is Verdict.USED:
            self.spool.append(seen)

    def confirm(self, forming: int) -> None:
        """Ask REST for all that is overdue, until nothing is."""
        now_ms = open_ms(forming) + CLOSE_DEADLINE_MS + 1
        while owed := self.finality.overdue(now_ms).get(PAIR):
            for at_ms in owed:
                self.take(candle((at_ms - START) // CANDLE_MS, origin="rest"))


class Run:
    """Two collectors and the store they share, from the first candle on."""

    def __init__(self) -> None:
        self.collectors = (Collector(), Collector())
        self.store: dict[int, CandleValues] = {}
        self.forming = 0
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
            case "open":
                collector.take(candle(self.forming, final=False))
            case "confirm":
                collector.confirm(self.forming)
            case "deliver":
                self.deliver(collector, number)
            case "kill":
                del collector.spool[len(collector.spool) - min(number, len(collector.spool)) :]
                collector.start(self.forming)

    def deliver(self, collector: Collector, number: int) -> None:
        """The store takes so many candles of a spool, the oldest first; some are sent twice."""
        for seen in collector.spool[:number]:
            self.store[seen.open_time_ms] = seen.values
        del collector.spool[: max(number - 1, 0)]

    def heal(self) -> None:
        """Everything closes, every overdue close is confirmed, every spool drains."""
        while self.forming < CLOSED:
            self.step("close", 0, 0)
        for collector in self.collectors:
            collector.confirm(self.forming)
        for collector in self.collectors[::-1]:
            self.deliver(collector, len(collector.spool) + 1)
            assert not collector.spool

    def repair(self) -> None:
        """One pass of the ledger."""
        expected, ledger = {open_ms(index) for index in range(CLOSED)}, Ledger()
        missing = expected - self.store.keys()
        ledger.note_missing(PAIR, missing, lambda _open_ms: "collector_down")
        for at_ms in ledger.to_ask(PAIR, missing):
            self.store[at_ms] = values((at_ms - START) // CANDLE_MS)
        ledger.note_stored(PAIR, expected, expected - self.store.keys())
        assert not ledger.gaps_open

    def sweep(self) -> None:
        """One verification of the whole span."""
        stored = {at_ms: _as_stored(row) for at_ms, row in self.store.items()}
        exchange = {open_ms(index): kline(index) for index in range(CLOSED)}
        for difference in compare(PAIR, "3m", stored, exchange, quantity_precision=3):
            assert difference.kind == "wrong"
            self.store[difference.open_time_ms] = values((difference.open_time_ms - START) // CANDLE_MS)


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
def test_a_lie_that_each_who_heard_it_hears_contradicted_does_not_stay(taken: list[Step]) -> None:
    run = Run()
    for what, which, number in taken:
        run.step(what, which, number)
        if what == "lie":
            run.step("frame", which, number)
    run.heal()
    assert run.store == TRUTH


@given(steps("frame", "open", "confirm", "deliver", "kill"))
def test_what_a_kill_takes_is_found_missing_and_fetched(taken: list[Step]) -> None:
    run = Run()
    for step in taken:
        run.step(*step)
    run.heal()
    run.repair()
    assert run.store == TRUTH


@given(steps("frame", "open", "confirm", "deliver", "kill", "lie"))
@example([("close", 0, 0), ("lie", 0, 0), ("kill", 0, 0), ("frame", 1, 0), ("deliver", 1, 1)])  # a late spool's lie
def test_anything_at_all_is_right_after_a_sweep(taken: list[Step]) -> None:
    run = Run()
    for step in taken:
        run.step(*step)
    run.heal()
    run.repair()
    run.sweep()
    assert run.store == TRUTH
