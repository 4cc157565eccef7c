"""Parses Binance's WebSocket frames. Pure: a frame is an event, or ``Invalid`` with a reason from a fixed set."""

from collections.abc import Mapping
from typing import Any

from exchange.events import Candle, Invalid, MarkPrice
from marketdata.candle_values import CandleValues
from marketdata.timeframes import BASE_TIMEFRAME

USD_MARGINED = 1
"""``st`` of a USD-margined row; 2 is COIN-M, which has shared the streams since 2026 (docs/binance.md 1.3)."""


def candle_from_frame(data: Mapping[str, Any], pair_of: Mapping[str, str]) -> Candle:
    """Build a candle from the ``data`` of a kline frame. ``pair_of`` maps exchange symbols to pairs.

    Raises Invalid: unknown_symbol, wrong_interval (not the base timeframe) or malformed.
    """
    try:
        kline = data["k"]
        pair = _pair(data["s"], pair_of)
        if kline["i"] != BASE_TIMEFRAME:
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
