"""Compares stored candles with the exchange's own, interval by interval. Pure: the readers do the I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field

BASE = "3m"
LENGTH_MS = {"3m": 180_000, "15m": 900_000, "1h": 3_600_000, "4h": 14_400_000, "1d": 86_400_000}
"""The stored intervals; all but the first are roll-ups."""

PRICES = ("open", "high", "low", "close")
SUMS = ("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume")
FIELDS = (*PRICES, *SUMS, "trades")
CANDLES = "candles"

EXAMPLES_KEPT = 3

type Row = Mapping[str, float | None]
"""A candle: FIELDS, and CANDLES if it is a stored roll-up. None: the field is not stored."""

type Rows = Mapping[int, Row]
"""Candles by open time in ms."""


@dataclass
class Verdict:
    """The problems in one interval, counted in candles, and how much was compared."""

    missing: int = 0
    off_grid: int = 0
    differing: int = 0
    not_rolled: int = 0
    compared: int = 0
    windows_fetched: int = 0
    exchange_holes: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, other: "Verdict") -> None:
        """Add the verdict for another pair."""
        self.missing += other.missing
        self.off_grid += other.off_grid
        self.differing += other.differing
        self.not_rolled += other.not_rolled
        self.compared += other.compared
        self.windows_fetched += other.windows_fetched
        self.exchange_holes += other.exchange_holes
        self.examples = (self.examples + other.examples)[:EXAMPLES_KEPT]

    def note(self, example: str) -> None:
        """Keep an example of a problem."""
        self.examples = [*self.examples, example][:EXAMPLES_KEPT]

    @property
    def wrong(self) -> int:
        """Return the number of candles that break the promise."""
        return self.missing + self.off_grid + self.differing + self.not_rolled


def compare(
    interval: str,
    pair: str,
    stored: Rows,
    exchange: Rows,
    *,
    quantity_precision: int,
    rolled_from_ms: int = 0,
) -> Verdict:
    """Judge one pair and interval.

    exchange has exactly the candles that are due in the store: one that is not stored is missing. Stored candles
    outside this range are only checked against the grid. A roll-up window that opens at rolled_from_ms or later must
    have been rolled up from our own candles; an older one may be the exchange's. `compared` counts all 3m candles, and
    of roll-ups those rolled up; fetched ones are compared, too, and counted as fetched.
    """
    length_ms = LENGTH_MS[interval]
    verdict = Verdict()
    label = f"{pair} {interval}"
    for open_ms in stored:
        if open_ms % length_ms:
            verdict.off_grid += 1
            verdict.note(f"{label} {open_ms} is not on the grid")
    if not exchange:
        return verdict
    first_ms, last_ms = min(exchange), max(exchange)
    verdict.exchange_holes = (last_ms - first_ms) // length_ms + 1 - len(exchange)
    for open_ms in range(first_ms, last_ms + 1, length_ms):
        if open_ms not in stored:
            if open_ms in exchange:
                verdict.missing += 1
                verdict.note(f"{label} {open_ms} is missing")
            continue
        row = stored[open_ms]
        if difference := _difference(interval, row, exchange.get(open_ms), quantity_precision):
            verdict.differing += 1
            verdict.note(f"{label} {open_ms}: {difference}")
        if interval == BASE or row.get(CANDLES):
            verdict.compared += 1
            continue
        verdict.windows_fetched += 1
        if open_ms >= rolled_from_ms:
            verdict.not_rolled += 1
            verdict.note(f"{label} {open_ms} was fetched, although our own candles cover it")
    return verdict


def _difference(interval: str, stored: Row, exchange: Row | None, quantity_precision: int) -> str | None:
    if exchange is None:
        return "the exchange does not have this candle"
    if interval == BASE:
        return difference_of_base(stored, exchange)
    return difference_of_rollup(stored, exchange, LENGTH_MS[interval], quantity_precision)


def difference_of_base(stored: Row, exchange: Row) -> str | None:
    """Return the first field of a 3m candle that is not exactly the exchange's, or None.

    A candle without trades is stored without open, high and low (docs/adr: otherwise a roll-up's first, max and min
    would be wrong).
    """
    untraded = not exchange["trades"]
    for name in FIELDS:
        expected = None if untraded and name in PRICES[:3] else exchange[name]
        if stored.get(name) != expected:
            return f"{name} is {stored.get(name)}, the exchange has {expected}"
    return None


def difference_of_rollup(stored: Row, exchange: Row, length_ms: int, quantity_precision: int) -> str | None:
    """Return the first field of a window that differs from the exchange's candle, or None.

    Prices and the number of trades must be equal. Sums must be within half of the last decimal of a quantity if the
    window was rolled up (CANDLES of them), and exactly equal if it was fetched (CANDLES is 0). Without trades, close
    replaces the prices that are not stored.
    """
    candles, whole = stored.get(CANDLES), length_ms // LENGTH_MS[BASE]
    if candles not in (0, whole):
        return f"it has {candles} of {whole} candles"
    tolerance = 0.5 * 10.0**-quantity_precision if candles else 0.0
    untraded = not exchange["trades"]
    for name in FIELDS:
        value, expected = stored.get(name), exchange[name]
        if value is None and untraded and name in PRICES[:3]:
            value = stored.get("close")
        if value is None or expected is None:
            return f"{name} is missing"
        if value != expected and not (name in SUMS and abs(value - expected) <= tolerance):
            return f"{name} is {value}, the exchange has {expected}"
    return None
