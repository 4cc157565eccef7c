"""Retries what fails for a while: the exchange refuses requests, or the store restarts."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable

from service.backoff import Backoff

log = logging.getLogger(__name__)

FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 30.0


async def patiently[T](
    what: str,
    ask: Callable[[], Awaitable[T]],
    errors: type[Exception] | tuple[type[Exception], ...],
    *,
    patience_seconds: float = math.inf,
) -> T:
    """Return the result of `ask`; after one of `errors` ask again until the patience is over, then raise the error."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + patience_seconds
    backoff = Backoff(FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS)
    while True:
        try:
            return await ask()
        except errors as error:
            delay = backoff.next_seconds()
            if loop.time() + delay > give_up:
                raise
            log.warning('retrying what="%s" retry_seconds=%.0f error="%s"', what, delay, error)
        await asyncio.sleep(delay)
