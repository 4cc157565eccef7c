"""Exchange JSON to events. Pure: no I/O, no clock; a frame is an event or ``Invalid`` with a reason of a closed set."""

from collections.abc import Mapping
from typing import Any, Literal

from collector.model.events import Candle, CandleValues, MarkPrice
from exchange.client import Kline, PremiumIndex

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

USD_MARGINED = 1
"""``st`` of a USD-margined row; 2 is COIN-M, which shares the streams since 2026 (docs/binance.md 1.3)."""


class Invalid(Exception):
    """The frame is not an event for us; ``reason`` says why."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


def candle_from_frame(data: Mapping[str, Any], pair_of: Mapping[str, str]) -> Candle:
    """Build a candle from the ``data`` of a kline frame. ``pair_of`` maps exchange symbols to pairs.

    Raises Invalid: unknown_symbol, wrong_interval (only 3m is ours) or malformed.
    """
    try:
        kline = data["k"]
        pair = _pair(data["s"], pair_of)
        if kline["i"] != "3m":
            raise Invalid("wrong_interval")
        values = CandleValues(
            open=_text(kline["o"]),
            high=_text(kline["h"]),
            low=_text(kline["l"]),
            close=_text(kline["c"]),
            volume=_text(kline["v"]),
            quote_volume=_text(kline["q"]),
            taker_buy_volume=_text(kline["V"]),
            taker_buy_quote_volume=_text(kline["Q"]),
            trades=_integer(kline["n"]),
        )
        final = kline["x"]
        if not isinstance(final, bool):
            raise Invalid("malformed")
        return Candle(pair, _integer(kline["t"]), values, final, "stream", _integer(data["E"]))
    except (KeyError, TypeError) as error:
        raise Invalid("malformed") from error


def mark_price_from_frame(data: Mapping[str, Any], pair_of: Mapping[str, str]) -> MarkPrice:
    """Build a mark price from the ``data`` of a markPriceUpdate frame.

    Raises Invalid: not_usd_margined (a COIN-M row), unknown_symbol or malformed.
    """
    try:
        if data.get("st", USD_MARGINED) != USD_MARGINED:
            raise Invalid("not_usd_margined")
        return MarkPrice(
            pair=_pair(data["s"], pair_of),
            event_time_ms=_integer(data["E"]),
            mark=_text(data["p"]),
            index=_text(data["i"]),
            rate=_text(data["r"]),
            next_funding_time_ms=_integer(data["T"]),
            estimated_settle=_text_or_none(data.get("P")),
            average_mark=_text_or_none(data.get("ap")),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise Invalid("malformed") from error


def mark_price_from_premium_index(pair: str, row: PremiumIndex) -> MarkPrice:
    """Build a mark price from a REST row: what the stream would have said, less often."""
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
    """Build a candle from a REST row; the caller judges finality by the exchange's clock."""
    values = CandleValues(
        open=kline.open,
        high=kline.high,
        low=kline.low,
        close=kline.close,
        volume=kline.volume,
        quote_volume=kline.quote_volume,
        taker_buy_volume=kline.taker_buy_volume,
        taker_buy_quote_volume=kline.taker_buy_quote_volume,
        trades=kline.trades,
    )
    return Candle(pair, kline.open_time_ms, values, final, "rest", exchange_time_ms)


def _pair(symbol: object, pair_of: Mapping[str, str]) -> str:
    pair = pair_of.get(_text(symbol))
    if pair is None:
        raise Invalid("unknown_symbol")
    return pair


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Invalid("malformed")
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise Invalid("malformed")
    return value
