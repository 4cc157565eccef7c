"""A coin with an odd name is collected and read like any other; one of unknown kind is named and left out."""

import csv
import io
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest

from collector.__main__ import main
from marketdata.reader import MarketData
from marketdata.stores import Store
from tests.integration.closes import CLOSE_SECONDS, before_a_close, next_close_ms
from tests.integration.collector.test_collector import all_closed, delivered
from tests.integration.collector_process import CollectorProcess, collector_process, write_config
from tests.integration.damage import delete
from tests.integration.gateway_process import gateway_process, write_gateway_config
from tests.integration.servers import InfluxStack, Simulator
from tests.integration.store_truth import differences
from tests.support import eventually

type Start = Callable[..., Simulator]

ODD = ("T$", "A&B", "C #1", "D,E=F", "G+%41", "[H]", "🚀币", 'I"J')
SILENT = "ETHUSDT"
FILL = ["[fill]", "hours = 2", "rollup_windows = 10", "[ledger]", "check_seconds = 3600"]


def asked(url: str, route: str, **query: str) -> tuple[int, object]:
    """Status and JSON of the gateway's response."""
    try:
        with urllib.request.urlopen(f"{url}/fapi/v1/{route}?{urlencode(query)}", timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def unreadable(collector: CollectorProcess) -> float:
    return collector.total("marketdata_symbols_unreadable")


def test_coins_with_odd_names_are_collected_stored_repaired_and_read_like_any_other(
    tmp_path: Path, fresh_influx: InfluxStack, start_simulator: Start
) -> None:
    start_ms = before_a_close(100)
    bases = [word for base in ODD for word in ("--base", base)]
    simulator = start_simulator("--pairs", "2", "--seed", "31", "--start-ms", str(start_ms), *bases)
    pairs = [f"{base}/USDT:USDT" for base in ("BTC", *ODD)]
    config, url = write_config(tmp_path, simulator, fresh_influx, extra=FILL, exchange={"pairs": pairs})
    with collector_process(config, url, tmp_path) as collector:
        collector.wait_until_filled()
        close_ms = next_close_ms(simulator)
        first_ms = close_ms - 2 * 3_600_000
        eventually(lambda: all_closed(collector, close_ms), CLOSE_SECONDS, what="every close")
        eventually(lambda: delivered(collector), 20, what="all delivered")
        found = [d for pair in pairs for d in differences(fresh_influx, simulator, pair, "3m", first_ms, close_ms)]
        assert found == []
        for pair in pairs:
            assert collector.total("marketdata_messages_total", pair=pair, channel="mark_price") > 0
            assert collector.total("marketdata_messages_total", pair=pair, channel="candles_3m") > 0
        store = Store(fresh_influx.url, token_file=fresh_influx.token_file("reader", "library"))
        with MarketData(store) as market:
            assert set(market.pairs()) == set(pairs)
            for pair, candles in market.get_ohlcv_many(pairs, "3m", limit=20).items():
                assert len(candles) == 20, pair
                assert market.get_mark_price(pair).mark > 0
        assert flux_rows(fresh_influx, pairs[-1]) > 0
        # Deleted and altered by name, found and corrected by name.
        for pair in pairs:
            delete(fresh_influx, pair, "3m", first_ms + 180_000)
        report = tmp_path / "report.ndjson"
        options = ["--config", str(config), "--intervals", "3m", "--report", str(report)]
        assert main(["audit", *options, "--fix"]) == 1
        lines = [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]
        assert {line["pair"] for line in lines if line["kind"] == "missing"} == set(pairs)
        assert main(["audit", *options]) == 0
        gateway_config, gateway_url = write_gateway_config(tmp_path, simulator, fresh_influx, {"collector-1": url})
        with gateway_process(gateway_config, gateway_url, tmp_path) as gateway:
            gateway.wait_until_ready()
            for base in ODD:
                status, rows = asked(gateway_url, "klines", symbol=f"{base}USDT", interval="3m", limit="5")
                assert (status, len(rows)) == (200, 5), base  # type: ignore[arg-type]
            assert gateway.stop() == 0
        assert collector.stop() == 0
    assert "ERROR" not in collector.log.read_text(encoding="utf-8")


def flux_rows(influx: InfluxStack, pair: str) -> int:
    """How many rows Flux finds for a pair, with its name written like in Grafana."""
    quoted = pair.replace('"', '\\"')
    script = f'from(bucket: "market_data") |> range(start: 0) |> filter(fn: (r) => r.pair == "{quoted}") |> limit(n: 3)'
    request = urllib.request.Request(
        f"{influx.url}/api/v2/query?org={influx.org}",
        script.encode(),
        {
            "Authorization": f"Token {influx.operator_token}",
            "Accept": "application/csv",
            "Content-Type": "application/vnd.flux",
        },
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return sum(pair in row for row in csv.reader(io.StringIO(answer.read().decode())))


def test_a_symbol_of_unknown_kind_is_named_once_and_forwarded_and_collected_once_it_is_known(
    tmp_path: Path, fresh_influx: InfluxStack, start_simulator: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    simulator = start_simulator("--pairs", "3", "--seed", "32")
    fault = simulator.fetch("/_control/faults", {"kind": "unreadable_row", "symbol": SILENT})
    named = ["BTC/USDT:USDT", "ETH/USDT:USDT"]
    config, url = write_config(tmp_path, simulator, fresh_influx, extra=FILL, exchange={"pairs": named})
    assert main(["check", "--config", str(config)]) == 0
    told = capsys.readouterr().err.splitlines()
    assert [line for line in told if SILENT in line] == told
    assert told[0].startswith("collector: warning: exchange: ")
    assert len(told) == 1
    with collector_process(config, url, tmp_path) as collector:
        collector.wait_until_filled()
        assert unreadable(collector) == 1
        assert collector.total("marketdata_pairs_watched") == 1
        gateway_config, gateway_url = write_gateway_config(tmp_path, simulator, fresh_influx, {"collector-1": url})
        with gateway_process(gateway_config, gateway_url, tmp_path) as gateway:
            gateway.wait_until_ready()
            for route, query in {
                "klines": {"interval": "1h", "limit": "2"},
                "fundingRate": {"limit": "2"},
                "markPriceKlines": {"interval": "1h", "limit": "2"},
                "premiumIndex": {},
                "ticker/price": {},
                "depth": {"limit": "5"},
            }.items():
                assert asked(gateway_url, route, symbol=SILENT, **query)[0] == 200, route
                assert asked(gateway_url, route, symbol="NOSUCHUSDT", **query)[0] == 400, route
            assert gateway.stop() == 0
        simulator.fetch(f"/_control/faults/{fault['id']}", method="DELETE")
        eventually(lambda: unreadable(collector) == 0, 75, what="the row is read")
        eventually(lambda: collector.total("marketdata_pairs_watched") == 2, 20, what="the pair is collected")
        # The row of a collected pair disappears: the pair continues.
        simulator.fetch("/_control/faults", {"kind": "unreadable_row", "symbol": SILENT})
        eventually(lambda: unreadable(collector) == 1, 75, what="the row is lost")
        assert collector.total("marketdata_pairs_watched") == 2
        assert collector.stop() == 0
    log = collector.log.read_text(encoding="utf-8").splitlines()
    assert sum("symbols unreadable" in line and SILENT in line for line in log) == 2, "once for each change"
    assert sum("symbols readable again" in line for line in log) == 1
