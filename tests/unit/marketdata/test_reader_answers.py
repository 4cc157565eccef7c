"""Recorded responses of InfluxDB 2.7.12, and how the reader parses them."""

import json

import msgspec
import pytest

from marketdata.errors import MarketDataError, StoreUnavailable, Unauthorized
from marketdata.influxql import HEADERS, Query, parse

URL, JSON = "http://store:8086", "application/json"
SERIES = (
    b'{"results":[{"statement_id":0,"series":[{"name":"ohlcv_3m","tags":{"pair":"BTC/USDT:USDT"},'
    b'"columns":["time","open","close"],"values":[[1700000100000,1,1.5],[1700000280000,null,1.5]]}]}]}'
)


def test_a_series_is_read_the_same_from_json_and_message_pack() -> None:
    (series,) = parse(URL, 200, JSON, SERIES)
    assert series.tags == {"pair": "BTC/USDT:USDT"}
    assert series.columns == ["time", "open", "close"]
    assert series.values == [[1700000100000, 1.0, 1.5], [1700000280000, None, 1.5]]
    packed = msgspec.msgpack.encode(json.loads(SERIES))
    assert parse(URL, 200, HEADERS["Accept"], packed) == [series]


def test_no_data_gives_no_series() -> None:
    assert parse(URL, 200, JSON, b'{"results":[{"statement_id":0}]}') == []


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, b'{"code":"unauthorized","message":"Unauthorized"}', Unauthorized),
        (403, b"", Unauthorized),
        (200, b'{"results":[{"statement_id":0,"error":"database not found: market_data"}]}', Unauthorized),
        (200, b'{"results":[{"statement_id":0,"error":"default retention policy not set for: x"}]}', Unauthorized),
        (400, b'{"code":"invalid","message":"queue length exceeded"}', StoreUnavailable),
        (500, b'{"code":"internal error","message":"engine is closed"}', StoreUnavailable),
        (503, b'{"status":"starting"}', StoreUnavailable),
        (502, b"<html>Bad Gateway</html>", StoreUnavailable),
        (200, b"<html>Welcome</html>", StoreUnavailable),
        (200, b"", StoreUnavailable),
        (404, b"404 page not found\n", StoreUnavailable),
        (200, b'{"results":[{"statement_id":0,"partial":true}]}', StoreUnavailable),
        (400, b'{"code":"invalid","message":"failed to parse query: found SELEC"}', MarketDataError),
    ],
)
def test_a_response_without_data_is_a_typed_error_that_names_the_store(
    status: int, body: bytes, error: type[MarketDataError]
) -> None:
    with pytest.raises(MarketDataError, match=URL) as raised:
        parse(URL, status, JSON, body)
    assert type(raised.value) is error


def test_a_querys_values_are_sent_as_parameters_and_times_are_returned_in_ms() -> None:
    form = Query("market_data", 'SELECT "close" FROM "x" WHERE "pair" = $pair0', {"pair0": "币安人生/USDT:USDT"}).form()
    assert form["db"] == "market_data"
    assert form["epoch"] == "ms"
    assert json.loads(form["params"]) == {"exchange": "BINANCE_FUTURES", "pair0": "币安人生/USDT:USDT"}
