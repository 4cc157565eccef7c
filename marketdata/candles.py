"""Candles as arrays: converts stored rows to windows and DataFrames. Pure.

A row is (time_ms, open, high, low, close, volume); rows are sorted by time. A candle without trades is stored without
open, high and low. It stays NaN through every window, so that first, max and min only see trades, and gets its close as
all prices at the very end.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from marketdata.influxql import Value
from marketdata.timeframes import BASE_MS

Rows = NDArray[np.float64]

_PRICES = ("open", "high", "low", "close")
COLUMNS = (*_PRICES, "volume")

# The resolution of pandas' own constructors: ns before pandas 3, us since. merge_asof accepts no other.
_DATES = pd.date_range("2026-01-01", periods=1).to_numpy().dtype

_TIME, _OPEN, _HIGH, _LOW, _CLOSE, _VOLUME = range(6)


def rows_of(values: Sequence[Sequence[Value]]) -> Rows:
    """Return the rows of a query result with the columns time and COLUMNS.

    Rows without close or volume, or with only some of open, high and low, are not candles and are skipped.
    """
    if not values:
        return no_rows()
    rows = np.array(values, dtype=np.float64)
    if not np.isnan(rows).any():
        return rows
    missing = np.isnan(rows)
    prices_missing = missing[:, _OPEN : _LOW + 1].sum(axis=1)
    broken = missing[:, _CLOSE] | missing[:, _VOLUME] | ((prices_missing > 0) & (prices_missing < 3))
    return rows[~broken]


def no_rows() -> Rows:
    """Return an empty Rows."""
    return np.empty((0, 6))


def times_of(rows: Rows) -> NDArray[np.int64]:
    """Return the open times in ms."""
    return rows[:, _TIME].astype(np.int64)


def roll_up(rows: Rows, source_ms: int, window_ms: int, offset_ms: int = 0) -> Rows:
    """Return the windows of `window_ms` that are completely covered by `rows`, candles of `source_ms`.

    Windows start at `offset_ms` after a multiple of `window_ms`. Incomplete windows are left out, including the one
    that is still forming.
    """
    if len(rows) == 0 or source_ms == window_ms:
        return rows
    times = times_of(rows)
    opens = times - (times - offset_ms) % window_ms
    starts = np.flatnonzero(np.concatenate(([True], opens[1:] != opens[:-1])))
    ends = np.concatenate((starts[1:], [len(rows)])) - 1
    traded = np.where(np.isnan(rows[:, _OPEN]), len(rows) - 1, np.arange(len(rows)))
    first_traded = np.minimum(np.minimum.reduceat(traded, starts), ends)
    windows = np.column_stack(
        (
            opens[starts],
            rows[first_traded, _OPEN],
            np.fmax.reduceat(rows[:, _HIGH], starts),
            np.fmin.reduceat(rows[:, _LOW], starts),
            rows[ends, _CLOSE],
            np.add.reduceat(rows[:, _VOLUME], starts),
        )
    )
    complete: Rows = windows[ends - starts + 1 == window_ms // source_ms]
    return complete


def frame(rows: Rows) -> pd.DataFrame:
    """Return `date` (UTC) and COLUMNS; candles without trades have their close as open, high and low."""
    untraded = np.isnan(rows[:, _OPEN])
    if untraded.any():
        rows = rows.copy()
        rows[untraded, _OPEN : _LOW + 1] = rows[untraded, _CLOSE, np.newaxis]
    columns = {name: rows[:, index] for index, name in enumerate(COLUMNS, start=1)}
    return pd.DataFrame({"date": dates(times_of(rows)), **columns})


def dates(times_ms: NDArray[np.int64]) -> pd.DatetimeIndex:
    """Return UTC dates with the resolution of `pd.date_range`."""
    return pd.DatetimeIndex(times_ms.astype("datetime64[ms]").astype(_DATES)).tz_localize("UTC")


def hole_frame(times_ms: NDArray[np.int64], absent_ms: NDArray[np.int64]) -> pd.DataFrame:
    """Return every hole in the given 3m open times: `start` (first missing), `end` (next stored), `candles` (missing).

    `exchange_holes` counts those that are in `absent_ms` (ascending): the exchange does not have them either.
    """
    before = np.flatnonzero(np.diff(times_ms) > BASE_MS)
    starts, ends = times_ms[before] + BASE_MS, times_ms[before + 1]
    absent = np.searchsorted(absent_ms, ends) - np.searchsorted(absent_ms, starts)
    return pd.DataFrame(
        {"start": dates(starts), "end": dates(ends), "candles": (ends - starts) // BASE_MS, "exchange_holes": absent}
    )
