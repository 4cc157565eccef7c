"""`collector backfill` beside a running collector: interrupted, resumed, and equal to the exchange in the end."""

import logging
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from collector.__main__ import main
from tests.integration.closes import before_a_close
from tests.integration.collector.test_collector import pairs_of
from tests.integration.collector_process import collector_process, write_config
from tests.integration.damage import photograph
from tests.integration.servers import InfluxStack, Simulator
from tests.integration.store_truth import CANDLE_MS, INTERVAL_MS, differences
from tests.support import BUSY, eventually, tail

DAY_MS = 86_400_000
DAYS = 8
type Start = Callable[..., Simulator]


def candles_stored(influx: InfluxStack, pairs: list[str], until_ms: int) -> int:
    """Return how many 3m candles the store has."""
    return sum(point[1] == "3m" for point in photograph(influx, pairs, until_ms))


def rows_fetched(caplog: pytest.LogCaptureFixture) -> int:
    """Return how much the last backfill reports to have fetched."""
    told = [record for record in caplog.records if record.message.startswith("backfill complete")]
    return int(told[-1].message.split("rows=")[1].split()[0])


def test_an_interrupted_backfill_continues_where_it_was_and_ends_with_the_exchanges_history(
    tmp_path: Path, fresh_influx: InfluxStack, start_simulator: Start, caplog: pytest.LogCaptureFixture
) -> None:
    start_ms = before_a_close(170)
    simulator = start_simulator("--pairs", "8", "--seed", "22", "--start-ms", str(start_ms))
    extra = ["[fill]", "hours = 5", "rollup_windows = 30"]
    config, url = write_config(tmp_path, simulator, fresh_influx, extra=extra)
    with collector_process(config, url, tmp_path) as collector:
        collector.wait_until_filled()
        pairs = pairs_of(simulator)
        newest_ms = start_ms // CANDLE_MS * CANDLE_MS
        from_ms = newest_ms - DAYS * DAY_MS
        older = {point: row for point, row in photograph(fresh_influx, pairs, from_ms).items() if point[1] != "3m"}
        command = [
            "backfill",
            "--config",
            str(config),
            "--from",
            datetime.fromtimestamp(from_ms / 1000, UTC).isoformat(),
        ]

        log = tmp_path / "backfill.log"
        with log.open("wb") as out:
            # The share is so small that the second span has to wait for the next minute.
            process = subprocess.Popen(
                [sys.executable, "-m", "collector", *command, "--share", "3"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        progress = tmp_path / "state" / "backfill.json"
        try:
            eventually(progress.exists, 90, what=f"a span is done\n{tail(log)}")
            process.send_signal(signal.SIGINT)
            assert process.wait(20 * BUSY) == 130
        finally:
            process.kill()
        held = candles_stored(fresh_influx, pairs, newest_ms)
        caplog.set_level(logging.INFO)
        assert main([*command, "--share", "40"]) == 0
        lacked = candles_stored(fresh_influx, pairs, newest_ms) - held
        assert 0 < rows_fetched(caplog) <= lacked, "what was stored before the interruption is not requested again"
        assert main([*command, "--share", "40"]) == 0
        assert rows_fetched(caplog) <= 2 * len(pairs), "what is done is not requested again"

        found = []
        for pair in pairs:
            found += differences(fresh_influx, simulator, pair, "3m", from_ms, newest_ms)[:5]
            for interval, length_ms in INTERVAL_MS.items():
                if interval != "3m":
                    first_ms = -(-from_ms // length_ms) * length_ms
                    found += differences(
                        fresh_influx, simulator, pair, interval, first_ms, newest_ms // length_ms * length_ms
                    )[:5]
        assert not found, "\n".join(found[:20])
        left = {point: row for point, row in photograph(fresh_influx, pairs, from_ms).items() if point[1] != "3m"}
        assert left == older
        assert collector.stop() == 0
    assert "ERROR" not in collector.log.read_text(encoding="utf-8")
