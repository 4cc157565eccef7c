"""The errors a reader of market data can get, one type each; every message says what to do."""

from __future__ import annotations

import copyreg
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


class MarketDataError(Exception):
    """Base class of all errors that this package raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickled as its text, so that a worker process can return it whatever arguments __init__ takes.
        return copyreg.__newobj__, (type(self), *self.args), vars(self)  # type: ignore[attr-defined]


class InvalidPair(MarketDataError, ValueError):
    """A string that is not a pair; the message quotes it and shows the expected notation."""


class InvalidTimeframe(MarketDataError, ValueError):
    """A timeframe that is not supported; the message quotes it and lists those that are."""


class InvalidRequest(MarketDataError, ValueError):
    """An invalid limit, range or configuration."""


class UnknownPair(MarketDataError, LookupError):
    """The store has no data for these pairs. `pairs` are their names."""

    def __init__(self, pairs: Iterable[str], known: Iterable[str]) -> None:
        self.pairs = tuple(pairs)
        names = list(known)
        hints = [f"{pair}{_nearest(pair, names)}" for pair in self.pairs]
        super().__init__(f"the store has no {'; '.join(hints)}; pairs() lists the {len(names)} it has")


class EmptyStore(MarketDataError):
    """The store responds but has no data of the requested kind: no collector has written yet."""


class Unauthorized(MarketDataError):
    """The store rejected the token, or the token may not read the bucket."""


class StoreUnavailable(MarketDataError):
    """No store gave a usable answer: it is down, unreachable, overloaded, or not InfluxDB."""


def _nearest(pair: str, known: list[str]) -> str:
    nearest = get_close_matches(pair, known, n=3)
    return f" (did you mean {' or '.join(nearest)}?)" if nearest else ""
