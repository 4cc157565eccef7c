"""The points law of one store: every point is accounted for at every instant.

    produced + recovered_from_spool
        = acknowledged + rejected + dropped{reason} + in_queue + in_batch + in_spool

Each method of PointCounters moves points from one place to another under one lock, so no thread can see or leave the
counters in between. What a SIGKILL takes from queue and batch is lost together with its counters.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

DropReason = Literal["queue_full", "spool_full", "damaged"]
DROP_REASONS: tuple[DropReason, ...] = get_args(DropReason)


@dataclass(frozen=True, slots=True)
class PointTotals:
    """A consistent snapshot of a store's counters, in points since the process started."""

    produced: int
    recovered_from_spool: int
    acknowledged: int
    rejected: int
    dropped: Mapping[DropReason, int]
    in_queue: int
    in_batch: int
    in_spool: int

    @property
    def unaccounted(self) -> int:
        """Points that the law does not account for: 0, or a bug."""
        came = self.produced + self.recovered_from_spool
        went = self.acknowledged + self.rejected + sum(self.dropped.values())
        return came - went - self.in_queue - self.in_batch - self.in_spool


class PointCounters:
    """The counters of one store. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._produced = 0
        self._recovered = 0
        self._acknowledged = 0
        self._rejected = 0
        self._dropped: dict[DropReason, int] = dict.fromkeys(DROP_REASONS, 0)
        self._in_queue = 0
        self._in_batch = 0
        self._in_spool = 0

    def queued(self, points: int) -> None:
        """New points were accepted into the queue."""
        with self._lock:
            self._produced += points
            self._in_queue += points

    def refused(self, points: int) -> None:
        """New points found the queue full."""
        with self._lock:
            self._produced += points
            self._dropped["queue_full"] += points

    def batched(self, points: int) -> None:
        """Points moved from the queue into an open batch."""
        with self._lock:
            self._in_queue -= points
            self._in_batch += points

    def spooled(self, points: int) -> None:
        """A batch became a spool file."""
        with self._lock:
            self._in_batch -= points
            self._in_spool += points

    def recovered(self, points: int) -> None:
        """The spool had a file left by an earlier process."""
        with self._lock:
            self._recovered += points
            self._in_spool += points

    def settled(self, *, acknowledged: int, rejected: int) -> None:
        """A file left the spool: the store has `acknowledged` of its points and refused the others permanently."""
        with self._lock:
            self._in_spool -= acknowledged + rejected
            self._acknowledged += acknowledged
            self._rejected += rejected

    def dropped_from_spool(self, reason: DropReason, points: int) -> None:
        """A file left the spool without being sent."""
        with self._lock:
            self._in_spool -= points
            self._dropped[reason] += points

    def snapshot(self) -> PointTotals:
        """All counters at one instant."""
        with self._lock:
            return PointTotals(
                produced=self._produced,
                recovered_from_spool=self._recovered,
                acknowledged=self._acknowledged,
                rejected=self._rejected,
                dropped=dict(self._dropped),
                in_queue=self._in_queue,
                in_batch=self._in_batch,
                in_spool=self._in_spool,
            )
