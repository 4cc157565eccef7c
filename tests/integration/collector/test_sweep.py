"""The verify sweep rewrites an altered candle and ignores a missing one; late spools bring no old values back."""

import asyncio
import gzip
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from collector.__main__ import main
from collector.commands.workspace import open_workspace
from collector.config import load
from collector.verify.sweep import Sweep
from tests.integration.closes import before_a_close
from tests.integration.collector.test_collector import pairs_of
from tests.integration.collector_process import collector_process, write_config
from tests.integration.damage import alter, delete, photograph
from tests.integration.servers import InfluxStack, Simulator
from tests.integration.store_truth import CANDLE_MS
from tests.support import eventually, eventually_async

HOUR_MS = 3_600_000
type Start = Callable[..., Simulator]


async def test_the_sweep_corrects_altered_candles_and_leaves_missing_ones_to_the_ledger(
    tmp_path: Path, fresh_influx: InfluxStack, start_simulator: Start
) -> None:
    start_ms = before_a_close(150)
    simulator = start_simulator("--pairs", "8", "--seed", "23", "--start-ms", str(start_ms))
    path, _ = write_config(tmp_path, simulator, fresh_influx)
    newest_ms = start_ms // CANDLE_MS * CANDLE_MS
    config = load(path)
    since = datetime.fromtimestamp((newest_ms - 6 * HOUR_MS) / 1000, UTC).isoformat()
    assert await asyncio.to_thread(main, ["backfill", "--config", str(path), "--from", since]) == 0
    pairs = pairs_of(simulator)
    before = photograph(fresh_influx, pairs, newest_ms)
    candles = sorted(point for point in before if point[1] == "3m" and point[2] >= newest_ms - 4 * HOUR_MS)
    traded = [point for point in candles if before[point]["trades"]]
    alter(fresh_influx, *traded[0], "close=1.0,trades=7i")
    alter(fresh_influx, *traded[-1], "quote_volume=1.0")
    gone = traded[len(traded) // 2]
    delete(fresh_influx, *gone)
    async with open_workspace(config, "sweep", patterns=[], share_percent=None, writes=True) as workspace:
        readers = {store.name: store.reader for store in workspace.stores}
        sweep = Sweep(workspace.ingest, workspace.client, readers, {}, lambda: workspace.symbols, period_seconds=2)
        round_of_verification = asyncio.create_task(sweep.run())
        await eventually_async(lambda: sweep.corrected["main"] >= 2, 60, what="both are corrected")
        await eventually_async(lambda: sweep.verified["main"] >= 3 * 8 * 97, 60, what="three rounds")
        round_of_verification.cancel()
        await workspace.deliver()
    after = photograph(fresh_influx, pairs, newest_ms)
    assert {point for point in before if before[point] != after.get(point)} == {gone}


def test_a_candle_overwritten_by_a_late_spool_is_corrected_once_the_spool_has_drained(
    tmp_path: Path, fresh_influx: InfluxStack, start_simulator: Start
) -> None:
    start_ms = before_a_close(170)
    simulator = start_simulator("--pairs", "8", "--seed", "24", "--start-ms", str(start_ms))
    extra = ["[fill]", "hours = 24", "rollup_windows = 10"]
    config, url = write_config(tmp_path, simulator, fresh_influx, extra=extra)
    newest_ms = start_ms // CANDLE_MS * CANDLE_MS
    with collector_process(config, url, tmp_path) as collector:
        collector.wait_until_filled()
        before = photograph(fresh_influx, pairs_of(simulator), newest_ms)
        assert collector.stop() == 0
        # Older than the 99 candles that the hourly sweep checks.
        traded = sorted(p for p in before if p[1] == "3m" and p[2] < newest_ms - 10 * HOUR_MS and before[p]["trades"])
        old = [f"ohlcv_3m,exchange=BINANCE_FUTURES,pair={pair} close=1.0 {t}" for pair, _, t in traded[:5]]
        folder = tmp_path / "state" / "spool" / "main" / "market_data"
        folder.mkdir(parents=True, exist_ok=True)
        late = folder / f"{1:016d}-{len(old)}.lp.gz"
        late.write_bytes(gzip.compress(("\n".join(old) + "\n").encode()))
        os.utime(late, (time.time() - 7200, time.time() - 7200))
        collector.start()
        collector.wait_until_filled()
        eventually(
            lambda: collector.total("marketdata_candles_corrected_total", store="main") == len(old),
            60,
            what="the late candles are corrected",
        )

        def right() -> bool:
            after = photograph(fresh_influx, pairs_of(simulator), newest_ms)
            return all(before[point] == after.get(point) for point in before)

        eventually(right, 60, what="candles and windows are as before")
        assert collector.stop() == 0
