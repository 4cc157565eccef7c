"""The numbers of one candle, as frames, REST rows and lines have them: the exchange's own decimal text."""

from __future__ import annotations

from typing import NamedTuple


class CandleValues(NamedTuple):
    """Prices in the quote currency, `volume` and `taker_buy_volume` in the base currency, the `quote_*` in the quote.

    All decimal text but `trades`, which is a count.
    """

    open: str
    high: str
    low: str
    close: str
    volume: str
    quote_volume: str
    taker_buy_volume: str
    taker_buy_quote_volume: str
    trades: int
