"""What is missing in the middle of the store is found and repaired; what the exchange lacks is requested once."""

import json
import urllib.parse
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from tests.integration.closes import after_a_close
from tests.integration.collector_process import CollectorProcess, collector_process, second_store, write_config
from tests.integration.servers import InfluxStack, Simulator
from tests.integration.store_truth import CANDLE_MS, INTERVAL_MS, differences, stored
from tests.support import eventually

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
PAIR, SYMBOL = "BTC/USDT:USDT", "BTCUSDT"
OTHER = "ETH/USDT:USDT"
SETTINGS = ["[fill]", "hours = 9", "rollup_windows = 20", "[ledger]", "check_seconds = 5"]
type Start = Callable[..., Simulator]


def delete(influx: InfluxStack, bucket: str, measurement: str, pair: str, start_ms: int, end_ms: int) -> None:
    """Delete the points of [start, end) like an operator: the end of InfluxDB's delete is inclusive."""
    body = {
        "start": datetime.fromtimestamp(start_ms / 1000, UTC).isoformat(),
        "stop": datetime.fromtimestamp((end_ms - 1) / 1000, UTC).isoformat(),
        "predicate": f'_measurement="{measurement}" AND pair="{pair}"',
    }
    query = urllib.parse.urlencode({"org": influx.org, "bucket": bucket})
    headers = {"Authorization": f"Token {influx.operator_token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{influx.url}/api/v2/delete?{query}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 204


def gaps(influx: InfluxStack, pair: str) -> dict[int, tuple[str, str]]:
    """State and reason of every gap point of a pair."""
    return {t: (row["state"], row["reason"]) for t, row in stored(influx, "market_data", "gaps", pair).items()}


def kline_requests(collector: CollectorProcess) -> float:
    return collector.total("marketdata_exchange_requests_total", route="/fapi/v1/klines")


def wait_for_passes(collector: CollectorProcess, count: int) -> None:
    """Return after this many further passes over the store."""
    seen = {last_pass(collector)}

    def passed() -> bool:
        seen.add(last_pass(collector))
        return len(seen) > count

    eventually(passed, 30 * count, what=f"{count} more passes")


def last_pass(collector: CollectorProcess) -> float:
    return collector.total("marketdata_ledger_pass_timestamp_seconds", store="main")


def test_candles_deleted_in_the_middle_are_found_refilled_and_their_windows_re_rolled(
    tmp_path: Path, fresh_influx: InfluxStack, start_simulator: Start
) -> None:
    start_ms = after_a_close()
    noon_ms = start_ms // DAY_MS * DAY_MS + 12 * HOUR_MS
    simulator = start_simulator("--pairs", "8", "--seed", "21", "--start-ms", str(start_ms))
    config, url = write_config(tmp_path, simulator, fresh_influx, extra=SETTINGS)

    def wrong(pair: str) -> list[str]:
        first_ms, end_ms = noon_ms - 4 * HOUR_MS, noon_ms + 2 * HOUR_MS
        spans = {"3m": end_ms, "15m": end_ms, "1h": end_ms, "4h": noon_ms}
        return [
            found
            for interval, until_ms in spans.items()
            for found in differences(fresh_influx, simulator, pair, interval, first_ms, until_ms)
        ]

    with collector_process(config, url, tmp_path) as collector:
        collector.wait_until_filled()
        assert wrong(PAIR) == wrong(OTHER) == []
        assert gaps(fresh_influx, PAIR) == {}  # the fill is not a gap

        # in the newest hours, while the exchange is down: the gap is open until it is back
        recent = range(noon_ms + HOUR_MS + CANDLE_MS, noon_ms + HOUR_MS + 4 * CANDLE_MS, CANDLE_MS)
        simulator.fetch("/_control/faults", {"kind": "rest_status", "status": 503, "path": "klines"})
        delete(fresh_influx, "market_data", "ohlcv_3m", PAIR, recent.start, recent.stop)
        for interval in ("15m", "1h"):
            hour_ms = noon_ms + HOUR_MS
            delete(fresh_influx, "market_data_rollup", f"ohlcv_{interval}", PAIR, hour_ms, hour_ms + INTERVAL_MS["15m"])
        eventually(lambda: len(gaps(fresh_influx, PAIR)) == 3, 30, what="the gap points")
        assert gaps(fresh_influx, PAIR) == dict.fromkeys(recent, ("open", "vanished"))
        assert collector.total("marketdata_gaps_open", store="main") == 3
        simulator.fetch("/_control/faults", method="DELETE")
        repaired = dict.fromkeys(recent, ("repaired", "vanished"))
        eventually(lambda: gaps(fresh_influx, PAIR) == repaired, 45, what="the gaps repaired")
        eventually(lambda: wrong(PAIR) == [], 30, what="candles and windows right again")
        assert collector.total("marketdata_gaps_open", store="main") == 0
        assert collector.total("marketdata_gaps_found_total", store="main", reason="vanished") == 3
        assert collector.total("marketdata_gaps_repaired_total", store="main") == 3
        assert collector.stop() == 0

        # older than that, next to the first: the startup pass checks the whole range
        old = [noon_ms - 2 * HOUR_MS, noon_ms - 3 * HOUR_MS]
        for open_ms in old:
            delete(fresh_influx, "market_data", "ohlcv_3m", OTHER, open_ms, open_ms + 1)
        delete(fresh_influx, "market_data_rollup", "ohlcv_4h", OTHER, noon_ms - 4 * HOUR_MS, noon_ms)
        collector.start()
        collector.wait_until_filled()
        repaired = dict.fromkeys(old, ("repaired", "vanished"))
        eventually(lambda: gaps(fresh_influx, OTHER) == repaired, 10, what="the gaps repaired")
        eventually(lambda: wrong(OTHER) == [], 30, what="candles and windows right again")

        # only windows, as if the store had been down during all of their scheduled runs
        assert collector.stop() == 0
        delete(fresh_influx, "market_data_rollup", "ohlcv_1h", PAIR, noon_ms - 3 * HOUR_MS, noon_ms)
        assert len(wrong(PAIR)) == 3
        collector.start()
        collector.wait_until_filled()
        eventually(lambda: wrong(PAIR) == [], 30, what="the windows right again")
        assert collector.stop() == 0


def test_an_exchange_hole_is_recorded_and_not_requested_again_at_once_and_its_windows_are_the_exchanges(
    tmp_path: Path, fresh_influx: InfluxStack, start_simulator: Start
) -> None:
    start_ms = after_a_close()
    noon_ms = start_ms // DAY_MS * DAY_MS + 12 * HOUR_MS
    simulator = start_simulator("--pairs", "8", "--seed", "22", "--start-ms", str(start_ms))
    config, url = write_config(tmp_path, simulator, fresh_influx, extra=SETTINGS)
    hole = range(noon_ms + HOUR_MS + 2 * CANDLE_MS, noon_ms + HOUR_MS + 4 * CANDLE_MS, CANDLE_MS)
    order = {"kind": "exchange_hole", "symbols": [SYMBOL], "start_ms": hole.start, "end_ms": hole.stop}
    simulator.fetch("/_control/faults", order)
    noted = dict.fromkeys(hole, ("exchange_hole", "not_at_exchange"))
    with collector_process(config, url, tmp_path) as collector:
        collector.wait_until_filled()
        eventually(lambda: gaps(fresh_influx, PAIR) == noted, 10, what="the exchange holes recorded")
        for interval in ("3m", "15m", "1h"):
            found = differences(fresh_influx, simulator, PAIR, interval, noon_ms, noon_ms + 2 * HOUR_MS)
            assert found == []
        window = stored(fresh_influx, "market_data_rollup", "ohlcv_15m", PAIR)[noon_ms + HOUR_MS]
        assert window["candles"] == 0
        assert collector.total("marketdata_exchange_holes", store="main") == 2
        assert collector.total("marketdata_gaps_open", store="main") == 0
        asked = kline_requests(collector)
        wait_for_passes(collector, 2)
        assert kline_requests(collector) == asked
        assert collector.stop() == 0

        collector.start()
        collector.wait_until_filled()
        wait_for_passes(collector, 2)
        assert kline_requests(collector) == 0
        assert collector.total("marketdata_exchange_holes", store="main") == 2
        assert gaps(fresh_influx, PAIR) == noted
        assert collector.stop() == 0


def test_a_store_that_is_down_does_not_hold_up_others_and_is_filled_from_its_spool(
    tmp_path: Path, fresh_influx: InfluxStack, second_influx: InfluxStack, start_simulator: Start
) -> None:
    start_ms = after_a_close()
    noon_ms = start_ms // DAY_MS * DAY_MS + 12 * HOUR_MS
    simulator = start_simulator("--pairs", "8", "--seed", "23", "--start-ms", str(start_ms))
    config, url = write_config(tmp_path, simulator, fresh_influx, extra=[*SETTINGS, *second_store(second_influx)])
    second_influx.server.stop()
    with collector_process(config, url, tmp_path) as collector:
        eventually(lambda: collector.status() is not None, 30, what="the collector responds")
        eventually(lambda: last_pass(collector) > 0, 60, what="the first store filled")
        assert collector.total("marketdata_ledger_pass_timestamp_seconds", store="second") == 0
        assert collector.status()["fill"]["stage"] != "done"
        asked = kline_requests(collector)
        second_influx.server.start()
        collector.wait_until_filled()
        assert kline_requests(collector) == asked
        for influx in (fresh_influx, second_influx):
            for interval in ("3m", "1h"):
                assert differences(influx, simulator, PAIR, interval, noon_ms, noon_ms + 2 * HOUR_MS) == []
            assert gaps(influx, PAIR) == {}
        assert collector.stop() == 0
