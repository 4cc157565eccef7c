"""A collector and pairs with a wrong onboardDate: what exists is stored, what does not exist is not a gap."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from marketdata.serializer import gap_line
from tests.integration.closes import AFTER_MS
from tests.integration.collector.test_ledger_repair import gaps, wait_for_passes
from tests.integration.collector_process import collector_process, write_config
from tests.integration.reader_truth import write
from tests.integration.servers import InfluxStack, Simulator
from tests.integration.store_truth import CANDLE_MS, differences, stored
from tests.support import eventually

pytestmark = pytest.mark.integration

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
type Start = Callable[..., Simulator]


def listed_ms(simulator: Simulator) -> dict[str, int]:
    """The date in exchangeInfo for every symbol."""
    info: dict[str, Any] = simulator.fetch("/fapi/v1/exchangeInfo")
    return {row["symbol"]: row["onboardDate"] for row in info["symbols"] if row["status"] == "TRADING"}


def contracts(influx: InfluxStack, pair: str) -> dict[int, int]:
    """The first candle of each contract in the store, and the exchange's date for it."""
    return {at: row["onboard_date"] for at, row in stored(influx, "market_data", "contracts", pair).items()}


def test_candles_before_the_first_one_are_no_gaps_and_those_before_the_date_are_stored(
    tmp_path: Path, fresh_influx: InfluxStack, start_simulator: Start
) -> None:
    now_ms = time.time_ns() // 1_000_000
    start_ms = now_ms // DAY_MS * DAY_MS - DAY_MS + 9 * HOUR_MS
    simulator = start_simulator("--pairs", "22", "--seed", "23", "--start-ms", str(start_ms + AFTER_MS))
    true_ms = listed_ms(simulator)
    young = max((name for name in true_ms if true_ms[name] < start_ms), key=true_ms.__getitem__)
    early, late = f"{young.removesuffix('USDT')}/USDT:USDT", "BTC/USDT:USDT"
    first_ms = true_ms[young]
    assert start_ms - 6 * HOUR_MS < first_ms, "it was listed within the filled hours"
    simulator.fetch("/_control/faults", {"kind": "onboard_date", "symbol": young, "shift_ms": -288 * DAY_MS})
    shift_ms = start_ms - 3 * HOUR_MS - true_ms["BTCUSDT"]
    simulator.fetch("/_control/faults", {"kind": "onboard_date", "symbol": "BTCUSDT", "shift_ms": shift_ms})
    # What a collector that trusted the date has left in the store.
    noted_ms = first_ms // CANDLE_MS * CANDLE_MS - 100 * CANDLE_MS
    write(fresh_influx, "market_data", [gap_line(early, noted_ms, "open", "undelivered", "candles_3m", now_ms=now_ms)])
    config, url = write_config(
        tmp_path,
        simulator,
        fresh_influx,
        extra=["[fill]", "hours = 12", "rollup_windows = 20", "[ledger]", "check_seconds = 5"],
        exchange={"pairs": [early, late]},
    )
    with collector_process(config, url, tmp_path) as collector:
        collector.wait_until_filled()
        assert collector.total("marketdata_gaps_open", store="main") == 0
        assert gaps(fresh_influx, early) == {noted_ms: ("exchange_hole", "not_at_exchange")}
        assert gaps(fresh_influx, late) == {}
        begin_ms = start_ms - 11 * HOUR_MS
        for pair in (early, late):
            assert differences(fresh_influx, simulator, pair, "3m", begin_ms, start_ms) == []
            assert differences(fresh_influx, simulator, pair, "1h", begin_ms, start_ms - HOUR_MS) == []
        assert contracts(fresh_influx, early) == {first_ms: first_ms - 288 * DAY_MS}
        assert contracts(fresh_influx, late) == {true_ms["BTCUSDT"]: true_ms["BTCUSDT"] + shift_ms}
        asked = collector.total("marketdata_exchange_requests_total", route="/fapi/v1/klines")
        wait_for_passes(collector, 2)
        assert collector.total("marketdata_exchange_requests_total", route="/fapi/v1/klines") == asked
        assert collector.stop() == 0
        collector.start()  # the next process reads it from disk
        collector.wait_until_filled()
        eventually(lambda: collector.total("marketdata_gaps_open", store="main") == 0)
        assert collector.stop() == 0
    assert "ERROR" not in collector.log.read_text(encoding="utf-8")
