"""`collector check` against real servers: everything that may be wrong is a line of its own and exit code 2."""

from pathlib import Path
from typing import Any

import pytest
from influxdb_client.client.influxdb_client import InfluxDBClient

from collector.__main__ import main
from tests.integration.collector_process import write_config
from tests.integration.servers import InfluxStack, Simulator
from tests.support import free_port
from tests.support.proxies import proxy_thread


def check(config: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    code = main(["check", "--config", str(config)])
    return code, capsys.readouterr().err.splitlines()


@pytest.fixture
def wrong_token(tmp_path: Path) -> str:
    path = tmp_path / "wrong.token"
    path.write_text("not-a-token-of-this-server\n", encoding="utf-8")
    return str(path)


def test_a_right_configuration_passes(
    tmp_path: Path, influx: InfluxStack, simulator: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    config, _ = write_config(tmp_path, simulator, influx)
    assert check(config, capsys) == (0, [])


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_check_reaches_the_exchange_through_the_proxy_and_names_one_that_does_not_respond(
    tmp_path: Path, influx: InfluxStack, simulator: Simulator, capsys: pytest.CaptureFixture[str], scheme: str
) -> None:
    with proxy_thread(scheme) as way:
        config, _ = write_config(tmp_path, simulator, influx, exchange={"proxy": way.url})
        assert check(config, capsys) == (0, [])
        assert len(way.targets) >= 2, "REST and a stream"
    code, lines = check(config, capsys)
    assert code == 2
    assert ["exchange.proxy" in line for line in lines] == [True, True]
    assert [line.split()[1] for line in lines] == ["exchange.rest_url", "exchange.websocket_url"]


def test_each_problem_is_a_line_of_its_own_with_a_remedy(
    tmp_path: Path, influx: InfluxStack, simulator: Simulator, wrong_token: str, capsys: pytest.CaptureFixture[str]
) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    cases: dict[str, dict[str, Any]] = {
        "does not know the token": {"ingest_token_file": wrong_token},
        "may not write bucket market_data": {"ingest_token_file": str(influx.token_file("reader", "probe"))},
        "is InfluxDB running?": {"url": dead},
        "exchange.rest_url": {"exchange": {"rest_url": dead}},
        "pair 'BTCC/USDT:USDT'": {"exchange": {"pairs": ["BTCC/USDT:USDT"]}},
        "exchange.major: pattern 'BTCUSDT' matches no collected pair": {"exchange": {"major": ["BTCUSDT", "*"]}},
    }
    said = set()
    for expected, changes in cases.items():
        config, _ = write_config(tmp_path, simulator, influx, **changes)
        code, lines = check(config, capsys)
        assert code == 2
        assert len(lines) == 1, lines
        assert expected in lines[0]
        said.add(lines[0])
    assert len(said) == len(cases)


def test_an_unknown_bucket_is_named(
    tmp_path: Path, fresh_influx: InfluxStack, simulator: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    with InfluxDBClient(fresh_influx.url, fresh_influx.operator_token, org=fresh_influx.org) as client:
        buckets = client.buckets_api()
        buckets.delete_bucket(buckets.find_bucket_by_name("market_data_samples"))
    config, _ = write_config(tmp_path, simulator, fresh_influx)
    code, lines = check(config, capsys)
    assert code == 2
    assert len(lines) == 1, lines
    assert "bucket market_data_samples of org marketdata is unknown" in lines[0]


def test_a_run_with_a_wrong_pair_ends_with_one_line_and_exit_code_2(
    tmp_path: Path, influx: InfluxStack, simulator: Simulator, capfd: pytest.CaptureFixture[str]
) -> None:
    config, _ = write_config(tmp_path, simulator, influx, exchange={"pairs": ["BTCC/USDT:USDT"]})
    assert main(["run", "--config", str(config)]) == 2
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("collector: ")]
    assert len(lines) == 1
    assert "BTC/USDT:USDT" in lines[0]
