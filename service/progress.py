"""Progress of a long job: a bar on a terminal, otherwise a log line every few seconds."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

log = logging.getLogger(__name__)

LOG_EVERY_SECONDS = 10.0
REDRAW_SECONDS = 0.25


@asynccontextmanager
async def shown(title: str, unit: str, state: Callable[[], tuple[int, int]]) -> AsyncIterator[None]:
    """Show ``state() -> (done, total)`` while the block runs, and log the end in one line."""
    task = asyncio.create_task(_bar(title, unit, state) if sys.stderr.isatty() else _lines(title, unit, state))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    log.info("%s done %s=%d", title, unit, state()[0])


async def _bar(title: str, unit: str, state: Callable[[], tuple[int, int]]) -> None:
    columns = (TextColumn(f"{title} ({unit})"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        handle = bar.add_task(title)
        while True:
            done, total = state()
            bar.update(handle, completed=done, total=total)
            await asyncio.sleep(REDRAW_SECONDS)


async def _lines(title: str, unit: str, state: Callable[[], tuple[int, int]]) -> None:
    while True:
        done, total = state()
        log.info("%s progress %s=%d total=%d", title, unit, done, total)
        await asyncio.sleep(LOG_EVERY_SECONDS)
