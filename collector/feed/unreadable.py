"""Symbols that may be ours and whose rows of exchangeInfo cannot be read: told in one line, and again when they change.

Such a symbol is not collected: without its kind it might be a stock, without its precision its numbers could not be
judged. One that is collected already goes on.
"""

import logging
from collections.abc import Iterable, Sequence

from exchange.universe import InvalidRow

log = logging.getLogger(__name__)


def described(rows: Iterable[InvalidRow]) -> str:
    """Return one line that names every symbol by the reason why its row cannot be read. Pure."""
    by_reason: dict[str, list[str]] = {}
    for row in rows:
        by_reason.setdefault(row.reason, []).append(_shown(row.symbol))
    return "; ".join(f"{', '.join(sorted(symbols))} ({reason})" for reason, symbols in sorted(by_reason.items()))


class Unreadable:
    """The rows of the newest answer. `rows` is what the metrics read."""

    def __init__(self) -> None:
        self.rows: Sequence[InvalidRow] = ()

    def learn(self, rows: Sequence[InvalidRow]) -> None:
        """Take those of an answer; logs if they are others than those of the answer before."""
        before, self.rows = self.rows, rows
        if set(before) == set(rows):
            return
        if rows:
            log.warning(
                "symbols that may be ours cannot be read, those not collected yet are left out symbols=%d: %s",
                len(rows),
                described(rows),
            )
        else:
            log.info("every symbol that may be ours can be read again")


def _shown(symbol: str) -> str:
    """The exchange's text, fit for a line of a log."""
    if not symbol:
        return "a row without a name"
    return symbol if symbol.isprintable() else repr(symbol)
