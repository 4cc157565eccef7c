"""What systemd learns of a running service: that it has started, how it stands, and that it lives.

What is wrong outside (the exchange is silent, a store is away, the disk is full) is no reason for a restart; one helps
only where a part of the process itself is stuck.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from service.systemd import Notifier

log = logging.getLogger(__name__)

TICK_SECONDS = 5.0
START_TICK_SECONDS = 0.25

PINGS_PER_PERIOD = 3
"""One late or lost ping must not end the service."""


class Supervisor:
    """Sends READY=1 once, WATCHDOG=1 while nothing is stuck, and STATUS for people.

    It has started when ``started`` says so, or after ``patience_seconds`` all the same: then it is others that are
    away. ``not_ready`` returns why /readyz would refuse, ``stuck`` which parts have stopped making steps.
    """

    def __init__(
        self,
        notifier: Notifier,
        *,
        started: Callable[[], bool],
        not_ready: Callable[[], list[str]],
        stuck: Callable[[], list[str]],
        patience_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._notifier = notifier
        self._has_started = started
        self._not_ready = not_ready
        self._stuck = stuck
        self._patience_seconds = patience_seconds
        self._monotonic = monotonic
        self._began = monotonic()
        self._started = False
        self._was_stuck = False

    async def run(self) -> None:
        """Notify until cancelled. This coroutine's own turns are the proof that the event loop turns."""
        period = self._notifier.watchdog_seconds
        tick = TICK_SECONDS if period is None else min(TICK_SECONDS, period / PINGS_PER_PERIOD)
        while True:
            self._notifier.tell(*self.message())
            await asyncio.sleep(tick if self._started else min(tick, START_TICK_SECONDS))

    def message(self) -> list[str]:
        """Build the next message."""
        stuck = self._stuck()
        if bool(stuck) != self._was_stuck:
            log.error("stuck: %s", "; ".join(stuck)) if stuck else log.warning("no longer stuck")
        self._was_stuck = bool(stuck)
        waiting = "; ".join(stuck or self._not_ready())
        lines = [] if stuck else ["WATCHDOG=1"]
        if not self._started and (self._has_started() or self._monotonic() - self._began >= self._patience_seconds):
            self._started = True
            lines.append("READY=1")
            log.info("started ready=%s", waiting or "yes")
        return [*lines, f"STATUS={waiting or 'ready'}"]
