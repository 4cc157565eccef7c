"""Decides how to query candles: which stored interval serves a timeframe, how far to look back, what to compute. Pure.

Each function is a generator that yields queries, receives their results, and returns the final result. So the sync and
async clients share all decisions and differ only in the transport.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from marketdata.candles import COLUMNS, Rows, frame, hole_frame, no_rows, roll_up, rows_of, times_of
from marketdata.errors import EmptyStore, InvalidRequest, UnknownPair
from marketdata.influxql import Query, Series, one_of
from marketdata.pairs import parse_pair
from marketdata.schema import (
    CHANNELS,
    CONTRACTS,
    EARLIEST_MS,
    GAPS,
    NOT_AT_EXCHANGE,
    OHLCV_BASE,
    ROLLUP_TIMEFRAMES,
    bucket_of,
)
from marketdata.timeframes import BASE_MS, BASE_TIMEFRAME, DAY_MS, TIMEFRAME_MS, timeframe_ms, window_open_ms
from marketdata.times import whole

T = TypeVar("T")
Steps = Generator[Query, list[Series], T]

Contract = Literal["present", "previous"]
"""Which contract of a reused ticker: the one trading now, or those that traded before."""

Spans = Mapping[str, tuple[int, int]]
"""By pair: the contract's candles are in [start, stop), UTC ms."""

#: Rows per query: about 5 MB of JSON, a tenth of a second.
_ROWS_PER_QUERY = 50_000

#: How far back windows are computed from 3m candles if no roll-up is stored yet: the longest overlap of the tasks.
_PATCH_MS = 3 * DAY_MS


@dataclass(frozen=True, slots=True)
class Source:
    """The stored candles that serve a timeframe."""

    timeframe: str
    window_ms: int
    source: str
    source_ms: int

    @property
    def measurement(self) -> str:
        return f"ohlcv_{self.source}"

    @property
    def offset_ms(self) -> int:
        return window_open_ms(0, self.timeframe)


def source_of(timeframe: str) -> Source:
    """Return the largest stored interval that divides the timeframe. Raises InvalidTimeframe."""
    window_ms = timeframe_ms(timeframe)
    stored = (BASE_TIMEFRAME, *ROLLUP_TIMEFRAMES)
    source = max((name for name in stored if window_ms % TIMEFRAME_MS[name] == 0), key=TIMEFRAME_MS.__getitem__)
    return Source(timeframe, window_ms, source, TIMEFRAME_MS[source])


def spans(pairs: Sequence[str], contract: Contract, now_ms: int) -> Steps[Spans]:
    """Return where the candles of each pair's contract are; the store has the first candle of each contract."""
    for pair in pairs:
        parse_pair(pair)
    if not pairs:
        return {}
    condition, params = where(pairs, EARLIEST_MS, now_ms + BASE_MS)
    text = f'SELECT last("onboard_date") FROM "{CONTRACTS}" WHERE {condition} GROUP BY "pair"'
    series = yield Query(bucket_of(CONTRACTS), text, params)
    begins = {one.tags["pair"]: int(cast("float", one.values[0][0])) for one in series}
    if contract == "previous":
        return {pair: (0, begins.get(pair, 0)) for pair in pairs}
    return {pair: (begins.get(pair, 0), now_ms + BASE_MS) for pair in pairs}


def newest(pairs: Sequence[str], timeframe: str, limit: int, now_ms: int) -> Steps[dict[str, pd.DataFrame]]:
    """Return up to `limit` of the newest candles of each pair's present contract.

    Looks back slightly further than `limit` candles, and once more, five times as far, for pairs that have fewer.
    """
    source = source_of(timeframe)
    count = whole(limit)
    if count is None or not 1 <= count <= 1_000_000:
        raise InvalidRequest(f"limit {limit!r} is not a whole number between 1 and 1000000")
    limit = count
    of = yield from spans(pairs, "present", now_ms)
    stop_ms = window_open_ms(now_ms, timeframe)
    start_ms = stop_ms - (limit + limit // 10 + 5) * source.window_ms
    rows = yield from _windows(pairs, source, of, _clamp(start_ms, timeframe), stop_ms, now_ms)
    short = [pair for pair in pairs if len(rows[pair]) < limit]
    if short:
        wider_ms = stop_ms - (5 * limit + 500) * source.window_ms
        older = yield from _windows(short, source, of, _clamp(wider_ms, timeframe), start_ms, now_ms)
        rows |= {pair: np.concatenate((older[pair], rows[pair])) for pair in short}
    yield from check_known([pair for pair in pairs if not len(rows[pair])], OHLCV_BASE)
    return {pair: frame(rows[pair][-limit:]) for pair in pairs}


def between(
    pairs: Sequence[str], timeframe: str, start_ms: int, end_ms: int, now_ms: int, contract: Contract = "present"
) -> Steps[dict[str, pd.DataFrame]]:
    """Return every candle of each pair's contract that opens in [start_ms, end_ms) and has closed."""
    source = source_of(timeframe)
    of = yield from spans(pairs, contract, now_ms)
    stop_ms = min(_round_up(end_ms, timeframe), window_open_ms(now_ms, timeframe))
    rows = yield from _windows(pairs, source, of, _clamp(start_ms, timeframe), stop_ms, now_ms)
    yield from check_known([pair for pair in pairs if not len(rows[pair])], OHLCV_BASE)
    return {pair: frame(rows[pair]) for pair in pairs}


def holes(pair: str, start_ms: int, end_ms: int, now_ms: int) -> Steps[pd.DataFrame]:
    """Return the runs of missing 3m candles between those stored for a pair's present contract in [start_ms, end_ms).

    Counts by day first, and reads only the days with fewer than 480.
    """
    of = yield from spans([pair], "present", now_ms)
    start_ms = max(start_ms, of[pair][0])
    condition, params = where([pair], start_ms, end_ms)
    text = f'SELECT count("close") FROM "{OHLCV_BASE}" WHERE {condition} GROUP BY time(1d) fill(none)'
    series = yield Query(bucket_of(OHLCV_BASE), text, params)
    if not series:
        yield from check_known([pair], OHLCV_BASE)
    counts = np.array(series[0].values if series else [], dtype=np.int64).reshape(-1, 2)
    is_full = counts[:, 1] == DAY_MS // BASE_MS
    times = [np.add.outer(counts[is_full, 0], np.arange(0, DAY_MS, BASE_MS)).ravel()]
    for first_ms, stop_ms in _runs(counts[~is_full, 0]):
        rows = yield from _rows([pair], OHLCV_BASE, BASE_MS, of, max(first_ms, start_ms), min(stop_ms, end_ms))
        times.append(times_of(rows[pair]))
    absent = yield from _exchange_holes(pair, start_ms, end_ms)
    return hole_frame(np.sort(np.concatenate(times)), absent)


def _exchange_holes(pair: str, start_ms: int, end_ms: int) -> Steps[NDArray[np.int64]]:
    """Return the open times of candles that the exchange does not have, according to the collector, ascending."""
    condition, params = where([pair], start_ms, end_ms)
    of_candles = f"\"channel\" = '{CHANNELS[0]}' AND {one_of('state', NOT_AT_EXCHANGE)}"
    series = yield Query(bucket_of(GAPS), f'SELECT "state" FROM "{GAPS}" WHERE {condition} AND {of_candles}', params)
    return np.array([row[0] for one in series for row in one.values], dtype=np.int64)


def known_pairs(measurement: str) -> Steps[list[str]]:
    """Return the pairs that have data in a measurement, sorted."""
    text = f'SHOW TAG VALUES FROM "{measurement}" WITH KEY = "pair" WHERE "exchange" = $exchange'
    series = yield Query(bucket_of(measurement), text)
    return sorted(str(value) for one in series for _, value in one.values)


def check_known(pairs: Sequence[str], measurement: str) -> Steps[None]:
    """Raise EmptyStore or UnknownPair unless the store has all `pairs`; sends no query if `pairs` is empty."""
    if not pairs:
        return
    known = yield from known_pairs(measurement)
    if not known:
        raise EmptyStore(f"the store holds no {measurement} of any pair: is a collector running and writing to it?")
    unknown = [pair for pair in pairs if pair not in known]
    if unknown:
        raise UnknownPair(unknown, known)


def answer(query: Query) -> Steps[list[Series]]:
    """Return the result of a single query unchanged."""
    return (yield query)


def newest_candle_ms(now_ms: int) -> Steps[int]:
    """Return the open time of the newest 3m candle of any pair within the last hour, 0 if there is none."""
    condition, params = where((), now_ms - 3_600_000, now_ms + BASE_MS)
    text = f'SELECT "close" FROM "{OHLCV_BASE}" WHERE {condition} ORDER BY time DESC LIMIT 1'
    series = yield Query(bucket_of(OHLCV_BASE), text, params)
    return int(cast("float", series[0].values[0][0])) if series else 0


def where(pairs: Sequence[str], start_ms: int, stop_ms: int) -> tuple[str, dict[str, str]]:
    """Return the condition for [start_ms, stop_ms) of `pairs`, or of every pair if empty, and its bound parameters."""
    params = {f"pair{index}": pair for index, pair in enumerate(pairs)}
    any_pair = " OR ".join(f'"pair" = $pair{index}' for index in range(len(pairs)))
    of_pairs = f" AND ({any_pair})" if pairs else ""
    return f'"exchange" = $exchange{of_pairs} AND time >= {start_ms}ms AND time < {stop_ms}ms', params


def _windows(
    pairs: Sequence[str], source: Source, of: Spans, start_ms: int, stop_ms: int, now_ms: int
) -> Steps[dict[str, Rows]]:
    stored = yield from _rows(pairs, source.measurement, source.source_ms, of, start_ms, stop_ms)
    if source.source != BASE_TIMEFRAME:
        yield from _patch(stored, source, of, start_ms, stop_ms, now_ms)
    return {pair: roll_up(rows, source.source_ms, source.window_ms, source.offset_ms) for pair, rows in stored.items()}


def _patch(stored: dict[str, Rows], source: Source, of: Spans, start_ms: int, stop_ms: int, now_ms: int) -> Steps[None]:
    """Append the windows after each pair's newest stored one, computed from 3m candles."""
    recent_ms = max(start_ms, window_open_ms(now_ms - _PATCH_MS, source.source))
    since = {
        pair: max(recent_ms, int(rows[-1, 0]) + source.source_ms) if len(rows) else recent_ms
        for pair, rows in stored.items()
    }
    late = [pair for pair in stored if since[pair] < stop_ms]
    if not late:
        return
    base = yield from _rows(late, OHLCV_BASE, BASE_MS, of, min(since[pair] for pair in late), stop_ms)
    for pair in late:
        rows = base[pair]
        computed = roll_up(rows[rows[:, 0] >= since[pair]], BASE_MS, source.source_ms)
        stored[pair] = np.concatenate((stored[pair], computed))


def _rows(
    pairs: Sequence[str], measurement: str, step_ms: int, of: Spans, start_ms: int, stop_ms: int
) -> Steps[dict[str, Rows]]:
    """Return the stored rows of each pair's contract that open in [start_ms, stop_ms), limited in size per query."""
    if not pairs:
        return {}
    parts: dict[str, list[Rows]] = {pair: [no_rows()] for pair in pairs}
    slice_ms = max(1, _ROWS_PER_QUERY // max(1, len(pairs))) * step_ms
    fields = ", ".join(f'"{name}"' for name in COLUMNS)
    for first_ms in range(start_ms, stop_ms, slice_ms):
        condition, params = where(pairs, first_ms, min(first_ms + slice_ms, stop_ms))
        text = f'SELECT {fields} FROM "{measurement}" WHERE {condition} GROUP BY "pair"'
        series = yield Query(bucket_of(measurement), text, params)
        for one in series:
            parts[one.tags["pair"]].append(rows_of(one.values))
    return {pair: _within(np.concatenate(rows), step_ms, *of[pair]) for pair, rows in parts.items()}


def _within(rows: Rows, step_ms: int, from_ms: int, until_ms: int) -> Rows:
    """Return the rows that belong to a contract, including the window that contains its first candle."""
    opens = rows[:, 0]
    return rows[(opens + step_ms > from_ms) & (opens < until_ms // step_ms * step_ms)]


def _clamp(start_ms: int, timeframe: str) -> int:
    return _round_up(max(start_ms, EARLIEST_MS), timeframe)


def _round_up(time_ms: int, timeframe: str) -> int:
    open_ms = window_open_ms(time_ms, timeframe)
    return open_ms if open_ms == time_ms else open_ms + timeframe_ms(timeframe)


def _runs(days: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return (start, stop) in ms for every run of consecutive days."""
    breaks = np.flatnonzero(np.diff(days) != DAY_MS) + 1
    return [(int(run[0]), int(run[-1]) + DAY_MS) for run in np.split(days, breaks) if len(run)]
