"""A halt and its end as reported by exchangeInfo: the pair's silence counts from the end of the halt."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from collector.delivery.batch import Batcher
from collector.delivery.points import PointCounters
from collector.delivery.spool import Spool
from collector.delivery.writer import Writer
from collector.feed.connections import Feeds
from collector.feed.symbols import UniverseWatch
from collector.ingest.ingest import Ingest
from collector.model.clock import ExchangeClock
from exchange.adapters import ADAPTERS
from exchange.binance.requests import BinanceClient
from exchange.binance.universe import parse
from exchange.budget import Budget
from exchange.events import CANDLE_MS, MARK_PRICE
from marketdata.schema import EXCHANGE
from tests.support import eventually_async, http_server
from tests.support.exchange_rows import symbol_row

PAIR = "BTC/USDT:USDT"
START_MS = 1_790_000_100_000 // CANDLE_MS * CANDLE_MS
HALT_SECONDS = 7_200


def exchange_info(status: str) -> dict[str, Any]:
    return {"symbols": [symbol_row(0) | {"status": status}]}


class Exchange:
    """A server that answers exchangeInfo with a status of our choice."""

    def __init__(self) -> None:
        self.status = "TRADING"
        self.url = ""

    async def handle(self, _request: web.Request) -> web.Response:
        return web.json_response(exchange_info(self.status))


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    exchange = Exchange()
    async with http_server(exchange.handle) as exchange.url:
        yield exchange


async def test_a_halted_pair_that_trades_again_counts_its_silence_from_then(exchange: Exchange, tmp_path: Path) -> None:
    seconds = [0]
    points = {"main": PointCounters()}
    spool = Spool(tmp_path, points, max_bytes=1_000_000, max_files=10)
    clock = ExchangeClock(lambda: seconds[0] * 1_000_000_000)
    clock.observe(START_MS)
    ingest = Ingest(
        clock,
        Writer(Batcher(), spool, points, wake=lambda _bucket: None),
        wall_seconds=lambda: START_MS / 1000 + seconds[0],
        observe_latency=lambda _channel, _seconds: None,
    )
    ingest.watch(PAIR, START_MS)
    symbols = list(parse(exchange_info("TRADING")).symbols.values())
    async with BinanceClient(exchange.url, Budget(requests_per_second=1000)) as client:
        feeds = Feeds(ADAPTERS[EXCHANGE], ingest, symbols, "wss://localhost")
        watched = {info.pair: info for info in symbols}
        universe = UniverseWatch(ingest, client, feeds, watched, lambda found: found.eligible(), every_seconds=0)
        task = asyncio.create_task(universe.run())
        exchange.status = "TRADING_HALT"
        await eventually_async(lambda: universe.members.states[PAIR] == "halted", 20)
        seconds[0] = HALT_SECONDS
        heard = ingest.freshness[PAIR].last_message_seconds[MARK_PRICE]
        assert (ingest.settled_ms(PAIR), heard) == (START_MS, START_MS / 1000)
        exchange.status = "TRADING"
        await eventually_async(lambda: universe.members.states[PAIR] == "listed", 20)
        await eventually_async(lambda: ingest.settled_ms(PAIR) > START_MS, 20)
        age_ms = clock.now_ms() - ingest.settled_ms(PAIR)
        assert age_ms < CANDLE_MS + 4_000
        assert ingest.freshness[PAIR].last_message_seconds[MARK_PRICE] == START_MS / 1000 + HALT_SECONDS
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    spool.close()
