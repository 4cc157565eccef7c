"""What the exchange lacks at first, or has as an impossible row, is recorded, requested again and finally stored."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from collector.__main__ import main
from tests.integration.closes import after_a_close
from tests.integration.collector_process import collector_process, write_config
from tests.integration.damage import alter
from tests.integration.servers import InfluxStack, Simulator
from tests.integration.store_truth import CANDLE_MS, INTERVAL_MS, differences, stored
from tests.support import eventually

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
PAIR, SYMBOL = "BTC/USDT:USDT", "BTCUSDT"
AGAIN = list(range(10, 201, 10))
SETTINGS = [
    *("[fill]", "hours = 9", "rollup_windows = 5"),
    *("[ledger]", "check_seconds = 5", f"ask_again_seconds = {AGAIN}"),
]
type Start = Callable[..., Simulator]


def order(simulator: Simulator, kind: str, start_ms: int, candles: int = 1, **more: str) -> int:
    """Inject a fault for some candles of the pair; return its id."""
    span = {"symbols": [SYMBOL], "start_ms": start_ms, "end_ms": start_ms + candles * CANDLE_MS}
    fault: int = simulator.fetch("/_control/faults", {"kind": kind, **span, **more})["id"]
    return fault


def gaps(influx: InfluxStack) -> dict[int, dict[str, Any]]:
    return stored(influx, "market_data", "gaps", PAIR)


def windows(influx: InfluxStack, open_ms: int) -> dict[str, dict[str, Any] | None]:
    """The stored windows that contain a candle, by interval."""
    found = {}
    for interval in ("15m", "1h", "4h"):
        length_ms = INTERVAL_MS[interval]
        rows = stored(influx, "market_data_rollup", f"ohlcv_{interval}", PAIR)
        found[interval] = rows.get(open_ms // length_ms * length_ms)
    return found


def test_late_candles_are_stored_rolled_up_and_counted_and_windows_with_another_hole_are_fetched_again(
    tmp_path: Path, fresh_influx: InfluxStack, start_simulator: Start
) -> None:
    start_ms = after_a_close()
    ten_ms = start_ms // DAY_MS * DAY_MS + 10 * HOUR_MS
    simulator = start_simulator("--pairs", "8", "--seed", "31", "--start-ms", str(start_ms))
    config, url = write_config(tmp_path, simulator, fresh_influx, extra=SETTINGS)
    late, never = [ten_ms + 2 * CANDLE_MS, ten_ms + 3 * CANDLE_MS], ten_ms + 12 * CANDLE_MS
    fault = order(simulator, "exchange_hole", late[0], 2)
    order(simulator, "exchange_hole", never)
    with collector_process(config, url, tmp_path) as collector:
        collector.wait_until_filled()
        assert {t: row["state"] for t, row in gaps(fresh_influx).items()} == dict.fromkeys(
            [*late, never], "exchange_hole"
        )
        own = windows(fresh_influx, late[0])
        assert {interval: row and row["candles"] for interval, row in own.items()} == {"15m": 0, "1h": 0, "4h": 0}
        eventually(lambda: gaps(fresh_influx)[late[0]]["asked"] >= 1, 60, what="requested again, in vain")
        known = gaps(fresh_influx)[late[0]]
        assert collector.stop() == 0

        collector.start()
        collector.wait_until_filled()
        again = gaps(fresh_influx)[late[0]]
        assert (again["since_ms"], again["asked"] >= known["asked"]) == (known["since_ms"], True)
        # The exchange's longer candles did not include them when they were fetched.
        alter(fresh_influx, PAIR, "1h", ten_ms, "volume=1.0")
        simulator.fetch(f"/_control/faults/{fault}", method="DELETE")
        eventually(lambda: gaps(fresh_influx)[late[1]]["state"] == "repaired", 90, what="the late candles are stored")

        def right() -> bool:
            return not any(
                differences(fresh_influx, simulator, PAIR, interval, ten_ms, ten_ms + HOUR_MS)
                for interval in ("3m", "15m", "1h")
            )

        eventually(right, 60, what="the windows are right")
        rolled = {"15m": 5, "1h": 0, "4h": 0}

        def candles() -> dict[str, Any]:
            return {interval: row and row["candles"] for interval, row in windows(fresh_influx, late[0]).items()}

        eventually(
            lambda: candles() == rolled, 30, what="the window without a hole is rolled up, the others are fetched"
        )
        assert right()
        assert gaps(fresh_influx)[never]["state"] == "exchange_hole"
        assert collector.total("marketdata_exchange_holes_filled_total", store="main", state="exchange_hole") == 2
        assert collector.total("marketdata_exchange_holes", store="main") == 1
        assert collector.stop() == 0


def test_a_row_that_cannot_be_a_candle_is_quarantined_with_its_windows_and_stored_once_corrected(
    tmp_path: Path, fresh_influx: InfluxStack, start_simulator: Start
) -> None:
    start_ms = after_a_close()
    ten_ms = start_ms // DAY_MS * DAY_MS + 10 * HOUR_MS
    simulator = start_simulator("--pairs", "8", "--seed", "32", "--start-ms", str(start_ms))
    config, url = write_config(tmp_path, simulator, fresh_influx, extra=SETTINGS)
    bad, old = ten_ms + 7 * CANDLE_MS, ten_ms - 20 * HOUR_MS
    order(simulator, "impossible_row", bad, what="close_outside")
    order(simulator, "impossible_row", old, what="negative_volume")
    nothing = {"15m": None, "1h": None, "4h": None}
    with collector_process(config, url, tmp_path) as collector:
        collector.wait_until_filled()
        gap = gaps(fresh_influx)[bad]
        assert (gap["state"], gap["reason"]) == ("invalid", "invalid_at_exchange")
        assert bad not in stored(fresh_influx, "market_data", "ohlcv_3m", PAIR)
        assert windows(fresh_influx, bad) == nothing
        assert windows(fresh_influx, bad + HOUR_MS)["1h"], "the neighbors are there"
        assert collector.total("marketdata_candles_invalid", pair=PAIR) == 1
        assert collector.total("marketdata_candles_invalid") == 1
        assert collector.total("marketdata_gaps_open", store="main") == 0
        eventually(lambda: gaps(fresh_influx)[bad]["asked"] >= 1, 60, what="requested again, in vain")
        kept = list((tmp_path / "state" / "spool" / "rejected" / "exchange" / "3m").iterdir())
        assert len(kept) == 1, "the same row is kept once"
        assert str(bad) in kept[0].read_text()

        # Audit and backfill do not believe an impossible row either, nor windows that contain it.
        span = ["--from", _iso(ten_ms - 2 * HOUR_MS), "--to", _iso(ten_ms + 4 * HOUR_MS)]
        assert main(["audit", "--config", str(config), *span, "--fix"]) == 0
        assert main(["backfill", "--config", str(config), "--from", _iso(ten_ms - 22 * HOUR_MS)]) == 0
        assert windows(fresh_influx, bad) == windows(fresh_influx, old) == nothing
        assert windows(fresh_influx, old - HOUR_MS)["1h"]
        eventually(lambda: old in gaps(fresh_influx), 60, what="the ledger takes over what the backfill found")
        assert gaps(fresh_influx)[old]["state"] == "invalid"

        simulator.fetch("/_control/faults", method="DELETE")
        mended = {bad: "repaired", old: "repaired"}
        eventually(
            lambda: {t: g["state"] for t, g in gaps(fresh_influx).items()} == mended, 120, what="both are corrected"
        )

        def right() -> bool:
            return not any(
                differences(fresh_influx, simulator, PAIR, interval, first_ms, first_ms + 4 * HOUR_MS)
                for interval in ("3m", "15m", "1h", "4h")
                for first_ms in (ten_ms - 2 * HOUR_MS, old // (4 * HOUR_MS) * 4 * HOUR_MS)
            )

        eventually(right, 60, what="candles and windows are right")
        assert {interval: row and row["candles"] for interval, row in windows(fresh_influx, bad).items()} == {
            "15m": 5,
            "1h": 20,
            "4h": 80,
        }
        assert collector.total("marketdata_candles_invalid") == 0
        assert collector.total("marketdata_exchange_holes_filled_total", store="main", state="invalid") == 2
        assert collector.stop() == 0


def _iso(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat()
