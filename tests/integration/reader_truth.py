"""The truth that the reader's tests compare with: final candles of three pairs, and a plain aggregation of them."""

import random
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx
import pandas as pd

from marketdata.candle_values import CandleValues
from marketdata.serializer import candle_line
from tests.integration.servers import InfluxStack

MINUTE, STEP, HOUR, DAY = 60_000, 180_000, 3_600_000, 86_400_000
MONDAY = 1_771_804_800_000  # 2026-02-23
NOW = MONDAY + 9 * DAY + 12 * HOUR + 35 * MINUTE  # Wednesday, 12:35: in the middle of a candle of every timeframe
LISTED = MONDAY - 2 * DAY - 7 * HOUR - 9 * MINUTE  # in the middle of a window of every timeframe

FULL, HOLED, CHINESE = "READFULL/USDT:USDT", "READHOLED/USDT:USDT", "读取器/USDT:USDT"
HOLES = [(MONDAY + 5 * HOUR, 1), (MONDAY + 3 * DAY + 6 * MINUTE, 25), (MONDAY + 9 * DAY + 11 * HOUR, 3)]
WINDOWS = {"3m": STEP, "6m": 2 * STEP, "15m": 15 * MINUTE, "21m": 21 * MINUTE, "30m": 30 * MINUTE, "45m": 45 * MINUTE}
WINDOWS |= {f"{hours}h": hours * HOUR for hours in (1, 2, 4, 5, 6, 8, 12)} | {"1d": DAY, "1w": 7 * DAY}

DATE = pd.date_range("2026-01-01", periods=1, tz="UTC").dtype


@dataclass(frozen=True)
class Candle:
    """One candle of the truth."""

    time: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trades: int


def walk(seed: int) -> list[Candle]:
    """Final candles from LISTED to NOW; every eighth has no trades, and so have two hours of one night."""
    chance, price, candles = random.Random(seed), Decimal(100), []
    for time in range(LISTED, NOW - STEP + 1, STEP):
        quiet = chance.random() < 0.12 or MONDAY + DAY <= time < MONDAY + DAY + 2 * HOUR
        if quiet:
            candles.append(Candle(time, price, price, price, price, Decimal(0), 0))
            continue
        first, last, *others = (price + Decimal(chance.randint(-900, 900)) / 1000 for _ in range(4))
        prices = [first, last, *others]
        volume = Decimal(chance.randint(1, 10**6)) / 1000
        candles.append(Candle(time, first, max(prices), min(prices), last, volume, chance.randint(1, 99)))
        price = last
    return candles


def aggregated(candles: list[Candle], window: int) -> list[Candle]:
    """The complete windows, from their trades: an untraded candle adds nothing but the close."""
    groups: dict[int, list[Candle]] = {}
    for candle in candles:
        groups.setdefault(candle.time - (candle.time - MONDAY) % window, []).append(candle)
    return [whole(time, group) for time, group in groups.items() if len(group) == window // STEP]


def whole(time: int, group: list[Candle]) -> Candle:
    close, volume = group[-1].close, sum((candle.volume for candle in group), Decimal(0))
    traded = [candle for candle in group if candle.trades]
    if not traded:
        return Candle(time, close, close, close, close, volume, 0)
    high, low = max(candle.high for candle in traded), min(candle.low for candle in traded)
    return Candle(time, traded[0].open, high, low, close, volume, sum(candle.trades for candle in traded))


def epoch_aligned(candles: list[Candle], timeframe: str) -> list[Candle]:
    """`aggregated`, but for timeframes that do not divide a week, whose windows count from the epoch."""
    shift = MONDAY % WINDOWS[timeframe] if timeframe != "1w" else 0
    moved = [Candle(c.time + shift, c.open, c.high, c.low, c.close, c.volume, c.trades) for c in candles]
    return [
        Candle(c.time - shift, c.open, c.high, c.low, c.close, c.volume, c.trades)
        for c in aggregated(moved, WINDOWS[timeframe])
    ]


def line(pair: str, measurement: str, candle: Candle, candles: int | None = None) -> str:
    first, high, low, last = (f"{price:f}" for price in (candle.open, candle.high, candle.low, candle.close))
    volume = f"{candle.volume:f}"
    values = CandleValues(first, high, low, last, volume, volume, "0", "0", candle.trades)
    return candle_line(measurement, pair, candle.time, values, now_ms=NOW, candles=candles)


def utc_dates(times_ms: list[int]) -> "pd.Series[pd.Timestamp]":
    """What pandas' own constructors make of them."""
    return pd.Series(pd.to_datetime(times_ms, unit="ms", utc=True)).astype(DATE)


def times_of(dates: "pd.Series[Any]") -> list[int]:
    return [int(time) for time in dates.dt.as_unit("ms").astype("int64")]


def expected(candles: list[Candle]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "date": utc_dates([candle.time for candle in candles]),
            **{name: [float(getattr(candle, name)) for candle in candles] for name in ("open", "high", "low", "close")},
            "volume": [float(candle.volume) for candle in candles],
        }
    )


def assert_equal(frame: pd.DataFrame, candles: list[Candle]) -> None:
    """Prices to the last bit, sums of volume but for the order of addition."""
    truth = expected(candles)
    pd.testing.assert_frame_equal(frame.drop(columns="volume"), truth.drop(columns="volume"), check_exact=True)
    pd.testing.assert_series_equal(frame["volume"], truth["volume"], rtol=1e-12)


def write(stack: InfluxStack, bucket: str, lines: list[str]) -> None:
    answer = httpx.post(
        f"{stack.url}/api/v2/write",
        params={"org": stack.org, "bucket": bucket, "precision": "ms"},
        headers={"Authorization": f"Token {stack.token('ingest', 'collector-1')}"},
        content="\n".join(lines).encode(),
        timeout=60,
        trust_env=False,
    )
    assert answer.status_code == 204, answer.text
