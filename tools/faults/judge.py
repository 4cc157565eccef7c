"""Compares a row's store with the simulator's truth, with the demo's comparison, independently of the collector."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tools.demo.check import odd_series
from tools.demo.compare import BASE, LENGTH_MS, Verdict, compare
from tools.demo.exchange_truth import ListedPair
from tools.demo.store_truth import Store
from tools.faults.settlements import Settlements
from tools.faults.simulated import Simulated

HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Span:
    """What must be stored: candles that open from `first_ms` to `last_ms`, and windows that ended by `rolled_until_ms`.

    first_ms is the start of the fill: windows that open later are rolled up from our candles, older ones are fetched;
    of all, the newest `fetched_windows` count. fetched_until_ms is when the collectors started.
    """

    first_ms: int
    last_ms: int
    rolled_until_ms: int
    fetched_until_ms: int
    fetched_windows: int

    def opens(self, interval: str, listed_ms: int, ended_ms: int) -> tuple[int, int]:
        """Return the first and last open time of an interval, both included, for a pair that traded in this period.

        A window in which a pair is listed or delisted can never be complete. If it ended before the collectors started,
        they fetch it at once; if it ends while we watch, they fetch it within the hour, and it is not checked here.
        """
        length_ms = LENGTH_MS[interval]
        newcomer = interval != BASE and (listed_ms // length_ms + 1) * length_ms > self.fetched_until_ms
        listed_ms = (listed_ms + (length_ms - 1 if newcomer else 0)) // length_ms * length_ms
        if interval == BASE:
            return max(self.first_ms, listed_ms), self.last_ms
        # Counted from the end: a store that was down at the start is filled with the newest windows of a later time.
        oldest_ms = (max(self.rolled_until_ms, self.fetched_until_ms) // length_ms - self.fetched_windows) * length_ms
        last_ms = min(self.rolled_until_ms, ended_ms) // length_ms * length_ms - length_ms
        return max(oldest_ms, listed_ms), last_ms


@dataclass
class Judgement:
    """The content of a store, counted: 3m candles (and settled funding, if the row compares it), and windows."""

    expected: int = 0
    lost: int = 0
    doubled: int = 0
    off_grid: int = 0
    wrong: int = 0
    windows: int = 0
    windows_wrong: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, interval: str, verdict: Verdict, expected: int) -> None:
        """Add one pair and interval."""
        self.examples = (self.examples + verdict.examples)[:5]
        self.off_grid += verdict.off_grid
        if interval == BASE:
            self.expected += expected
            self.lost += verdict.missing
            self.wrong += verdict.differing
        else:
            self.windows += expected
            self.windows_wrong += verdict.missing + verdict.differing + verdict.not_rolled

    def add_settlements(self, found: Settlements) -> None:
        """Add the settled funding of all pairs."""
        self.examples = (found.examples + self.examples)[:5]
        self.expected += found.expected
        self.lost += found.lost
        self.doubled += found.doubled
        self.wrong += found.wrong


async def judge(store: Store, simulated: Simulated, pairs: Sequence[ListedPair], span: Span) -> Judgement:
    """Compare every candle of every pair. Raises StoreFailed."""
    result = Judgement()
    ended_ms = {pair.pair: await _ended_ms(pair, simulated, span) for pair in pairs}
    for interval in LENGTH_MS:
        odd = odd_series(interval, pairs, await store.series(interval))
        result.examples += odd
        result.doubled += len(odd)
        for pair in pairs:
            stored = await store.candles(pair.pair, interval)
            truth = await simulated.candles(
                pair.symbol, interval, *span.opens(interval, pair.listed_ms, ended_ms[pair.pair])
            )
            verdict = compare(
                interval,
                pair.pair,
                stored.rows,
                truth,
                quantity_precision=pair.quantity_precision,
                rolled_from_ms=max(span.first_ms, pair.listed_ms),
            )
            result.add(interval, verdict, len(truth))
            result.doubled += stored.doubled
    return result


async def _ended_ms(pair: ListedPair, simulated: Simulated, span: Span) -> int:
    """Return when the pair's last candle in the span ended."""
    newest = await simulated.candles(pair.symbol, BASE, span.last_ms - HOUR_MS, span.last_ms)
    return max(newest, default=span.last_ms) + LENGTH_MS[BASE]


async def missing(
    store: Store, simulated: Simulated, pairs: Sequence[ListedPair], first_ms: int, last_ms: int
) -> set[tuple[str, int]]:
    """Return the 3m candles (pair, open time) from first to last that the exchange has but the store lacks."""
    found = set()
    for pair in pairs:
        truth = await simulated.candles(pair.symbol, BASE, max(first_ms, pair.listed_ms), last_ms)
        stored = await store.candles(pair.pair, BASE, first_ms)
        found |= {(pair.pair, open_ms) for open_ms in truth.keys() - stored.rows.keys()}
    return found
