"""Candles as arrays: stored rows in, windows and DataFrames out. Pure.

A row is (time_ms, open, high, low, close, volume); rows are in the order of time. A candle without trades is stored
without open, high and low: it is carried as NaN through every window, so that first, max and min see trades only, and
takes its close at the very end.
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

# What pandas' own constructors give: nanoseconds before pandas 3, microseconds since. merge_asof takes no other.
_DATES = pd.date_range("2026-01-01", periods=1).to_numpy().dtype

_TIME, _OPEN, _HIGH, _LOW, _CLOSE, _VOLUME = range(6)


def rows_of(values: Sequence[Sequence[Value]]) -> Rows:
    """Return the rows of an answer with the columns time and COLUMNS.

    A row without close or volume, or with some of open, high and low but not all, is no candle and left out.
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
    """Return rows without a candle."""
    return np.empty((0, 6))


def times_of(rows: Rows) -> NDArray[np.int64]:
    """Return the open times in ms."""
    return rows[:, _TIME].astype(np.int64)


def roll_up(rows: Rows, source_ms: int, window_ms: int, offset_ms: int = 0) -> Rows:
    """Return the windows of `window_ms` that `rows`, candles of `source_ms`, cover completely.

    Windows start at `offset_ms` after a multiple of `window_ms`. One with a candle missing is left out, and so is the
    one that is still forming, since its last candle is not there yet.
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
    """Return `date` (UTC) and COLUMNS; a candle without trades has its close as open, high and low."""
    untraded = np.isnan(rows[:, _OPEN])
    if untraded.any():
        rows = rows.copy()
        rows[untraded, _OPEN : _LOW + 1] = rows[untraded, _CLOSE, np.newaxis]
    columns = {name: rows[:, index] for index, name in enumerate(COLUMNS, start=1)}
    return pd.DataFrame({"date": dates(times_of(rows)), **columns})


def dates(times_ms: NDArray[np.int64]) -> pd.DatetimeIndex:
    """Return UTC dates, of the resolution that `pd.date_range` gives."""
    return pd.DatetimeIndex(times_ms.astype("datetime64[ms]").astype(_DATES)).tz_localize("UTC")


def hole_frame(times_ms: NDArray[np.int64], absent_ms: NDArray[np.int64]) -> pd.DataFrame:
    """Return every hole in ascending 3m opens: `start` (first missing), `end` (next stored), `candles` (missing).

    `exchange_holes` is how many of them are in `absent_ms` (ascending): the exchange itself does not have them.
    """
    before = np.flatnonzero(np.diff(times_ms) > BASE_MS)
    starts, ends = times_ms[before] + BASE_MS, times_ms[before + 1]
    absent = np.searchsorted(absent_ms, ends) - np.searchsorted(absent_ms, starts)
    return pd.DataFrame(
        {"start": dates(starts), "end": dates(ends), "candles": (ends - starts) // BASE_MS, "exchange_holes": absent}
    )
