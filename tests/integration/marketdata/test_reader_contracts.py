"""A ticker that was another coin's before: two assets are never one series, on a real InfluxDB."""

import csv
import io
from dataclasses import replace

import httpx
import pandas as pd
import pytest

from grafana.pair import CANDLES, HOURS
from marketdata import schema
from marketdata.errors import InvalidRequest
from marketdata.reader import MarketData, Store
from marketdata.serializer import contract_line, funding_settled_line
from tests.integration.reader_truth import (
    DAY,
    HOUR,
    MINUTE,
    MONDAY,
    NOW,
    Candle,
    aggregated,
    assert_equal,
    epoch_aligned,
    line,
    times_of,
    walk,
    write,
)
from tests.integration.servers import InfluxStack
from tests.support.grafana_expansion import Shown, Variable, flux

pytestmark = pytest.mark.integration

PAIR, OTHER = "READTWICE/USDT:USDT", "READONCE/USDT:USDT"


def written(influx: InfluxStack) -> tuple[list[Candle], list[Candle]]:
    """Store a pair with two contracts, half a year apart, and one with one; returns the candles of the two."""
    present = [candle for candle in walk(4) if candle.time >= MONDAY + 7 * HOUR]
    previous = [replace(candle, time=candle.time - 180 * DAY) for candle in walk(5)]
    for candles in (previous, present):
        write(influx, schema.BUCKET_RAW, [line(PAIR, "ohlcv_3m", candle) for candle in candles])
        hours = aggregated(candles, HOUR)
        write(influx, schema.BUCKET_ROLLUP, [line(PAIR, "ohlcv_1h", candle, 20) for candle in hours])
    began = present[0].time
    paid = [funding_settled_line(PAIR, at, "0.0001", None, now_ms=NOW) for at in (previous[9].time, began + 8 * HOUR)]
    write(influx, schema.BUCKET_RAW, [*paid, contract_line(PAIR, began, began - 9 * MINUTE, now_ms=NOW)])
    write(influx, schema.BUCKET_RAW, [line(OTHER, "ohlcv_3m", candle) for candle in present[:9]])
    return previous, present


def test_a_ticker_used_again_is_read_from_its_present_contract_on_and_the_older_one_on_purpose(
    influx: InfluxStack,
) -> None:
    previous, present = written(influx)
    old = previous[0].time
    store = Store(influx.url, token_file=influx.token_file("reader", "library"))
    with MarketData(store, clock_ms=lambda: NOW, timeout_seconds=60) as market:
        for timeframe in ("3m", "1h", "2h"):
            windows = epoch_aligned(present, timeframe)
            assert_equal(market.get_ohlcv(PAIR, timeframe, limit=100_000), windows)
            assert_equal(market.get_ohlcv(PAIR, timeframe, start=old), windows)
            assert_equal(market.get_ohlcv(PAIR, timeframe, start=old, end=old + DAY), [])
            assert_equal(
                market.get_ohlcv(PAIR, timeframe, start=old, contract="previous"), epoch_aligned(previous, timeframe)
            )
            assert_equal(market.get_ohlcv(OTHER, timeframe, start=old, contract="previous"), [])
        assert len(market.gaps(PAIR)) == 0
        assert times_of(market.get_funding_history(PAIR, old)["date"]) == [present[0].time + 8 * HOUR]
        assert len(market.get_funding_history(PAIR, old, contract="previous")) == 1
        with pytest.raises(InvalidRequest, match="previous"):
            market.get_ohlcv(PAIR, "1h", limit=5, contract="previous")


def test_the_pair_dashboard_shows_the_present_contract_alone(influx: InfluxStack) -> None:
    previous, present = written(influx)
    shown = Shown(
        previous[0].time,
        NOW,
        {"exchange": Variable((schema.EXCHANGE,)), "pair": Variable((PAIR,)), "interval": Variable(("1h",))},
    )
    token = influx.token("reader", "grafana")
    for query in (CANDLES, HOURS):
        answer = httpx.post(
            f"{influx.url}/api/v2/query",
            params={"org": influx.org},
            headers={"Authorization": f"Token {token}", "Accept": "application/csv"},
            json={"query": flux(query, shown), "dialect": {"annotations": [], "header": True}},
            timeout=60,
            trust_env=False,
        )
        assert answer.status_code == 200, answer.text
        times = [pd.Timestamp(row["_time"]) for row in csv.DictReader(io.StringIO(answer.text))]
        hours = [candle.time for candle in aggregated(present, HOUR)]
        assert [int(time.timestamp() * 1000) for time in times] == hours
