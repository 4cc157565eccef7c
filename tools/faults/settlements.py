"""Compares a store's settled funding with what the exchange settled. Pure except for the reading."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tools.demo.exchange_truth import ListedPair
from tools.demo.store_truth import Store
from tools.faults.simulated import Simulated

MINUTE_MS = 60_000

type Paid = tuple[float, float | None]
"""Rate and mark price."""


@dataclass
class Settlements:
    """What was compared and what is wrong, counted."""

    expected: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, pair: str, stored: Mapping[int, Paid], truth: Mapping[int, Paid]) -> None:
        """Add one pair. Stored points within a minute are one settlement, and all but one of them are surplus.

        A point at a time at which the exchange settled nothing is wrong.
        """
        minutes = {time_ms // MINUTE_MS for time_ms in stored}
        self.expected += len(truth)
        self.doubled += len(stored) - len(minutes)
        for time_ms, paid in truth.items():
            if time_ms // MINUTE_MS not in minutes:
                self.lost += 1
                self._note(f"{pair} settlement {time_ms} is missing")
            elif stored.get(time_ms) != paid:
                self.wrong += 1
                self._note(f"{pair} settlement {time_ms} is {stored.get(time_ms)}, the exchange has {paid}")
        surplus = minutes - {time_ms // MINUTE_MS for time_ms in truth}
        self.wrong += len(surplus)
        for minute in sorted(surplus):
            self._note(f"{pair} settlement {minute * MINUTE_MS}: the exchange has none")

    def _note(self, example: str) -> None:
        self.examples = [*self.examples, example][:3]


async def judge_settlements(
    store: Store, simulated: Simulated, pairs: Sequence[ListedPair], first_ms: int, last_ms: int
) -> Settlements:
    """Compare what every pair settled from first to last. Raises StoreFailed."""
    result = Settlements()
    for pair in pairs:
        stored = await store.settlements(pair.pair)
        truth = await simulated.settlements(pair.symbol, max(first_ms, pair.listed_ms), last_ms)
        result.add(pair.pair, {at: paid for at, paid in stored.items() if first_ms <= at <= last_ms}, truth)
    return result
