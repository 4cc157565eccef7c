"""What can go wrong for a reader of market data, one type each; every message says what to do."""

from __future__ import annotations

import copyreg
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


class MarketDataError(Exception):
    """The base of every error this package raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        # As its text: a worker process must be able to hand it back, whatever __init__ takes.
        return copyreg.__newobj__, (type(self), *self.args), vars(self)  # type: ignore[attr-defined]


class InvalidPair(MarketDataError, ValueError):
    """A text that is not a pair; the message names it and the notation expected."""


class InvalidTimeframe(MarketDataError, ValueError):
    """A timeframe that is not served; the message names it and what is."""


class InvalidRequest(MarketDataError, ValueError):
    """A limit, a range or a configuration that makes no sense."""


class UnknownPair(MarketDataError, LookupError):
    """Pairs the store has nothing of. `pairs` are their names."""

    def __init__(self, pairs: Iterable[str], known: Iterable[str]) -> None:
        self.pairs = tuple(pairs)
        names = list(known)
        hints = [f"{pair}{_nearest(pair, names)}" for pair in self.pairs]
        super().__init__(f"the store has no {'; '.join(hints)}; pairs() lists the {len(names)} it has")


class EmptyStore(MarketDataError):
    """The store answers and holds nothing of what was asked: no collector has written yet."""


class Unauthorized(MarketDataError):
    """The store refused the token, or the token may not read the bucket."""


class StoreUnavailable(MarketDataError):
    """No store gave an answer that can be used: dead, unreachable, overloaded or not InfluxDB."""


def _nearest(pair: str, known: list[str]) -> str:
    nearest = get_close_matches(pair, known, n=3)
    return f" (did you mean {' or '.join(nearest)}?)" if nearest else ""
