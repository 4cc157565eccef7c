"""Symbols that may be ours but have unreadable rows in exchangeInfo: logged in one line, and again when they change.

Such a symbol is not collected: without its kind it might be a stock, and without its precision its numbers could not
be checked. A pair that is already collected continues.
"""

import logging
from collections.abc import Iterable, Sequence

from exchange.universe import InvalidRow

log = logging.getLogger(__name__)


def described(rows: Iterable[InvalidRow]) -> str:
    """Return one line that names every symbol, grouped by the reason why its row cannot be read. Pure."""
    by_reason: dict[str, list[str]] = {}
    for row in rows:
        by_reason.setdefault(row.reason, []).append(_shown(row.symbol))
    return "; ".join(f"{', '.join(sorted(symbols))} ({reason})" for reason, symbols in sorted(by_reason.items()))


class Unreadable:
    """The unreadable rows of the newest response. The metrics read `rows`."""

    def __init__(self) -> None:
        self.rows: Sequence[InvalidRow] = ()

    def learn(self, rows: Sequence[InvalidRow]) -> None:
        """Take in the rows of a response; log them if they differ from the previous ones."""
        before, self.rows = self.rows, rows
        if set(before) == set(rows):
            return
        if rows:
            log.warning(
                'symbols unreadable symbols=%d reason="%s"',
                len(rows),
                described(rows),
            )
        else:
            log.info("symbols readable again")


def _shown(symbol: str) -> str:
    """Return the exchange's text in a form fit for a log line."""
    if not symbol:
        return "a row without a name"
    return symbol if symbol.isprintable() else repr(symbol)
