"""A row of the fault table: its name, configuration changes, and what happens when."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from tools.faults.world import World

type Action = Callable[[World], Awaitable[None]]
"""Something that happens to a row's servers; tools/faults/actions.py has them."""

PREPARED = float("-inf")
"""The time of actions before the collectors start."""

LEAD_SECONDS = 240.0
SETTLED_SECONDS = 75.0
WITHIN_SECONDS = 40.0
"""Shorter than the ledger takes to notice a hole (60 s after its close, and a check every 180 s): a candle that is back
within this time was kept, by the spool or a confirmed close, and not lost and fetched again."""

PATIENCE_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Step:
    """An action, in seconds of the exchange's clock from midnight: closes are at -180, 0 and 180."""

    at_seconds: float
    action: Action


def at(seconds: float, *actions: Action) -> tuple[Step, ...]:
    """These actions, one after the other, at a time."""
    return tuple(Step(seconds, action) for action in actions)


def script(*parts: tuple[Step, ...]) -> tuple[Step, ...]:
    """Join steps, ordered by time."""
    return tuple(sorted((step for part in parts for step in part), key=lambda step: step.at_seconds))


@dataclass(frozen=True, slots=True)
class Row:
    """A row: some pairs, a simulator, an InfluxDB behind a proxy, one or more collectors.

    config: sections of the collector's configuration that differ. until_seconds: the earliest end of the row;
    within_seconds: how soon after the last step every candle that was due then must be stored. settlements: settled
    funding is compared, too, and the collectors get the time to fetch it. fast: the row only needs one close and also
    runs in `make test`. counted_loss: the row reaches a limit at which points are dropped by design; a loss is accepted
    if the collector counted it exactly.
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
        """The time of the last step, from which recovery is measured."""
        return max((step.at_seconds for step in self.script if step.at_seconds != PREPARED), default=0.0)
