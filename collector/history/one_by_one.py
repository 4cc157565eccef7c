"""Asking the exchange pair by pair, where one pair's trouble must not be the others'."""

import logging
from collections.abc import Awaitable, Callable, Iterable

from exchange.errors import BadRequest, Unavailable

log = logging.getLogger(__name__)

FAILURES_AT_MOST = 4
"""So many pairs in a row without a usable answer, and the rest is not asked for: the exchange is away."""


async def one_by_one(what: str, pairs: Iterable[str], ask: Callable[[str], Awaitable[None]]) -> None:
    """Ask for every pair. One the exchange says no to is left out with a warning.

    Raises ExchangeError: at the end if a pair got no usable answer, at once if the exchange is away or refuses us.
    """
    failed: Unavailable | None = None
    in_a_row = 0
    for pair in pairs:
        try:
            await ask(pair)
        except BadRequest as error:
            log.warning("%s cannot be asked for pair=%s: %s", what, pair, error)
        except Unavailable as error:
            failed = error
            in_a_row += 1
            if in_a_row == FAILURES_AT_MOST:
                raise
        else:
            in_a_row = 0
    if failed is not None:
        raise failed
