"""The queries for each request: all of them bounded in time, with the caller's values bound, not interpolated."""

from collections.abc import Callable, Generator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata import funding, ohlcv
from marketdata.errors import EmptyStore, InvalidPair, InvalidTimeframe, UnknownPair
from marketdata.influxql import Query, Series
from marketdata.ohlcv import source_of
from marketdata.schema import MEASUREMENTS
from marketdata.timeframes import TIMEFRAME_MS, timeframe_ms

NOW, PAIR = 1_790_000_000_000, "币安人生/USDT:USDT"
NAMES = Series(columns=["key", "value"], values=[["pair", PAIR]])

REQUESTS: dict[str, Callable[[], Generator[Query, list[Series], Any]]] = {
    "newest 3m": lambda: ohlcv.newest([PAIR], "3m", 1500, NOW),
    "newest 12h": lambda: ohlcv.newest([PAIR], "12h", 10, NOW),
    "newest of all time": lambda: ohlcv.newest([PAIR], "1d", 1_000_000, NOW),
    "between": lambda: ohlcv.between([PAIR], "1w", 0, NOW, NOW),
    "holes": lambda: ohlcv.holes(PAIR, 0, NOW, NOW),
    "newest candle": lambda: ohlcv.newest_candle_ms(NOW),
    "newest rate": lambda: funding.newest_rate(PAIR, NOW),
    "newest rates": lambda: funding.newest_rates(NOW),
    "newest mark": lambda: funding.newest_mark(PAIR, NOW),
    "settled": lambda: funding.settled(PAIR, 0, NOW, NOW),
}


def queries_of(request: Generator[Query, list[Series], Any], known: list[Series]) -> list[Query]:
    """Drive a request on a store that knows the pairs `known` but has no data for them."""
    asked = [next(request)]
    while True:
        try:
            asked.append(request.send(known if asked[-1].text.startswith("SHOW") else []))
        except StopIteration:
            return asked


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_every_query_is_bounded_in_time_and_binds_the_callers_values(
    request_: Callable[[], Generator[Query, list[Series], Any]],
) -> None:
    try:
        queries = queries_of(request_(), [NAMES])
    except EmptyStore:
        queries = [next(request_())]
    for query in queries:
        assert PAIR not in query.text
        assert set(query.params.values()) <= {PAIR, "BINANCE_FUTURES"}
        if query.text.startswith("SELECT"):
            assert " AND time >= " in query.text
            assert " AND time < " in query.text


@given(st.integers(1, 480).map(lambda count: f"{3 * count}m") | st.sampled_from(sorted(TIMEFRAME_MS)))
def test_a_timeframe_is_served_from_the_largest_stored_interval_that_divides_it(timeframe: str) -> None:
    source = source_of(timeframe)
    assert source.window_ms == timeframe_ms(timeframe)
    assert source.measurement in MEASUREMENTS
    larger = [name for name in ("15m", "1h", "4h", "1d") if TIMEFRAME_MS[name] > source.source_ms]
    assert source.window_ms % source.source_ms == 0
    assert all(source.window_ms % TIMEFRAME_MS[name] for name in larger)


def test_a_request_for_hundreds_of_pairs_is_a_few_bounded_queries() -> None:
    pairs = [f"P{index}/USDT:USDT" for index in range(700)]
    known = [Series(columns=["key", "value"], values=[["pair", pair] for pair in pairs])]
    queries = queries_of(ohlcv.between(pairs, "3m", NOW - 100 * 180_000, NOW, NOW), known)
    assert len([query for query in queries if query.text.startswith("SELECT")]) == 1 + 2  # contracts, candles


def test_an_empty_store_and_an_unknown_pair_are_different_errors() -> None:
    with pytest.raises(EmptyStore, match="collector"):
        queries_of(ohlcv.newest([PAIR], "1h", 5, NOW), [])
    with pytest.raises(UnknownPair, match=PAIR):
        queries_of(ohlcv.newest(["币安人/USDT:USDT"], "1h", 5, NOW), [NAMES])


def test_pair_and_timeframe_are_validated_before_any_query() -> None:
    for request in (
        ohlcv.newest(["BTCUSDT"], "3m", 1, NOW),
        ohlcv.holes("BTCUSDT", 0, NOW, NOW),
        funding.newest_rate("BTCUSDT", NOW),
        funding.newest_mark("BTCUSDT", NOW),
        funding.settled("BTCUSDT", 0, NOW, NOW),
    ):
        with pytest.raises(InvalidPair):
            next(request)
    with pytest.raises(InvalidTimeframe, match="1M"):
        next(ohlcv.between([PAIR], "1M", 0, NOW, NOW))
