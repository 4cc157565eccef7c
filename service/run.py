"""The life of a service: it is built, runs until SIGTERM or SIGINT, and stops in order; systemd is kept informed.

Trouble outside the process (the exchange is silent, a store is down, the disk is full) is no reason for a restart. That
only helps if a part of the process itself is stuck.
"""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from service.systemd import Notifier

log = logging.getLogger(__name__)

TICK_SECONDS = 5.0
START_TICK_SECONDS = 0.25

PINGS_PER_PERIOD = 3
"""One late or lost ping must not end the service."""


async def nothing() -> None:
    """Do nothing: for a service without this step when it stops."""


@dataclass(frozen=True, slots=True)
class Service:
    """What a service does once it is built, and how it reports its condition."""

    work: Callable[[], Coroutine[Any, Any, None]]
    """Runs until cancelled; it is not expected to return."""
    drain: Callable[[], Awaitable[None]] = nothing
    """Called on a stop, while `work` is still running."""
    close: Callable[[], Awaitable[None]] = nothing
    """Called on a stop, after `work` was cancelled."""
    started: Callable[[], bool] = lambda: True
    start_patience_seconds: float = 10.0
    """How long to wait for `started` before the service counts as started anyway: others may be down."""
    not_ready: Callable[[], list[str]] = list
    """Returns why /readyz refuses."""
    stuck: Callable[[], list[str]] = list
    """Returns which parts have stopped making progress."""


async def run_service(build: Callable[[AsyncExitStack], Awaitable[Service]]) -> None:
    """Build a service on a stack, which is unwound last, and run it until SIGTERM or SIGINT.

    Errors from `build` and from the work are raised, and RuntimeError if the work returns on its own: systemd then
    restarts the process. `drain` and `close` are only called for an intended stop.
    """
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):  # a stop during the build counts, too
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    notifier = Notifier(os.environ)
    async with AsyncExitStack() as stack:
        service = await build(stack)
        work = asyncio.create_task(_work(service, notifier))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait((work, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if work.done():
            work.result()
        notifier.tell("STOPPING=1", "STATUS=stopping")
        log.info("stopping")
        await service.drain()
        work.cancel()
        await asyncio.wait((work,))
        await service.close()
    log.info("stopped")


async def _work(service: Service, notifier: Notifier) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(Supervisor(notifier, service).run())
        await service.work()
        raise RuntimeError("the service's work ended on its own")


class Supervisor:
    """Sends systemd READY=1 once, WATCHDOG=1 while nothing is stuck, and STATUS for people."""

    def __init__(self, notifier: Notifier, service: Service, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._notifier = notifier
        self._service = service
        self._monotonic = monotonic
        self._patience_ends = monotonic() + service.start_patience_seconds
        self._started = False
        self._was_stuck = False

    async def run(self) -> None:
        """Notify until cancelled. That this coroutine keeps running proves that the event loop does."""
        period = self._notifier.watchdog_seconds
        tick = TICK_SECONDS if period is None else min(TICK_SECONDS, period / PINGS_PER_PERIOD)
        while True:
            self._notifier.tell(*self.message())
            await asyncio.sleep(tick if self._started else min(tick, START_TICK_SECONDS))

    def message(self) -> list[str]:
        """Build the next message."""
        stuck = self._service.stuck()
        if bool(stuck) != self._was_stuck:
            log.error('stuck reason="%s"', "; ".join(stuck)) if stuck else log.warning("no longer stuck")
        self._was_stuck = bool(stuck)
        waiting = "; ".join(stuck or self._service.not_ready())
        lines = [] if stuck else ["WATCHDOG=1"]
        if not self._started and (self._service.started() or self._monotonic() >= self._patience_ends):
            self._started = True
            lines.append("READY=1")
            log.info('started ready="%s"', waiting or "yes")
        return [*lines, f"STATUS={waiting or 'ready'}"]
