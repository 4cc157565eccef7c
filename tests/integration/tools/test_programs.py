"""The servers of the integration tests are what they claim to be, and can be stopped and started with their data."""

import json
import socket
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import pytest

from tests.integration.servers import InfluxServer, InfluxStack
from tests.support import REQUEST_SECONDS
from tools.bootstrap.programs import INFLUXD_VERSION

LINE = "ohlcv_3m,exchange=BINANCE_FUTURES,pair=BTC/USDT:USDT close=1.5 1700000000000"


def write(stack: InfluxStack, line: str) -> None:
    request = urllib.request.Request(
        f"{stack.url}/api/v2/write?org={stack.org}&bucket=market_data&precision=ms",
        data=line.encode(),
        headers={"Authorization": f"Token {stack.token('ingest', 'collector-1')}"},
    )
    with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as answer:
        assert answer.status == 204


def count(stack: InfluxStack) -> int:
    request = urllib.request.Request(
        f"{stack.url}/query?db=market_data&q=SELECT+count(close)+FROM+ohlcv_3m",
        headers={"Authorization": f"Token {stack.token('reader', 'library')}"},
    )
    with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as answer:
        (result,) = json.load(answer)["results"]
    return int(result["series"][0]["values"][0][1]) if "series" in result else 0


def test_the_container_runs_the_pinned_influxdb(influxd: InfluxServer) -> None:
    with urllib.request.urlopen(f"{influxd.url}/health", timeout=REQUEST_SECONDS) as answer:
        health = json.load(answer)
    assert health["status"] == "pass"
    assert health["version"] == f"v{INFLUXD_VERSION}"


def test_a_blank_server_waits_for_its_first_user(influxdb_url: str) -> None:
    with urllib.request.urlopen(f"{influxdb_url}/api/v2/setup", timeout=REQUEST_SECONDS) as answer:
        assert json.load(answer)["allowed"] is True


def test_points_survive_a_killed_server(fresh_influx: InfluxStack) -> None:
    write(fresh_influx, LINE)
    fresh_influx.server.kill()
    with pytest.raises(urllib.error.URLError):
        count(fresh_influx)
    fresh_influx.server.start()
    assert count(fresh_influx) == 1


def test_a_paused_server_accepts_connections_and_does_not_answer(fresh_influx: InfluxStack) -> None:
    address = urlsplit(fresh_influx.url)
    fresh_influx.server.pause()
    try:
        with socket.create_connection((address.hostname, address.port), timeout=REQUEST_SECONDS) as connection:
            connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            connection.settimeout(0.5)
            with pytest.raises(TimeoutError):
                connection.recv(1)
    finally:
        fresh_influx.server.unpause()
    write(fresh_influx, LINE)
    assert count(fresh_influx) == 1
