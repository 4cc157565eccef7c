"""The main path on real parts: exchange frame in, rolled-up candle out through the reader; the promise under faults."""

import time
from collections.abc import Callable
from pathlib import Path

from collector.__main__ import main
from marketdata.reader import MarketData, Store
from tests.integration.closes import CLOSE_SECONDS, before_a_close, forming_ms, lead_seconds, next_close_ms
from tests.integration.collector_process import CollectorProcess, collector_process, write_config
from tests.integration.servers import InfluxStack, Simulator
from tests.integration.store_truth import CANDLE_MS, INTERVAL_MS, differences, truth
from tests.support import eventually
from tools.demo.metrics import broken_laws, parse

FILL_MS = 49 * 3_600_000
type Start = Callable[..., Simulator]


def pairs_of(simulator: Simulator) -> list[str]:
    return [symbol.removesuffix("USDT") + "/USDT:USDT" for symbol in simulator.fetch("/_control/state")["pairs"]]


def closes(collector: CollectorProcess) -> int:
    status = collector.status()
    return sum(status["closes"].values()) if status else 0


def served_by_rest(collector: CollectorProcess) -> float:
    return collector.total("marketdata_candles_final_total", origin="rest")


def exchange_time_ms(collector: CollectorProcess) -> int:
    """Return the exchange's time as the collector knows it; 0 while it does not respond."""
    status = collector.status()
    return int(status["exchange_time_ms"] or 0) if status else 0


def all_closed(collector: CollectorProcess, close_ms: int) -> bool:
    """Whether the candle that closes at `close_ms` is final for every pair."""
    name = "marketdata_last_final_candle_timestamp_seconds"
    return all(value * 1000 >= close_ms for (found, _), value in collector.metrics().items() if found == name)


def delivered(collector: CollectorProcess) -> bool:
    """Whether nothing is on its way to the store. Live samples arrive every ten seconds, so such moments occur."""
    return not sum(collector.total(f"marketdata_points_in_{place}") for place in ("queue", "batch", "spool"))


def assert_store_equals_exchange(
    influx: InfluxStack, simulator: Simulator, watched_from_ms: int, filled_ms: int, until_ms: int
) -> None:
    """Compare 3m candles over the fill and up to `until_ms`, and every roll-up window that ended before the watching.

    The collector counts its fill back from its start: after `watched_from_ms`, before `filled_ms`.
    """
    found = []
    for pair in pairs_of(simulator):
        onboard_ms = next(
            row["onboardDate"]
            for row in simulator.fetch("/fapi/v1/exchangeInfo")["symbols"]
            if row["symbol"] == pair.replace("/USDT:USDT", "USDT")
        )
        start_ms = max(filled_ms - FILL_MS, onboard_ms // CANDLE_MS * CANDLE_MS)
        found += differences(influx, simulator, pair, "3m", start_ms, until_ms)[:5]
        for interval, length_ms in INTERVAL_MS.items():
            if interval != "3m":
                end_ms = watched_from_ms // length_ms * length_ms
                oldest_ms = filled_ms // length_ms * length_ms - 499 * length_ms
                oldest_ms = max(oldest_ms, onboard_ms // length_ms * length_ms)
                found += differences(influx, simulator, pair, interval, oldest_ms, end_ms)[:5]
    assert not found, "\n".join(found[:20])


def assert_laws_hold(collector: CollectorProcess) -> None:
    """The laws hold within each scrape, whatever the traffic."""
    for _ in range(3):
        assert broken_laws(parse(collector.exposition())) == []


def test_a_frame_goes_in_and_a_rolled_up_candle_comes_out_through_the_reader(
    tmp_path: Path, fresh_influx: InfluxStack, start_simulator: Start
) -> None:
    start_ms = before_a_close(lead_seconds())
    simulator = start_simulator("--pairs", "8", "--seed", "11", "--start-ms", str(start_ms))
    watched_from_ms = start_ms // CANDLE_MS * CANDLE_MS
    config, url = write_config(tmp_path, simulator, fresh_influx)
    with collector_process(config, url, tmp_path) as collector:
        collector.wait_until_filled()
        filled_ms = forming_ms(simulator)
        pairs = pairs_of(simulator)
        until_ms = next_close_ms(simulator)
        eventually(lambda: all_closed(collector, until_ms), CLOSE_SECONDS, what="a final candle of every pair")
        eventually(lambda: delivered(collector), 10, what="all delivered")
        assert_store_equals_exchange(fresh_influx, simulator, watched_from_ms, filled_ms, until_ms)
        assert_laws_hold(collector)
        assert collector.status()["ready"] == "yes"
        assert main(["status", "--config", str(config)]) == 0
        assert collector.stop() == 0
    assert "ERROR" not in collector.log.read_text(encoding="utf-8")
    assert main(["status", "--config", str(config)]) == 1

    store = Store(fresh_influx.url, token=fresh_influx.token("reader", "library"))
    with MarketData([store], clock_ms=lambda: until_ms + 10_000) as data:
        for timeframe in ("3m", "15m", "30m", "4h"):
            frame = data.get_ohlcv("BTC/USDT:USDT", timeframe, limit=20)
            length_ms = {"3m": CANDLE_MS, "15m": 900_000, "30m": 1_800_000, "4h": 14_400_000}[timeframe]
            last_ms = until_ms // length_ms * length_ms - length_ms
            exchange = truth(simulator, "BTCUSDT", timeframe, last_ms - 19 * length_ms, last_ms + length_ms)
            assert [int(date.timestamp() * 1000) for date in frame["date"]] == list(exchange)
            assert list(frame["close"]) == [float(row[4]) for row in exchange.values()]
            assert list(frame["high"]) == [float(row[2]) for row in exchange.values()]
        assert set(data.get_all_pairs_funding_rates()) == set(pairs)


def test_nothing_is_lost_if_influxdb_is_down_for_a_minute_and_the_collector_is_killed_during_it(
    tmp_path: Path, fresh_influx: InfluxStack, start_simulator: Start
) -> None:
    start_ms = before_a_close(lead_seconds())
    simulator = start_simulator("--pairs", "8", "--seed", "12", "--start-ms", str(start_ms))
    watched_from_ms = start_ms // CANDLE_MS * CANDLE_MS
    config, url = write_config(tmp_path, simulator, fresh_influx)
    with collector_process(config, url, tmp_path) as collector:
        collector.wait_until_filled()
        filled_ms = forming_ms(simulator)
        pairs = pairs_of(simulator)
        fresh_influx.server.kill()
        stopped_at = time.monotonic()
        close_ms, seen = next_close_ms(simulator), closes(collector)
        half = seen + len(pairs) // 2
        eventually(lambda: closes(collector) >= half, CLOSE_SECONDS, what="half of the closes are in")
        assert collector.total("marketdata_points_in_spool") > 0
        collector.kill()
        collector.start()
        eventually(lambda: collector.status() is not None, 30, what="the collector is back")
        eventually(lambda: time.monotonic() - stopped_at >= 60, 90, what="a minute without InfluxDB")
        fresh_influx.server.start()
        collector.wait_until_filled()
        eventually(lambda: all_closed(collector, close_ms), 60, what="every close")
        eventually(lambda: delivered(collector), 60, what="all delivered")
        assert_store_equals_exchange(fresh_influx, simulator, watched_from_ms, filled_ms, close_ms)
        assert_laws_hold(collector)
        assert collector.total("marketdata_points_dropped_total") == 0
        assert collector.stop() == 0


def test_a_silent_route_is_logged_in_one_line_replaced_by_rest_and_recovered_from(
    tmp_path: Path, fresh_influx: InfluxStack, start_simulator: Start
) -> None:
    """Acknowledge but stay silent, like Binance's old URL since April 2026."""
    start_ms = before_a_close(lead_seconds())
    simulator = start_simulator("--pairs", "24", "--seed", "13", "--start-ms", str(start_ms))
    watched_from_ms = start_ms // CANDLE_MS * CANDLE_MS
    config, url = write_config(tmp_path, simulator, fresh_influx, extra=["[fill]", "hours = 2", "rollup_windows = 10"])
    with collector_process(config, url, tmp_path) as collector:
        collector.wait_until_filled()
        simulator.fetch("/_control/faults", {"kind": "silent_route", "route": "market"})
        close_ms, by_rest = next_close_ms(simulator), served_by_rest(collector)
        eventually(lambda: collector.total("marketdata_streams_silent") == 48, 35, what="both channels silent")
        told = [line for line in collector.log.read_text(encoding="utf-8").splitlines() if "stream silent" in line]
        assert len(told) == 2  # one for each channel
        eventually(lambda: served_by_rest(collector) >= by_rest + 24, CLOSE_SECONDS, what="closes by REST")
        eventually(lambda: all_closed(collector, close_ms), 60, what="every close")
        simulator.fetch("/_control/faults", method="DELETE")
        eventually(lambda: collector.total("marketdata_streams_silent") == 0, 90, what="the streams deliver again")
        eventually(lambda: delivered(collector), 10, what="all delivered")
        found = [
            difference
            for pair in pairs_of(simulator)
            for difference in differences(fresh_influx, simulator, pair, "3m", watched_from_ms, close_ms)
        ]
        assert found == []
        assert collector.stop() == 0


def test_bad_closing_frames_lost_connections_and_a_refusing_rest_end_with_the_exchanges_own_candles(
    tmp_path: Path, fresh_influx: InfluxStack, start_simulator: Start
) -> None:
    """At one close: frames late, missing and repeated, all connections just aborted, REST returning 503 for a while."""
    start_ms = before_a_close(lead_seconds())
    simulator = start_simulator("--pairs", "12", "--seed", "14", "--start-ms", str(start_ms))
    watched_from_ms = start_ms // CANDLE_MS * CANDLE_MS
    config, url = write_config(tmp_path, simulator, fresh_influx, extra=["[fill]", "hours = 2", "rollup_windows = 10"])
    with collector_process(config, url, tmp_path) as collector:
        collector.wait_until_filled()
        symbols = simulator.fetch("/_control/state")["pairs"]
        for kind, some, more in (
            ("missing_close", symbols[:3], {}),
            ("late_close", symbols[3:6], {"delay_ms": 12_000}),
            ("double_close", symbols[6:9], {}),
        ):
            simulator.fetch("/_control/faults", {"kind": kind, "symbols": some, **more})
        simulator.fetch("/_control/faults", {"kind": "close_connections", "code": 1006})
        eventually(lambda: collector.total("marketdata_connections_opened_total") >= 4, 30, what="reconnected")
        refusal = simulator.fetch("/_control/faults", {"kind": "rest_status", "status": 503, "path": "klines"})
        close_ms = next_close_ms(simulator)
        eventually(lambda: exchange_time_ms(collector) > close_ms + 6_000, CLOSE_SECONDS, what="the close")
        simulator.fetch(f"/_control/faults/{refusal['id']}", method="DELETE")
        eventually(lambda: all_closed(collector, close_ms), 60, what="every close")
        eventually(lambda: exchange_time_ms(collector) > close_ms + 20_000, 60, what="the late frames")
        eventually(lambda: delivered(collector), 10, what="all delivered")
        assert served_by_rest(collector) >= 3
        assert collector.total("marketdata_frames_filtered_total", reason="duplicate") >= 3
        assert collector.total("marketdata_candle_conflicts_total") == 0
        found = [
            difference
            for pair in pairs_of(simulator)
            for difference in differences(fresh_influx, simulator, pair, "3m", watched_from_ms, close_ms)
        ]
        assert found == []
        assert_laws_hold(collector)
        assert collector.stop() == 0
