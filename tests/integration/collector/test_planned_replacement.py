"""Connections replaced every 20 s for a minute, across a close: nothing is lost and nothing is duplicated."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import aiohttp

from collector.delivery.batch import Batcher
from collector.delivery.deliver import Deliverer
from collector.delivery.points import PointCounters
from collector.delivery.quarantine import Quarantine
from collector.delivery.spool import Spool
from collector.delivery.writer import Writer
from collector.feed.connections import Feeds
from collector.feed.symbols import first_watched_open_ms
from collector.ingest.confirm import Confirmer
from collector.ingest.ingest import Ingest
from collector.model.clock import ExchangeClock
from collector.store.write import WriteClient
from exchange.adapters import ADAPTERS
from exchange.binance.requests import BinanceClient
from exchange.budget import Budget
from exchange.events import CANDLES, MARK_PRICE
from marketdata.schema import EXCHANGE
from tests.integration.closes import before_a_close
from tests.integration.servers import InfluxStack, Simulator
from tests.integration.store_truth import CANDLE_MS, differences, stored
from tests.support import eventually_async


async def test_planned_replacements_every_twenty_seconds_lose_and_duplicate_nothing(
    tmp_path: Path, fresh_influx: InfluxStack, start_simulator: Callable[..., Simulator]
) -> None:
    start_ms = before_a_close(40)
    simulator = start_simulator("--pairs", "12", "--seed", "23", "--start-ms", str(start_ms))
    points = {"main": PointCounters()}
    spool = Spool(tmp_path / "spool", points, max_bytes=10_000_000, max_files=10_000)
    spool.recover()
    clock = ExchangeClock(time.monotonic_ns)
    async with (
        aiohttp.ClientSession() as session,
        BinanceClient(simulator.url, Budget(), ca_file=simulator.ca_file) as client,
    ):
        write = WriteClient(
            fresh_influx.url, fresh_influx.org, lambda: fresh_influx.token("ingest", "collector-1"), session
        ).write

        async def delivered(_bucket: str, _lines: Sequence[str]) -> None:
            return

        deliverer = Deliverer("main", spool, write, on_delivered=delivered)
        writer = Writer(Batcher(), spool, points, wake=deliverer.wake)
        ingest = Ingest(clock, writer, wall_seconds=time.time, observe_latency=lambda *_: None)
        clock.observe(await client.server_time_ms())
        watched = {info.pair: info for info in (await client.listing()).universe.eligible()}
        from_ms = first_watched_open_ms(clock.now_ms())
        for pair in watched:
            ingest.watch(pair, from_ms)
        feeds = Feeds(
            ADAPTERS[EXCHANGE],
            ingest,
            list(watched.values()),
            simulator.websocket_url,
            simulator.ca_file,
            life_seconds=20,
            random=lambda: 0,
        )
        confirmer = Confirmer(ingest, client, watched, clock, Quarantine(spool.rejected))
        tasks = [asyncio.create_task(part.run()) for part in (deliverer, writer, feeds, confirmer)]
        try:
            await eventually_async(lambda: feeds.totals[MARK_PRICE].ended["planned"] >= 3, 100)
            await eventually_async(lambda: feeds.totals[CANDLES].ended["planned"] >= 2, 60)
            close_ms = start_ms // CANDLE_MS * CANDLE_MS + CANDLE_MS
            await eventually_async(lambda: all(ingest.finality.next_open_ms(p) >= close_ms for p in watched), 60)
            assert set(feeds.totals[MARK_PRICE].ended) == set(feeds.totals[CANDLES].ended) == {"planned"}
            tasks[2].cancel()
            await asyncio.wait(tasks[2:3])
            await writer.flush()
            await writer.drained("main")
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task
            spool.close()
    for pair in watched:
        assert differences(fresh_influx, simulator, pair, "3m", from_ms, close_ms) == []
        # The first frame of each 10 s of exchange time, whichever connections were up: none twice, none missing.
        slots = [time_ms // 10_000 for time_ms in stored(fresh_influx, "market_data_samples", "mark_price", pair)]
        assert slots == list(range(slots[0], slots[-1] + 1))
    assert sum(ingest.final_by_origin.values()) == len(watched) * (close_ms - from_ms) // CANDLE_MS
    assert ingest.finality.conflicts == 0
    assert ingest.frames[MARK_PRICE].filtered["not_sampled"] > 0
    assert all(
        counts.received == counts.used + counts.invalid.total() + counts.filtered.total()
        for counts in ingest.frames.values()
    )
