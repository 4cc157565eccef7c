"""Longer candles from 3m candles, exactly: sums in units of the last decimal. Also stored floats as text. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from exchange.universe import Instrument
from gateway.memory.rows import Row, Values, encode
from gateway.memory.texts import decimals, summed
from marketdata.influxql import Value
from marketdata.timeframes import BASE_MS, BASE_TIMEFRAME, DAY_MS, WEEK_MS

_MONDAY_MS = 4 * DAY_MS

COLUMNS = (
    "open",
    "high",
    "low",
    "close",
    "volume",
    "quote_volume",
    "taker_buy_volume",
    "taker_buy_quote_volume",
    "trades",
)
"""A stored candle's fields, in the order `stored` takes them. Roll-ups also have `candles`."""


@dataclass(frozen=True, slots=True)
class Digits:
    """Today's decimals of a symbol's numbers: prices, base volumes, and quote volumes, which have as many as both.

    Numbers stored at other times may have more.
    """

    price: int
    base: int

    @property
    def quote(self) -> int:
        return self.price + self.base

    @classmethod
    def of(cls, info: Instrument) -> "Digits":
        """Return the digits of a symbol."""
        return cls(info.price_precision, info.quantity_precision)


@dataclass(frozen=True, slots=True)
class Grid:
    """The windows of an interval: their length and alignment."""

    interval: str
    length_ms: int

    @property
    def offset_ms(self) -> int:
        return _MONDAY_MS if self.length_ms == WEEK_MS else 0

    def open_of(self, time_ms: int) -> int:
        """Return the open time of the window that contains `time_ms`."""
        return time_ms - (time_ms - self.offset_ms) % self.length_ms

    def first_from(self, time_ms: int) -> int:
        """Return the open time of the first window that opens at or after `time_ms`."""
        return self.open_of(time_ms - 1) + self.length_ms

    def opens(self, first_ms: int, stop_ms: int) -> range:
        """Return the open times in [first_ms, stop_ms); `first_ms` must be one."""
        return range(first_ms, stop_ms, self.length_ms)


BASE = Grid(BASE_TIMEFRAME, BASE_MS)
"""What everything else is built from."""


def merge(candles: Sequence[Values], open_ms: int, length_ms: int) -> Values:
    """Return the window over these candles, oldest first: the one the exchange would build from all their trades.

    Candles without a trade have a close but no prices of their own.
    """
    traded = [candle for candle in candles if candle.trades]
    if not traded:
        close = candles[-1].close
        return candles[-1]._replace(
            open_time_ms=open_ms, open=close, high=close, low=close, close_time_ms=open_ms + length_ms - 1
        )
    return Values(
        open_ms,
        traded[0].open,
        max((candle.high for candle in traded), key=float),
        min((candle.low for candle in traded), key=float),
        candles[-1].close,
        total([candle.volume for candle in traded]),
        open_ms + length_ms - 1,
        total([candle.quote_volume for candle in traded]),
        sum(candle.trades for candle in traded),
        total([candle.taker_buy_volume for candle in traded]),
        total([candle.taker_buy_quote_volume for candle in traded]),
    )


def total(texts: Sequence[str]) -> str:
    """Return the exact sum of decimal texts, with as many decimals as the longest of them."""
    digits = [len(text) - point - 1 if (point := text.find(".")) >= 0 else 0 for text in texts]
    most = max(digits)
    if min(digits) == most:
        units = sum(int(text.replace(".", "", 1)) for text in texts)
    else:
        units = sum(int(text.replace(".", "", 1)) * 10 ** (most - own) for text, own in zip(texts, digits, strict=True))
    if not most:
        return str(units)
    shown = f"{abs(units):0{most + 1}d}"
    return f"{'-' if units < 0 else ''}{shown[:-most]}.{shown[-most:]}"


def stored(
    open_ms: int, length_ms: int, fields: Sequence[Value], digits: Digits, candles: float | None = 0
) -> Values | None:
    """Return a stored candle with its numbers written as the exchange does; None if it is incomplete.

    `candles`: how many 3m candles its sums were added up from; 0 if it is stored as the exchange reported it.
    """
    numbers = [None if isinstance(value, str) else value for value in fields]
    opening, high, low, close, volume, quote, taker, taker_quote, trades = numbers
    if close is None or volume is None or quote is None or taker is None or taker_quote is None or trades is None:
        return None
    if opening is None or high is None or low is None:
        if trades:
            return None
        opening = high = low = close
    count = length_ms // BASE_MS if candles is None else int(candles)
    amount = partial(summed, count=count) if count else decimals
    return Values(
        open_ms,
        decimals(opening, digits.price),
        decimals(high, digits.price),
        decimals(low, digits.price),
        decimals(close, digits.price),
        amount(volume, digits.base),
        open_ms + length_ms - 1,
        amount(quote, digits.quote),
        int(trades),
        amount(taker, digits.base),
        amount(taker_quote, digits.quote),
    )


def untraded(open_ms: int, length_ms: int, close: str, digits: Digits) -> Values:
    """Return the window that has begun but has no trade yet: the exchange shows the last close and zeros."""
    base, quote = f"{0:.{digits.base}f}", f"{0:.{digits.quote}f}"
    return Values(open_ms, close, close, close, close, base, open_ms + length_ms - 1, quote, 0, base, quote)


def row(values: Values) -> Row:
    """Return the row's JSON."""
    return encode(values)
