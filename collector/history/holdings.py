"""What the stores hold, queried after their spools are drained, so that points on their way do not count as missing."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from collector.delivery.outbox import Outbox
from collector.store.query import StoreError, StoreReader

DRAIN_SECONDS = 60.0
"""A store that takes longer than this is left out until the next query."""


async def of_each_store[T](
    writer: Outbox, stores: Mapping[str, StoreReader], ask: Callable[[StoreReader], Awaitable[T]]
) -> list[T]:
    """Return the results of the stores that respond. Raises StoreError if none does."""
    await writer.flush()
    answers: list[T] = []
    trouble = StoreError("no store is configured")
    for name, reader in stores.items():
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await writer.drained(name)
            answers.append(await ask(reader))
        except TimeoutError:
            trouble = StoreError(f"store {name} has not yet accepted all points spooled for it")
        except StoreError as error:
            trouble = error
    if not answers:
        raise trouble
    return answers
