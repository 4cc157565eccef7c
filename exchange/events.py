"""What an exchange reports, as values: the only data that passes between the feeds and the writer.

Numbers remain the exchange's own decimal text from the frame to the store, so that nothing is rounded on the way.
Times are the exchange's, in UTC milliseconds, never ours.
"""

from dataclasses import dataclass
from typing import Literal

from exchange.rows import Kline, PremiumIndex
from marketdata.candle_values import CandleValues
from marketdata.timeframes import BASE_MS, BASE_TIMEFRAME

CANDLES = f"candles_{BASE_TIMEFRAME}"
MARK_PRICE = "mark_price"
FUNDING = "funding"

CANDLE_MS = BASE_MS
"""Length of a base candle."""

type Origin = Literal["stream", "rest", "spool", "store"]
"""Where a candle comes from; ``spool``: from an earlier process of ours, still waiting there for its store; ``store``:
another store has it, and the exchange no longer does."""


@dataclass(frozen=True, slots=True)
class Candle:
    """One base candle as the exchange reported it, forming (``final`` false) or closed."""

    pair: str
    open_time_ms: int
    values: CandleValues
    final: bool
    origin: Origin
    event_time_ms: int


@dataclass(frozen=True, slots=True)
class MarkPrice:
    """One frame with mark price, index price and funding. ``rate`` is the estimate for the current funding interval.

    ``next_funding_time_ms`` is 0 for a contract that no longer pays funding (delisted). ``estimated_settle`` is only
    meaningful in the last hour before a settlement; ``average_mark`` is the mark price's moving average. Both are
    passed on but not stored, so None, if a frame lacks one, does no harm.
    """

    pair: str
    event_time_ms: int
    mark: str
    index: str
    rate: str
    next_funding_time_ms: int
    estimated_settle: str | None = None
    average_mark: str | None = None


type Reason = Literal[
    "malformed", "unknown_symbol", "unknown_event", "wrong_interval", "not_usd_margined", "implausible", "bug"
]

REASONS: tuple[Reason, ...] = (
    "malformed",
    "unknown_symbol",
    "unknown_event",
    "wrong_interval",
    "not_usd_margined",
    "implausible",
    "bug",
)


class Invalid(Exception):
    """The frame is not an event for us; ``reason`` says why."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


def mark_price_from_premium_index(pair: str, row: PremiumIndex) -> MarkPrice:
    """Build a mark price from a REST row: what the stream would have reported, less often."""
    funded = row.last_funding_rate is not None
    return MarkPrice(
        pair=pair,
        event_time_ms=row.time_ms,
        mark=row.mark_price,
        index=row.index_price,
        rate=row.last_funding_rate or "0",
        next_funding_time_ms=row.next_funding_time_ms if funded else 0,
        estimated_settle=row.estimated_settle_price,
    )


def candle_from_kline(pair: str, kline: Kline, *, final: bool, exchange_time_ms: int) -> Candle:
    """Build a candle from a REST row; the caller decides about finality by the exchange's clock."""
    return Candle(pair, kline.open_time_ms, kline.values, final, "rest", exchange_time_ms)
