"""The confirmer against a local exchange: a close for which REST only has an impossible row does not stop its pair."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from collector.delivery.batch import Batcher
from collector.delivery.points import PointCounters
from collector.delivery.quarantine import Quarantine
from collector.delivery.spool import Spool
from collector.delivery.writer import Writer
from collector.ingest.confirm import INVALID_ANSWERS, Confirmer
from collector.ingest.ingest import Ingest
from collector.model.clock import ExchangeClock
from collector.publish.stream import Stream
from exchange.binance.requests import BinanceClient
from exchange.binance.universe import parse
from exchange.budget import Budget
from exchange.events import CANDLE_MS
from tests.support import eventually_async, http_server
from tests.support.exchange_rows import symbol_row

OPEN_MS = 1_790_000_100_000 // CANDLE_MS * CANDLE_MS
BTC = "BTC/USDT:USDT"
SYMBOL = symbol_row(OPEN_MS - 100 * CANDLE_MS)
BAD: dict[str, tuple[int, Any]] = {
    "volume without a trade": (8, 0),
    "high below low": (2, "0.5"),
    "close outside": (4, "3.5"),
    "open outside": (1, "0.5"),
    "negative volume": (5, "-1"),
    "takers bought more than was traded": (9, "11"),
    "no text": (4, None),
}


@dataclass
class World:
    """A pair whose two newest closes were not delivered: REST has an impossible row for the first of them."""

    ingest: Ingest
    stream: Stream
    kept: Path
    bad: tuple[int, Any] | None = None
    mended_after: int = 1_000
    asked: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(request.query_string)
        first_ms = int(request.query["startTime"])
        rows = [self._row(open_ms) for open_ms in range(first_ms, OPEN_MS + 3 * CANDLE_MS, CANDLE_MS)]
        return web.json_response(rows[: int(request.query["limit"])])

    def _row(self, open_ms: int) -> list[Any]:
        row = [open_ms, "2", "3", "1", "2", "10", open_ms + CANDLE_MS - 1, "20", 9, "5", "10", "0"]
        if self.bad and open_ms == OPEN_MS and len(self.asked) <= self.mended_after:
            row[self.bad[0]] = self.bad[1]
        return row


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    points = {"main": PointCounters()}
    spool = Spool(tmp_path, points, max_bytes=1_000_000, max_files=100)
    clock = ExchangeClock(time.monotonic_ns)
    clock.observe(OPEN_MS + 2 * CANDLE_MS + 10_000)
    stream = Stream("collector-1", "boot", clock)
    writer = Writer(Batcher(), spool, points, wake=lambda _bucket: None)
    ingest = Ingest(clock, writer, wall_seconds=time.time, observe_latency=lambda *_: None, listeners=[stream])
    ingest.watch(BTC, OPEN_MS)
    world = World(ingest, stream, tmp_path / "rejected" / "exchange" / "3m")
    watched = {info.pair: info for info in parse({"symbols": [SYMBOL]}).symbols.values()}
    async with (
        http_server(world.handle) as url,
        BinanceClient(url, Budget(requests_per_second=1000), patience_seconds=5) as client,
    ):
        confirmer = Confirmer(ingest, client, watched, clock, Quarantine(spool.rejected))
        confirming = asyncio.create_task(confirmer.run())
        yield world
        confirming.cancel()
        await asyncio.wait((confirming,))


def next_open_ms(world: World) -> int:
    return world.ingest.finality.next_open_ms(BTC)


@pytest.mark.parametrize("what", BAD)
async def test_a_close_that_rest_has_as_an_impossible_row_is_given_up_and_later_closes_are_confirmed(
    world: World, what: str
) -> None:
    world.bad = BAD[what]
    await eventually_async(lambda: next_open_ms(world) == OPEN_MS + 2 * CANDLE_MS, what="the pair continues")
    recent = world.stream.recent.pairs[BTC]
    assert (recent.absent, recent.invalid) == ({OPEN_MS}, {OPEN_MS})
    assert [final.candle.open_time_ms for final in recent.shown()] == [OPEN_MS + CANDLE_MS], "nothing is held back"
    assert len(world.asked) == INVALID_ANSWERS
    await eventually_async(lambda: len(list(world.kept.iterdir())) == 1, what="the row is kept, once")


async def test_a_row_that_is_corrected_at_once_is_stored_and_nothing_is_quarantined(world: World) -> None:
    world.bad, world.mended_after = BAD["volume without a trade"], INVALID_ANSWERS - 1
    await eventually_async(lambda: next_open_ms(world) == OPEN_MS + 2 * CANDLE_MS, what="both are final")
    recent = world.stream.recent.pairs[BTC]
    assert recent.absent == set()
    assert [final.candle.open_time_ms for final in recent.shown()] == [OPEN_MS, OPEN_MS + CANDLE_MS]
