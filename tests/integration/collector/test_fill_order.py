"""The newest hours come first, for every pair and in the roll-ups, and with them even a pair without trades is live."""

import io
import urllib.error
from collections.abc import Callable
from email.message import Message
from pathlib import Path

from collector.repair.repair import NEWEST_MS
from tests.integration.closes import after_a_close
from tests.integration.collector_process import collector_process, write_config
from tests.integration.rest_proxy import Query, rest_proxy
from tests.integration.servers import InfluxStack, Simulator
from tests.integration.store_truth import CANDLE_MS, differences, stored
from tests.support import eventually

HOUR_MS = 3_600_000
PAIRS = ("BTC/USDT:USDT", "ETH/USDT:USDT")
QUIET = PAIRS[1]
FILL_HOURS = 9
type Start = Callable[..., Simulator]


def test_newest_hours_and_their_roll_ups_are_stored_and_all_pairs_live_before_older_history_is_available(
    tmp_path: Path, fresh_influx: InfluxStack, start_simulator: Start
) -> None:
    start_ms = after_a_close()
    forming_ms = start_ms // CANDLE_MS * CANDLE_MS
    newest_ms = forming_ms - NEWEST_MS
    simulator = start_simulator("--pairs", "8", "--seed", "31", "--start-ms", str(start_ms))
    simulator.fetch(
        "/_control/faults",
        {"kind": "silent_symbol", "symbol": QUIET.replace("/USDT:USDT", "USDT"), "stream": "kline_3m"},
    )
    older_can_be_had = False

    def change(path: str, query: Query, answer: object) -> object:
        if path == "/fapi/v1/klines" and 0 < int(query["startTime"]) < newest_ms and not older_can_be_had:
            raise urllib.error.HTTPError(path, 503, "busy", Message(), io.BytesIO(b"{}"))
        return answer

    with rest_proxy(simulator, change) as rest_url:
        config, url = write_config(
            tmp_path,
            simulator,
            fresh_influx,
            exchange={"rest_url": rest_url},
            extra=["[fill]", f"hours = {FILL_HOURS}", "rollup_windows = 20"],
        )
        with collector_process(config, url, tmp_path) as collector:
            eventually(lambda: (collector.status() or {}).get("fill", {}).get("stage") == "candles", 60)
            status = collector.status()
            for pair in PAIRS:
                assert not differences(fresh_influx, simulator, pair, "3m", newest_ms, forming_ms)
                first_hour_ms = -(-newest_ms // HOUR_MS) * HOUR_MS
                last_hour_ms = forming_ms // HOUR_MS * HOUR_MS
                assert not differences(fresh_influx, simulator, pair, "1h", first_hour_ms, last_hour_ms)
                assert min(stored(fresh_influx, "market_data", "ohlcv_3m", pair)) == newest_ms
                assert not stored(fresh_influx, "market_data", "gaps", pair)
            assert status["fill"]["stage"] != "done"
            eventually(lambda: collector.status()["pairs_live"] == 8, 30, what="every pair live, the quiet one too")

            collector.kill()  # in the middle of the fill
            older_can_be_had = True
            collector.start()
            collector.wait_until_filled()
            for pair in PAIRS:
                from_ms = forming_ms - FILL_HOURS * HOUR_MS
                assert not differences(fresh_influx, simulator, pair, "3m", from_ms, forming_ms)
                assert not differences(
                    fresh_influx, simulator, pair, "1h", from_ms // HOUR_MS * HOUR_MS, forming_ms // HOUR_MS * HOUR_MS
                )
                assert not stored(fresh_influx, "market_data", "gaps", pair)
            assert collector.stop() == 0
