"""Compares stored candles with the exchange's own, field by field. Pure: sweep and audit read, this decides.

When values count as equal (docs/design.md 4.3): prices as decimals, trades as counts. Sums of a base candle, or of a
window computed by the exchange, must equal the float of the exchange's text. Sums of a window rolled up from base
candles, which adds floats, may differ by half of the last decimal of a quantity: of today's quantities or of the row's
own, whichever are finer, since a symbol's precision may have shrunk.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple

from exchange.rows import Kline
from marketdata.timeframes import BASE_MS, timeframe_ms

TRADED = ("open", "high", "low")
"""Prices that are not stored for a candle without trades (docs/adr/0004)."""
PRICES = (*TRADED, "close")
SUMS = ("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume")
FIELDS = (*PRICES, *SUMS, "trades")
CANDLES = "candles"

type Number = int | float
type StoredRow = Mapping[str, Number | None]
"""One stored candle: FIELDS, and CANDLES for a roll-up. None: the field is not stored."""

type Kind = Literal["missing", "surplus", "wrong"]
KINDS: tuple[Kind, ...] = ("missing", "surplus", "wrong")


class WrongField(NamedTuple):
    """A field with both of its values; None: that side has none."""

    name: str
    stored: Number | None
    exchange: str | int | None


@dataclass(frozen=True, slots=True)
class Difference:
    """One candle that differs from the exchange's. `fields` is empty unless it is wrong."""

    pair: str
    timeframe: str
    open_time_ms: int
    kind: Kind
    fields: tuple[WrongField, ...] = ()


def compare(
    pair: str,
    timeframe: str,
    stored: Mapping[int, StoredRow],
    exchange: Mapping[int, Kline],
    *,
    quantity_precision: int,
) -> list[Difference]:
    """Return the differences, oldest first. Both by open time (ms), over the same range; `exchange`: final candles."""
    found = []
    for open_ms in sorted(stored.keys() | exchange.keys()):
        if open_ms not in stored:
            found.append(Difference(pair, timeframe, open_ms, "missing"))
        elif open_ms not in exchange:
            found.append(Difference(pair, timeframe, open_ms, "surplus"))
        elif fields := wrong_fields(timeframe, stored[open_ms], exchange[open_ms], quantity_precision):
            found.append(Difference(pair, timeframe, open_ms, "wrong", fields))
    return found


def wrong_fields(timeframe: str, row: StoredRow, kline: Kline, quantity_precision: int) -> tuple[WrongField, ...]:
    """Return every field of a stored candle that differs from the exchange's; none if it is right."""
    whole = timeframe_ms(timeframe) // BASE_MS
    candles = row.get(CANDLES)
    wrong = []
    if whole > 1 and candles not in (0, whole):
        wrong.append(WrongField(CANDLES, candles, whole))
    digits = max(quantity_precision, _decimals(kline.volume), _decimals(kline.taker_buy_volume))
    tolerance = Decimal(5).scaleb(-digits - 1) if candles else Decimal(0)
    for name in FIELDS:
        value, expected = row.get(name), _expected(name, row, kline, is_base=whole == 1)
        if not _equal(name, value, expected, tolerance):
            wrong.append(WrongField(name, value, expected))
    return tuple(wrong)


def must_shed_fields(row: StoredRow, kline: Kline) -> bool:
    """Whether a stored candle has prices that it must not have, since the exchange's own has no trades.

    Overwriting a point does not remove fields: it must be deleted first.
    """
    return not kline.trades and any(row.get(name) is not None for name in TRADED)


def _decimals(text: str) -> int:
    return len(text.partition(".")[2])


def _expected(name: str, row: StoredRow, kline: Kline, *, is_base: bool) -> str | int | None:
    if name in TRADED and not kline.trades and (is_base or row.get(name) is None):
        return None  # a rolled-up window without trades may have them: the script sets them to the close
    value: str | int = getattr(kline, name)
    return value


def _equal(name: str, value: Number | None, expected: str | int | None, tolerance: Decimal) -> bool:
    if value is None or expected is None:
        return value is None and expected is None
    if name in SUMS:
        return value == float(expected) or abs(Decimal(str(value)) - Decimal(expected)) <= tolerance
    return Decimal(str(value)) == Decimal(expected)
