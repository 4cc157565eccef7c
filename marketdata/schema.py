"""The schema of the store: all buckets, measurements, tags and fields. A test compares docs/schema.md with it."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from marketdata.timeframes import BASE_TIMEFRAME

EXCHANGE = "BINANCE_FUTURES"

#: Binance listed its first USDT-M perpetual in September 2019. No stored data is older than this: 2019-01-01 in ms.
EARLIEST_MS = 1_546_300_800_000

BUCKET_RAW = "market_data"
BUCKET_ROLLUP = "market_data_rollup"
BUCKET_SAMPLES = "market_data_samples"

OHLCV_BASE = f"ohlcv_{BASE_TIMEFRAME}"
FUNDING_SETTLED = "funding_settled"
MARK_OHLCV_1H = "mark_ohlcv_1h"
GAPS = "gaps"
CONTRACTS = "contracts"
MARK_PRICE = "mark_price"
FUNDING_RATE = "funding_rate"

#: The timeframes that tasks in the store roll up, shortest first; measurement `ohlcv_<timeframe>`.
ROLLUP_TIMEFRAMES = ("15m", "1h", "4h", "1d")

#: The channels of a pair; the tag `channel` of `gaps` and the label of metrics.
CHANNELS = (f"candles_{BASE_TIMEFRAME}", "mark_price", "funding")

GAP_STATES = ("open", "repaired", "exchange_hole", "invalid")

#: The states of candles that the exchange does not have: no row, or an impossible one.
NOT_AT_EXCHANGE = ("exchange_hole", "invalid")

FieldType = Literal["float", "int", "string"]


@dataclass(frozen=True, slots=True)
class Field:
    """A field: its type in InfluxDB, unit and meaning."""

    name: str
    type: FieldType
    unit: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Measurement:
    """A measurement: its bucket, the meaning of its time (ms), its tags and fields."""

    name: str
    bucket: str
    time: str
    tags: tuple[str, ...]
    fields: tuple[Field, ...]


_TAGS = ("exchange", "pair")

_CANDLE = (
    Field("open", "float", "quote", "first price; missing when trades = 0"),
    Field("high", "float", "quote", "highest price; missing when trades = 0"),
    Field("low", "float", "quote", "lowest price; missing when trades = 0"),
    Field("close", "float", "quote", "last price; the last close before it when trades = 0"),
    Field("volume", "float", "base", "traded amount"),
    Field("quote_volume", "float", "quote", "traded amount in the quote currency"),
    Field("taker_buy_volume", "float", "base", "the part of volume that takers bought"),
    Field("taker_buy_quote_volume", "float", "quote", "the part of quote_volume that takers bought"),
    Field("trades", "int", "1", "number of trades"),
)

_CANDLES = Field("candles", "int", "1", "3m candles it was rolled from; 0 when it is the exchange's own candle")

_ALL = (
    Measurement(OHLCV_BASE, BUCKET_RAW, "open of the candle", _TAGS, _CANDLE),
    Measurement(
        FUNDING_SETTLED,
        BUCKET_RAW,
        "funding time; off by a few ms",
        _TAGS,
        (
            Field("rate", "float", "1", "settled funding rate of the period that ended"),
            Field("mark_price", "float", "quote", "mark price at settlement; missing if the exchange has none"),
        ),
    ),
    Measurement(
        MARK_OHLCV_1H,
        BUCKET_RAW,
        "open of the candle",
        _TAGS,
        (
            Field("open", "float", "quote", "first mark price"),
            Field("high", "float", "quote", "highest mark price"),
            Field("low", "float", "quote", "lowest mark price"),
            Field("close", "float", "quote", "last mark price"),
        ),
    ),
    Measurement(
        GAPS,
        BUCKET_RAW,
        "open of the missing candle",
        (*_TAGS, "channel"),
        (
            Field(
                "state",
                "string",
                "-",
                "open, repaired, exchange_hole or invalid (the exchange's row cannot be a candle)",
            ),
            Field("reason", "string", "-", "why it is missing"),
            Field("since_ms", "int", "ms", "exchange_hole and invalid only: when this was detected"),
            Field("asked", "int", "1", "exchange_hole and invalid only: how often the exchange has been asked again"),
        ),
    ),
    Measurement(
        CONTRACTS,
        BUCKET_RAW,
        "open of a contract's first 3m candle",
        _TAGS,
        (Field("onboard_date", "int", "ms", "the exchange's listing date, which may be days or months off"),),
    ),
    *(
        Measurement(f"ohlcv_{timeframe}", BUCKET_ROLLUP, "open of the window", _TAGS, (*_CANDLE, _CANDLES))
        for timeframe in ROLLUP_TIMEFRAMES
    ),
    Measurement(
        MARK_PRICE,
        BUCKET_SAMPLES,
        "event time",
        _TAGS,
        (
            Field("mark", "float", "quote", "mark price"),
            Field("index", "float", "quote", "index price"),
        ),
    ),
    Measurement(
        FUNDING_RATE,
        BUCKET_SAMPLES,
        "event time",
        _TAGS,
        (
            Field("rate", "float", "1", "estimated funding rate of the running period"),
            Field("next_funding_time", "int", "ms", "when the running period settles"),
        ),
    ),
)

MEASUREMENTS = MappingProxyType({measurement.name: measurement for measurement in _ALL})


def bucket_of(measurement: str) -> str:
    """Return the bucket of a measurement. Raises KeyError for an unknown name."""
    return MEASUREMENTS[measurement].bucket
