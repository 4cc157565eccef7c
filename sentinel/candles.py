"""What is asked about the candles of one interval, and what the answers mean. Pure; times in UTC ms.

How late a candle is, its end time says. What is *missing* is a hole: a candle that the pair should have, between its
first and its newest 3m candle, and has not although it is due.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from types import MappingProxyType

from marketdata.influxql import Query, Series, one_of
from marketdata.schema import (
    BUCKET_RAW,
    CHANNELS,
    CONTRACTS,
    EARLIEST_MS,
    GAPS,
    NOT_AT_EXCHANGE,
    OHLCV_BASE,
    ROLLUP_TIMEFRAMES,
    bucket_of,
)
from marketdata.timeframes import BASE_MS, BASE_TIMEFRAME, DAY_MS, timeframe_ms

INTERVALS = (BASE_TIMEFRAME, *ROLLUP_TIMEFRAMES)

CANDLE_DUE_MS = 60_000
"""A 3m candle is due this long after its close (docs/design.md 5.1)."""

WINDOW_DUE_MS = 1_000_000
"""Tasks run every 15 minutes, 40 s late; a minute for the run and for windows rolled again after a late candle."""

COMPLETENESS_MS = 7_200_000
COMPLETENESS_WINDOWS = 3
"""Completeness looks at the 3m candles of 2 h, and at the last three windows that are due."""

CURRENT_MS = 7_200_000
"""A pair is current while its newest 3m candle is at most this much older than the newest one of its exchange. So the
series of a delisted pair end, and those of a store nobody writes to stay and grow old."""

LOOKBACK_MS = 7 * DAY_MS
LOOKBACK_WINDOWS = 10
"""No query reaches farther back than the longer of these two."""

type Key = tuple[str, str]
"""Exchange and pair."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a store has of one interval: by exchange and pair, open times of the first and the newest candle in the
    lookback, and the number of candles in the span (and, of 3m candles, those the exchange itself does not have, and
    the open time of the first one of the present contract: a ticker may have been another coin's before).

    `invalid_ms`, of 3m candles: opens in the longest span of those of which the exchange has an impossible row. No
    window over them can be rolled.
    """

    first_ms: Mapping[Key, int]
    newest_ms: Mapping[Key, int]
    in_span: Mapping[Key, int]
    holes_in_span: Mapping[Key, int]
    begins_ms: Mapping[Key, int] = field(default_factory=dict)
    invalid_ms: Mapping[Key, frozenset[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Span:
    """Completeness is judged for candles that open in [start_ms, end_ms)."""

    interval_ms: int
    start_ms: int
    end_ms: int


def span(interval: str, now_ms: int) -> Span:
    """Return the span whose candles are all due."""
    interval_ms = timeframe_ms(interval)
    is_base = interval == BASE_TIMEFRAME
    end_ms = (now_ms - (CANDLE_DUE_MS if is_base else WINDOW_DUE_MS)) // interval_ms * interval_ms
    length_ms = COMPLETENESS_MS if is_base else COMPLETENESS_WINDOWS * interval_ms
    return Span(interval_ms, end_ms - length_ms, end_ms)


def question(interval: str, now_ms: int) -> Query:
    """Return the one request that asks for all of `Stored`. ``trades`` is the field that every candle has."""
    of = span(interval, now_ms)
    measurement = f"ohlcv_{interval}"
    since_ms = now_ms - max(LOOKBACK_MS, LOOKBACK_WINDOWS * of.interval_ms)
    lookback = f"time >= {since_ms}ms AND time <= {now_ms}ms"
    in_span = f"time >= {of.start_ms}ms AND time < {of.end_ms}ms"
    statements = [
        f'SELECT first("trades") FROM "{measurement}" WHERE {lookback} GROUP BY exchange, pair',
        f'SELECT last("trades") FROM "{measurement}" WHERE {lookback} GROUP BY exchange, pair',
        f'SELECT count("trades") FROM "{measurement}" WHERE {in_span} GROUP BY exchange, pair',
    ]
    if measurement == OHLCV_BASE:
        of_candles = f"channel = '{CHANNELS[0]}'"
        hole = one_of("state", NOT_AT_EXCHANGE)
        widest_ms = min(span(other, now_ms).start_ms for other in INTERVALS)
        widest = f"time >= {widest_ms}ms AND time < {of.end_ms}ms"
        ever = f"time >= {EARLIEST_MS}ms AND time <= {now_ms}ms"
        statements += [
            f'SELECT count("state") AS holes FROM "{GAPS}" WHERE {in_span} AND {of_candles} AND {hole}'
            " GROUP BY exchange, pair",
            f'SELECT "state" AS invalid FROM "{GAPS}" WHERE {widest} AND {of_candles} AND "state" = \'invalid\''
            " GROUP BY exchange, pair",
            f'SELECT last("onboard_date") AS begins FROM "{CONTRACTS}" WHERE {ever} GROUP BY exchange, pair',
        ]
    assert bucket_of(GAPS) == bucket_of(CONTRACTS) == BUCKET_RAW  # one request asks one bucket
    return Query(bucket_of(measurement), "; ".join(statements))


def read(answer: list[Series]) -> Stored:
    """Sort the series of an answer to `question` by what they tell."""
    told: dict[str, dict[Key, int]] = {"first": {}, "last": {}, "count": {}, "holes": {}, "begins": {}}
    invalid: dict[Key, frozenset[int]] = {}
    for series in answer:
        what = series.columns[1]
        if what == "invalid":
            key = series.tags["exchange"], series.tags["pair"]
            invalid[key] = frozenset(int(row[0]) for row in series.values if isinstance(row[0], int | float))
            continue
        time_ms, value = series.values[0]
        number = time_ms if what in {"first", "last", "begins"} else value
        assert isinstance(number, int | float)  # what InfluxQL answers to these functions
        told[what][series.tags["exchange"], series.tags["pair"]] = int(number)
    return Stored(told["first"], told["last"], told["count"], told["holes"], told["begins"], invalid)


def current(candles: Stored) -> dict[Key, int]:
    """Return the pairs whose 3m candles go on, with the end time of the newest."""
    front: dict[str, int] = {}
    for (exchange, _), open_ms in candles.newest_ms.items():
        front[exchange] = max(front.get(exchange, 0), open_ms)
    return {
        key: open_ms + BASE_MS for key, open_ms in candles.newest_ms.items() if open_ms >= front[key[0]] - CURRENT_MS
    }


def ends(of: Span, stored: Stored, current_ends: Mapping[Key, int]) -> dict[Key, int]:
    """Return the end time of the newest candle of each current pair that has one."""
    return {key: open_ms + of.interval_ms for key, open_ms in stored.newest_ms.items() if key in current_ends}


def missing(
    of: Span,
    stored: Stored,
    current_ends: Mapping[Key, int],
    begins_ms: Mapping[Key, int] = MappingProxyType({}),
    invalid_ms: Mapping[Key, Set[int]] = MappingProxyType({}),
) -> dict[str, int]:
    """Return by exchange how many candles of the span its current pairs lack.

    `begins_ms` and `invalid_ms` are those of the 3m candles: windows over invalid ones nobody owes. A pair owes those
    from its contract's first on whose end its 3m candles reach: nothing before it was listed, and no window that was
    cut off when it was delisted.
    """
    lacking = {exchange: 0 for exchange, _ in current_ends}
    for key, first_ms in stored.first_ms.items():
        if key not in current_ends:
            continue
        contract_ms = begins_ms.get(key, 0) // of.interval_ms * of.interval_ms
        start_ms = max(of.start_ms, first_ms, contract_ms)
        end_ms = min(of.end_ms, current_ends[key] // of.interval_ms * of.interval_ms)
        owed = (end_ms - start_ms) // of.interval_ms  # below zero for a pair whose first candle is not due yet
        has = stored.in_span.get(key, 0) + stored.holes_in_span.get(key, 0)
        if of.interval_ms > BASE_MS:
            over = {open_ms // of.interval_ms * of.interval_ms for open_ms in invalid_ms.get(key, ())}
            has += sum(start_ms <= open_ms < end_ms for open_ms in over)
        lacking[key[0]] += max(owed - has, 0)
    return lacking
