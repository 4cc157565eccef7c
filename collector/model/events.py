"""What the exchange said, as values: the only currency between the feeds and the writer.

Numbers stay the exchange's own decimal text from the frame to the store, so that nothing is rounded on the way.
Times are UTC milliseconds of the exchange, never ours.
"""

from dataclasses import dataclass
from typing import Literal

CANDLES = "candles_3m"
MARK_PRICE = "mark_price"
FUNDING = "funding"

CANDLE_MS = 180_000
"""Length of the base candle (3m)."""

type Origin = Literal["stream", "rest", "spool"]
"""Who told a candle; ``spool``: an earlier process of ours, and it waits there for its store."""


@dataclass(frozen=True, slots=True)
class CandleValues:
    """The numbers of one candle: prices, base and quote volumes as decimal text, trades as a count."""

    open: str
    high: str
    low: str
    close: str
    volume: str
    quote_volume: str
    taker_buy_volume: str
    taker_buy_quote_volume: str
    trades: int


@dataclass(frozen=True, slots=True)
class Candle:
    """One 3m candle as the exchange told it, forming (``final`` false) or closed."""

    pair: str
    open_time_ms: int
    values: CandleValues
    final: bool
    origin: Origin
    event_time_ms: int


@dataclass(frozen=True, slots=True)
class MarkPrice:
    """One markPrice@1s frame. ``rate`` is the estimate for the running period.

    ``next_funding_time_ms`` is 0 for a contract that pays no funding any more (delisted). ``estimated_settle`` means
    something in the last hour before a settlement only; ``average_mark`` is the mark price's moving average. Both are
    told on and not stored, so None, where a frame lacks one, harms nothing.
    """

    pair: str
    event_time_ms: int
    mark: str
    index: str
    rate: str
    next_funding_time_ms: int
    estimated_settle: str | None = None
    average_mark: str | None = None
