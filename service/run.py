"""A service's life: it is built, runs until SIGTERM or SIGINT, and is stopped in order; systemd is kept informed."""

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from service.supervision import Supervisor
from service.systemd import Notifier

log = logging.getLogger(__name__)

START_PATIENCE_SECONDS = 10.0
"""How long a start waits to be ready until it counts as started all the same."""


async def nothing() -> None:
    """Do nothing: a service without a step of its own."""


@dataclass(frozen=True, slots=True)
class Service:
    """What a built service does. ``started``, ``not_ready``, ``stuck`` and the patience are Supervisor's."""

    work: Callable[[], Coroutine[Any, Any, None]]
    """Runs until cancelled; its end is unexpected."""
    drain: Callable[[], Awaitable[None]] = nothing
    """At a stop, while ``work`` still runs."""
    close: Callable[[], Awaitable[None]] = nothing
    """At a stop, after ``work`` was cancelled."""
    started: Callable[[], bool] = lambda: True
    not_ready: Callable[[], list[str]] = list
    stuck: Callable[[], list[str]] = list
    start_patience_seconds: float = START_PATIENCE_SECONDS


async def run_service(build: Callable[[AsyncExitStack], Awaitable[Service]]) -> None:
    """Build a service on a stack, which is unwound last, and run it until SIGTERM or SIGINT.

    Whatever `build` or the work raises is raised, and RuntimeError if the work ends by itself: systemd starts the
    process again. `drain` and `close` are for a stop on purpose.
    """
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):  # a stop that comes while it is built counts
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
    supervisor = Supervisor(
        notifier,
        started=service.started,
        not_ready=service.not_ready,
        stuck=service.stuck,
        patience_seconds=service.start_patience_seconds,
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await service.work()
        raise RuntimeError("the service's work ended by itself")
