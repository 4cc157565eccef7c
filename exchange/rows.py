"""Typed rows of an exchange's responses. Numbers remain the exchange's own decimal text: nothing is rounded."""

from __future__ import annotations

from typing import NamedTuple

from marketdata.candle_values import CandleValues
from marketdata.serializer import Unserializable, check_candle


class MalformedRow(ValueError):
    """A row that is not what the exchange documents; the message says where."""


class Kline(NamedTuple):
    """One candle. Times are UTC ms; `close_time_ms` is the last millisecond of the interval.

    Prices in quote currency, `volume` and `taker_buy_volume` in base currency, the `quote_*` in quote currency.
    The last row of a response is the interval still forming. Only the times are certain: `flaw` checks the rest.
    """

    open_time_ms: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    close_time_ms: int
    quote_volume: str
    trades: int
    taker_buy_volume: str
    taker_buy_quote_volume: str

    @property
    def values(self) -> CandleValues:
        """The candle's numbers."""
        return CandleValues(
            self.open,
            self.high,
            self.low,
            self.close,
            self.volume,
            self.quote_volume,
            self.taker_buy_volume,
            self.taker_buy_quote_volume,
            self.trades,
        )


class MarkPriceKline(NamedTuple):
    """One candle of the mark price: no volumes, no trades."""

    open_time_ms: int
    open: str
    high: str
    low: str
    close: str
    close_time_ms: int


class FundingRate(NamedTuple):
    """One settled funding rate. `funding_time_ms` jitters by milliseconds; `mark_price` is None before about 2022."""

    symbol: str
    funding_time_ms: int
    rate: str
    mark_price: str | None


class FundingInfo(NamedTuple):
    """How often a symbol settles its funding, if the exchange reports that."""

    symbol: str
    interval_hours: int


class PremiumIndex(NamedTuple):
    """Mark and index price with the rate of the current funding interval, an estimate until `next_funding_time_ms`.

    Contracts without funding (quarterly, delisted) have `next_funding_time_ms` 0 and `last_funding_rate` None or zero.
    `estimated_settle_price` is only meaningful in the last hour before a settlement; it and `interest_rate` are None if
    the response lacks them.
    """

    symbol: str
    mark_price: str
    index_price: str
    last_funding_rate: str | None
    next_funding_time_ms: int
    time_ms: int
    estimated_settle_price: str | None = None
    interest_rate: str | None = None


def flaw(kline: Kline) -> str:
    """Return, in one line, why a row cannot be a candle; empty if it can. What can never be stored is never served."""
    try:
        check_candle(kline.values)
    except Unserializable as error:
        return f"{error.reason}: {error}"
    return ""
