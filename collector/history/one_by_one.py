"""Requests to the exchange pair by pair, so that a failure for one pair does not affect the others."""

import logging
from collections.abc import Awaitable, Callable, Iterable

from exchange.errors import BadRequest, Unavailable

log = logging.getLogger(__name__)

FAILURES_AT_MOST = 4
"""After this many pairs in a row without a usable response, the exchange is considered down and the rest is skipped."""


async def one_by_one(what: str, pairs: Iterable[str], ask: Callable[[str], Awaitable[None]]) -> None:
    """Ask for every pair. Pairs that the exchange refuses are skipped with a warning.

    Raises ExchangeError: at the end if a pair got no usable response, at once if the exchange is down or refuses us.
    """
    failed: Unavailable | None = None
    in_a_row = 0
    for pair in pairs:
        try:
            await ask(pair)
        except BadRequest as error:
            log.warning('%s refused by exchange pair=%s error="%s"', what, pair, error)
        except Unavailable as error:
            failed = error
            in_a_row += 1
            if in_a_row == FAILURES_AT_MOST:
                raise
        else:
            in_a_row = 0
    if failed is not None:
        raise failed
