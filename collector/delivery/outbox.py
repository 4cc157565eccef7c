"""Where points go on their way to every store: what of the writer everyone else needs."""

from typing import Protocol


class Outbox(Protocol):
    """Takes lines and makes them durable for every store. `Writer` is the one of the product."""

    @property
    def queue_free(self) -> int:
        """How many more lines the queue would take now."""

    def put_nowait(self, bucket: str, line: str) -> bool:
        """Accept one line (one point, no newline); False if there is no room for it."""

    async def flush(self) -> None:
        """Return when everything accepted so far survives the process."""

    async def drained(self, store: str) -> None:
        """Return when everything that waits for that store now has left, delivered or given up."""
