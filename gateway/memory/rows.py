"""Rows of /fapi/v1/klines as JSON text, and back: a seventh of the memory that Python strings would take. Pure."""

from typing import NamedTuple

import msgspec

from exchange.rows import Kline
from gateway.memory.stream_lines import Candle
from marketdata.timeframes import BASE_MS

type Row = bytes
"""One row's JSON: `[open time, "open", "high", "low", "close", "volume", close time, "quote volume", trades, "taker buy
volume", "taker buy quote volume", "0"]`."""

encode = msgspec.json.Encoder().encode


class Values(NamedTuple):
    """A row's twelve columns."""

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
    ignored: str = "0"


decode = msgspec.json.Decoder(Values).decode


def of_candle(candle: Candle) -> Row:
    """Return the row for a 3m candle from /stream."""
    return encode(
        (
            candle.open_time_ms,
            candle.open,
            candle.high,
            candle.low,
            candle.close,
            candle.volume,
            candle.open_time_ms + BASE_MS - 1,
            candle.quote_volume,
            candle.trades,
            candle.taker_buy_volume,
            candle.taker_buy_quote_volume,
            "0",
        )
    )


def of_kline(kline: Kline) -> Row:
    """Return the row for a candle that the exchange returned by REST."""
    return encode((*kline, "0"))


def body(rows: list[Row]) -> bytes:
    """Return the JSON array of rows."""
    return b"[" + b",".join(rows) + b"]"
