"""Decides what to query about the candles of one interval, and what the results mean. Pure; times are UTC ms.

The end time of the newest candle shows how late a pair is. *Missing* candles are holes: candles between the pair's
first and newest 3m candle that are due but not stored.
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
from marketdata.thresholds import STALE_MS, WINDOW_DUE_MS
from marketdata.timeframes import BASE_MS, BASE_TIMEFRAME, DAY_MS, timeframe_ms

INTERVALS = (BASE_TIMEFRAME, *ROLLUP_TIMEFRAMES)

COMPLETENESS_MS = 7_200_000
COMPLETENESS_WINDOWS = 3
"""Completeness is checked for the 3m candles of the last 2 h, and for the last three windows that are due."""

CURRENT_MS = 7_200_000
"""A pair is current while its newest 3m candle is at most this much older than the newest one of its exchange. So the
series of a delisted pair end, while those of a store that receives no writes stay and grow old."""

LOOKBACK_MS = 7 * DAY_MS
LOOKBACK_WINDOWS = 10
"""No query looks back further than the longer of these two."""

type Key = tuple[str, str]
"""Exchange and pair."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The content of a store for one interval, by exchange and pair: open times of the first and newest candle in the
    lookback, and the number of candles in the span. For 3m candles also the number of exchange holes in the span, and
    the open time of the present contract's first candle (the ticker may have belonged to another coin before).

    `invalid_ms`, for 3m candles: open times, within the longest span, of candles for which the exchange has an
    impossible row. Windows that contain them cannot be rolled up.
    """

    first_ms: Mapping[Key, int]
    newest_ms: Mapping[Key, int]
    in_span: Mapping[Key, int]
    holes_in_span: Mapping[Key, int]
    begins_ms: Mapping[Key, int] = field(default_factory=dict)
    invalid_ms: Mapping[Key, frozenset[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Span:
    """Completeness is checked for candles that open in [start_ms, end_ms)."""

    interval_ms: int
    start_ms: int
    end_ms: int


def span(interval: str, now_ms: int) -> Span:
    """Return the newest span whose candles are all due."""
    interval_ms = timeframe_ms(interval)
    is_base = interval == BASE_TIMEFRAME
    end_ms = (now_ms - (STALE_MS if is_base else WINDOW_DUE_MS)) // interval_ms * interval_ms
    length_ms = COMPLETENESS_MS if is_base else COMPLETENESS_WINDOWS * interval_ms
    return Span(interval_ms, end_ms - length_ms, end_ms)


def question(interval: str, now_ms: int) -> Query:
    """Return the single query that fetches all of `Stored`. ``trades`` is the one field every candle has."""
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
    assert bucket_of(GAPS) == bucket_of(CONTRACTS) == BUCKET_RAW  # a query reads from one bucket
    return Query(bucket_of(measurement), "; ".join(statements))


def read(answer: list[Series]) -> Stored:
    """Parse the series returned for `question`."""
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
        assert isinstance(number, int | float)  # what InfluxQL returns for these functions
        told[what][series.tags["exchange"], series.tags["pair"]] = int(number)
    return Stored(told["first"], told["last"], told["count"], told["holes"], told["begins"], invalid)


def current(candles: Stored) -> dict[Key, int]:
    """Return the pairs that are current, with the end time of their newest 3m candle."""
    front: dict[str, int] = {}
    for (exchange, _), open_ms in candles.newest_ms.items():
        front[exchange] = max(front.get(exchange, 0), open_ms)
    return {
        key: open_ms + BASE_MS for key, open_ms in candles.newest_ms.items() if open_ms >= front[key[0]] - CURRENT_MS
    }


def ends(of: Span, stored: Stored, current_ends: Mapping[Key, int]) -> dict[Key, int]:
    """Return the end time of the newest candle of each current pair that has any."""
    return {key: open_ms + of.interval_ms for key, open_ms in stored.newest_ms.items() if key in current_ends}


def missing(
    of: Span,
    stored: Stored,
    current_ends: Mapping[Key, int],
    begins_ms: Mapping[Key, int] = MappingProxyType({}),
    invalid_ms: Mapping[Key, Set[int]] = MappingProxyType({}),
) -> dict[str, int]:
    """Return, by exchange, how many candles of the span its current pairs lack.

    `begins_ms` and `invalid_ms` are those of the 3m candles; windows that contain invalid candles are not expected. For
    each pair, candles are expected from its contract's first one up to the end of its newest 3m candle: nothing from
    before the listing, and no window cut off by a delisting.
    """
    lacking = {exchange: 0 for exchange, _ in current_ends}
    for key, first_ms in stored.first_ms.items():
        if key not in current_ends:
            continue
        contract_ms = begins_ms.get(key, 0) // of.interval_ms * of.interval_ms
        start_ms = max(of.start_ms, first_ms, contract_ms)
        end_ms = min(of.end_ms, current_ends[key] // of.interval_ms * of.interval_ms)
        owed = (end_ms - start_ms) // of.interval_ms  # negative if the pair's first candle is not due yet
        has = stored.in_span.get(key, 0) + stored.holes_in_span.get(key, 0)
        if of.interval_ms > BASE_MS:
            over = {open_ms // of.interval_ms * of.interval_ms for open_ms in invalid_ms.get(key, ())}
            has += sum(start_ms <= open_ms < end_ms for open_ms in over)
        lacking[key[0]] += max(owed - has, 0)
    return lacking
