"""Is the process worth keeping alive? Pings systemd's watchdog only while event loop, feeds and writer progress.

What is wrong outside (the exchange is silent, a store is away, the disk is full) is no reason for a restart: the parts
go on trying, and each try counts as progress. A restart helps only where a part of the process itself is stuck.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

from collector.delivery.writer import Writer
from collector.feed.connection import ConnectionState
from collector.feed.pacing import WINDOW_SECONDS
from service.systemd import Notifier

log = logging.getLogger(__name__)

FEED_STUCK_SECONDS = WINDOW_SECONDS + 60.0
"""A connection's longest step is its wait for a free place in the window of attempts."""

WRITER_STUCK_SECONDS = 120.0
"""One write to the spool; a disk that answers late is kept, one that does not answer at all ends the process."""

START_PATIENCE_SECONDS = 30.0
"""So long after its start the service counts as started even if no frame has come: it is the exchange that is away."""

TICK_SECONDS = 5.0
START_TICK_SECONDS = 0.25

PINGS_PER_PERIOD = 3
"""One late or lost ping must not end the service."""


def stuck(writer: Writer, connections: Iterable[ConnectionState], now: float) -> list[str]:
    """Say which parts have stopped making steps, one line each. ``now`` is monotonic seconds."""
    reasons = []
    if writer.stalled_seconds > WRITER_STUCK_SECONDS:
        reasons.append(f"the writer has not moved for {writer.stalled_seconds:.0f} s while points wait")
    for state in connections:
        idle = now - state.progressed_at
        if idle > FEED_STUCK_SECONDS:
            reasons.append(f"a {state.channel} connection has neither delivered nor retried for {idle:.0f} s")
    return reasons


class Supervisor:
    """Tells systemd when the service has started, how it stands, and that it lives.

    ``delivering`` says whether any frame has come, ``not_ready`` why /readyz would refuse, ``stuck`` what stopped.
    """

    def __init__(
        self,
        notifier: Notifier,
        *,
        delivering: Callable[[], bool],
        not_ready: Callable[[], list[str]],
        stuck: Callable[[], list[str]],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._notifier = notifier
        self._delivering = delivering
        self._not_ready = not_ready
        self._stuck = stuck
        self._monotonic = monotonic
        self._started_at = monotonic()
        self._started = False
        self._was_stuck: list[str] = []

    async def run(self) -> None:
        """Tell until cancelled. This coroutine's own turns are the proof that the event loop turns."""
        period = self._notifier.watchdog_seconds
        tick = TICK_SECONDS if period is None else min(TICK_SECONDS, period / PINGS_PER_PERIOD)
        while True:
            self._notifier.tell(*self.message())
            await asyncio.sleep(tick if self._started else min(tick, START_TICK_SECONDS))

    def message(self) -> list[str]:
        """Build the next message: READY=1 once, WATCHDOG=1 while nothing is stuck, and a line for people."""
        reasons = self._stuck()
        if bool(reasons) != bool(self._was_stuck):
            log.error("stuck: %s", "; ".join(reasons)) if reasons else log.warning("no longer stuck")
        self._was_stuck = reasons
        lines = [] if reasons else ["WATCHDOG=1"]
        patience_over = self._monotonic() - self._started_at >= START_PATIENCE_SECONDS
        if not self._started and (self._delivering() or patience_over):
            self._started = True
            lines.append("READY=1")
        waiting = reasons or self._not_ready()
        return [*lines, f"STATUS={'; '.join(waiting) if waiting else 'ready'}"]
