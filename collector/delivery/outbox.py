"""Where points go on their way to every store: the part of the writer that other modules need."""

from typing import Protocol

QUEUE_HEADROOM = 2_000
"""Rows of a few requests: history waits while the queue has less room, so that live events come first."""


class Outbox(Protocol):
    """Takes lines and makes them durable for every store. `Writer` is the implementation."""

    @property
    def queue_free(self) -> int:
        """How many more lines the queue would take now."""

    def put_nowait(self, bucket: str, line: str) -> bool:
        """Accept one line (one point, no newline); return False if there is no room for it."""

    async def flush(self) -> None:
        """Return once everything accepted so far would survive a crash of the process."""

    async def drained(self, store: str) -> None:
        """Return once everything now waiting for that store has been delivered or given up."""


async def leave_room(outbox: Outbox, lines: int = 0) -> None:
    """Return once the queue has room for so many lines and for live events besides."""
    if outbox.queue_free < QUEUE_HEADROOM + lines:
        await outbox.flush()
