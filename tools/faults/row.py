"""What a row of the fault table is: a name, what is configured otherwise, and what happens when."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from tools.faults.world import World

type Action = Callable[[World], Awaitable[None]]
"""Something that happens to a row's servers; tools/faults/actions.py has them."""

PREPARED = float("-inf")
"""The time of what happens before the collectors start."""

LEAD_SECONDS = 240.0
SETTLED_SECONDS = 75.0
WITHIN_SECONDS = 40.0
"""Shorter than the ledger takes to notice a hole (60 s after its close, and a check each 180 s): what is back within it
was kept, by the spool or by a confirmed close, and not fetched because it had been lost."""

PATIENCE_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Step:
    """An action, in seconds of the exchange's clock from midnight: the closes are at -180, 0 and 180."""

    at_seconds: float
    action: Action


def at(seconds: float, *actions: Action) -> tuple[Step, ...]:
    """These actions, one after the other, at a time."""
    return tuple(Step(seconds, action) for action in actions)


def script(*parts: tuple[Step, ...]) -> tuple[Step, ...]:
    """Join steps in the order of time."""
    return tuple(sorted((step for part in parts for step in part), key=lambda step: step.at_seconds))


@dataclass(frozen=True, slots=True)
class Row:
    """One row: some pairs, a simulator, an InfluxDB behind a proxy, one collector or more.

    config: sections of the collector's configuration that differ. until_seconds: when the row ends at the earliest;
    within_seconds: how soon after the last step every candle that was due then must be stored. settlements: settled
    funding is compared, too; the row leaves the collectors the time to fetch it. fast: it needs one close
    only and runs in `make test` as well. counted_loss: the row fills a bound, at which loss is the policy: a loss is
    clean if the collector counted it exactly.
    """

    name: str
    script: tuple[Step, ...]
    config: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    collectors: tuple[str, ...] = ("collector-1",)
    pairs: int = 12
    until_seconds: float = SETTLED_SECONDS
    within_seconds: float = WITHIN_SECONDS
    settlements: bool = False
    fast: bool = False
    counted_loss: bool = False

    @property
    def healed_seconds(self) -> float:
        """When the last step has been taken: from here on recovery is measured."""
        return max((step.at_seconds for step in self.script if step.at_seconds != PREPARED), default=0.0)
