"""Decides how to query funding rates and mark prices, and builds the results. Pure, like `marketdata.ohlcv`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast

import numpy as np
import pandas as pd

from marketdata.candles import dates
from marketdata.errors import EmptyStore
from marketdata.influxql import Query, Value
from marketdata.ohlcv import Contract, Steps, check_known, spans, where
from marketdata.pairs import parse_pair
from marketdata.schema import FUNDING_RATE, FUNDING_SETTLED, MARK_PRICE, bucket_of
from marketdata.timeframes import DAY_MS

# Samples are kept for 30 days by default. The query covers all of them; callers can check the age of the newest one.
_SAMPLES_MS = 30 * DAY_MS


@dataclass(frozen=True, slots=True)
class FundingRate:
    """The newest estimate for a pair's current funding period.

    `rate` is a fraction (0.0001 is 0.01 %), `time` the exchange's event time (UTC), `age_seconds` the sample's age at
    the time of the read. The store has one sample per minute.
    """

    pair: str
    rate: float
    next_funding_time: datetime
    time: datetime
    age_seconds: float


@dataclass(frozen=True, slots=True)
class MarkPrice:
    """The newest mark and index price of a pair, in the quote currency.

    `time` is the exchange's event time (UTC), `age_seconds` the sample's age at the time of the read. The store has one
    sample per 10 s.
    """

    pair: str
    mark: float
    index: float
    time: datetime
    age_seconds: float


def newest_rate(pair: str, now_ms: int) -> Steps[FundingRate]:
    """Return the newest funding-rate sample of a pair."""
    (row,) = (yield from _newest(FUNDING_RATE, ("rate", "next_funding_time"), [pair], now_ms)).values()
    return _rate(pair, row, now_ms)


def newest_rates(now_ms: int) -> Steps[dict[str, FundingRate]]:
    """Return the newest funding-rate sample of every pair that has one."""
    rows = yield from _newest(FUNDING_RATE, ("rate", "next_funding_time"), (), now_ms)
    return {pair: _rate(pair, row, now_ms) for pair, row in sorted(rows.items())}


def newest_mark(pair: str, now_ms: int) -> Steps[MarkPrice]:
    """Return the newest mark-price sample of a pair."""
    (row,) = (yield from _newest(MARK_PRICE, ("mark", "index"), [pair], now_ms)).values()
    return MarkPrice(pair, row[1], row[2], _utc(row[0]), (now_ms - row[0]) / 1000)


def settled(pair: str, start_ms: int, end_ms: int, now_ms: int, contract: Contract = "present") -> Steps[pd.DataFrame]:
    """Return `date`, `rate`, `mark_price` (NaN if the exchange has none) of rates settled in [start_ms, end_ms)."""
    first_ms, until_ms = (yield from spans([pair], contract, now_ms))[pair]
    condition, params = where([pair], max(start_ms, first_ms), min(end_ms, until_ms))
    text = f'SELECT "rate", "mark_price" FROM "{FUNDING_SETTLED}" WHERE {condition}'
    series = yield Query(bucket_of(FUNDING_SETTLED), text, params)
    if not series:
        yield from check_known([pair], FUNDING_SETTLED)
    values = np.array(series[0].values if series else [], dtype=np.float64).reshape(-1, 3)
    times = values[:, 0].astype(np.int64)
    return pd.DataFrame({"date": dates(times), "rate": values[:, 1], "mark_price": values[:, 2]})


def _newest(
    measurement: str, fields: tuple[str, str], pairs: Sequence[str], now_ms: int
) -> Steps[dict[str, tuple[float, float, float]]]:
    """Return (time_ms, field, field) of the newest sample of each pair, or of every pair if `pairs` is empty."""
    for pair in pairs:
        parse_pair(pair)
    # The range ends after now: the exchange's clock may be ahead of ours, and we want its newest sample.
    condition, params = where(pairs, now_ms - _SAMPLES_MS, now_ms + DAY_MS)
    columns = ", ".join(f'"{name}"' for name in fields)
    text = f'SELECT {columns} FROM "{measurement}" WHERE {condition} GROUP BY "pair" ORDER BY time DESC LIMIT 1'
    series = yield Query(bucket_of(measurement), text, params)
    rows = {one.tags["pair"]: _complete(one.values[0]) for one in series}
    found = {pair: row for pair, row in rows.items() if row is not None}
    missing = [pair for pair in pairs if pair not in found]
    yield from check_known(missing, measurement)
    if missing or not found:
        names = " ".join(missing) or "any pair"
        raise EmptyStore(f"the store holds no {measurement} of {names} of the last 30 days: is a collector running?")
    return found


def _complete(values: Sequence[Value]) -> tuple[float, float, float] | None:
    return None if None in values else cast("tuple[float, float, float]", tuple(values))


def _rate(pair: str, row: tuple[float, float, float], now_ms: int) -> FundingRate:
    return FundingRate(pair, row[1], _utc(row[2]), _utc(row[0]), (now_ms - row[0]) / 1000)


def _utc(time_ms: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ms)
