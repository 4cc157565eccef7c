"""The exchange's id is on every point that ingest writes: two exchanges can share a store without mixing."""

import asyncio
import gzip
from pathlib import Path

import pytest

from collector.delivery.batch import Batcher
from collector.delivery.points import PointCounters
from collector.delivery.spool import Spool
from collector.delivery.writer import Writer
from collector.ingest.ingest import Ingest
from collector.model.clock import ExchangeClock
from collector.model.gap import Gap
from exchange.events import CANDLE_MS, Candle, MarkPrice
from exchange.rows import MarkPriceKline
from marketdata.candle_values import CandleValues
from marketdata.schema import MEASUREMENTS
from marketdata.timeframes import DAY_MS

PAIR = "BTC/USDT:USDT"
OPEN_MS = 1_790_000_100_000 // DAY_MS * DAY_MS
VALUES = CandleValues("1", "2", "1", "2", "9", "18", "4", "8", 7)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path, {"main": PointCounters()}, max_bytes=1_000_000, max_files=100)
    spool.recover()
    return spool


def spooled(folder: Path) -> list[str]:
    files = (gzip.decompress(file.read_bytes()).decode() for file in folder.rglob("*.gz"))
    return [line for file in files for line in file.split("\n") if line]


async def test_every_point_that_ingest_writes_is_tagged_with_its_exchange(spool: Spool, tmp_path: Path) -> None:
    clock = ExchangeClock(lambda: 0)
    clock.observe(OPEN_MS + DAY_MS)
    writer = Writer(Batcher(), spool, {"main": PointCounters()}, wake=lambda _bucket: None)
    ingest = Ingest(
        clock, writer, wall_seconds=lambda: 0.0, observe_latency=lambda _channel, _seconds: None, exchange="ELSEWHERE"
    )
    ingest.watch(PAIR, OPEN_MS)
    candle = Candle(PAIR, OPEN_MS, VALUES, True, "rest", OPEN_MS + CANDLE_MS)
    ingest.on_rest_candle(candle)
    for name in MEASUREMENTS:
        if name.startswith("ohlcv_"):
            ingest.on_history(candle, name)
    ingest.on_mark_price(MarkPrice(PAIR, OPEN_MS, "1", "1", "0.1", OPEN_MS + DAY_MS), 0.0)
    ingest.on_mark_candle(PAIR, MarkPriceKline(OPEN_MS, "1", "2", "1", "2", OPEN_MS + 3_599_999))
    ingest.on_funding_settled(PAIR, OPEN_MS, "0.1", "1")
    ingest.on_gap(Gap(PAIR, OPEN_MS, "open", "vanished"))
    ingest.on_contract(PAIR, OPEN_MS, OPEN_MS)
    running = asyncio.create_task(writer.run())
    await writer.flush()
    running.cancel()
    points = spooled(tmp_path)
    assert {line.split(",")[0] for line in points} == MEASUREMENTS.keys()
    assert all(line.split(",")[1] == "exchange=ELSEWHERE" for line in points), points
