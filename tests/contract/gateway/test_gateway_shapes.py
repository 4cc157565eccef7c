"""Each route's response has the shape of Binance's recorded one: the same keys in the same order, the same types."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from exchange.binance.requests import BinanceClient
from exchange.budget import Budget
from exchange.first_candles import FirstCandles
from gateway.api.answers import Handler, Refused
from gateway.memory.memory import Memory
from gateway.memory.stream_lines import Mark, PairTold
from gateway.past.contracts import Contracts
from gateway.past.fetched import Once
from gateway.past.stored import Stored
from gateway.routes.depth import Depth
from gateway.routes.exchange_info import ExchangeInfoRoute
from gateway.routes.funding import FundingInfo, FundingRates
from gateway.routes.marks import MarkKlines
from gateway.routes.premium import Premium
from gateway.routes.server_time import Time
from gateway.routes.tickers import Ticker
from gateway.upstream.upstream import Upstream
from marketdata.reader import AsyncMarketData
from marketdata.stores import Store
from tests.support import eventually_async, http_server

RECORDED = Path(__file__).parents[2] / "data/binance_usdm_2026-10/rest"
HOUR_MS = 3_600_000
SETTLED_MS = 1_791_360_000_002
NOW_MS = SETTLED_MS + 3 * HOUR_MS


def recorded(name: str) -> Any:
    return json.loads((RECORDED / f"{name}.json").read_bytes())


@dataclass
class Servers:
    """The exchange and the store in one: recorded responses, and series for queries."""

    asked: list[str] = field(default_factory=list)
    down: bool = False
    series: list[dict[str, Any]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/query":
            return web.json_response({"results": [{"series": self.series}]})
        self.asked.append(request.path_qs)
        if self.down:
            return web.Response(status=503, text="Service Unavailable.")
        names = {"ticker/24hr": "ticker_24hr", "premiumIndex": "premium_index", "fundingInfo": "funding_info"}
        names |= {"exchangeInfo": "exchange_info", "depth": "depth", "fundingRate": "funding_rate"}
        return web.Response(
            body=(RECORDED / f"{names[request.path.removeprefix('/fapi/v1/')]}.json").read_bytes(),
            content_type="application/json",
        )


@dataclass
class Routes:
    servers: Servers
    memory: Memory
    upstream: Upstream
    market: AsyncMarketData
    contracts: Contracts
    state_dir: Path

    def info(self) -> ExchangeInfoRoute:
        return ExchangeInfoRoute(self.memory, self.upstream, self.state_dir, streaming=lambda: False)

    async def ask(self, handler: Handler, **query: str) -> Any:
        return json.loads((await handler(query)).body)


@pytest.fixture
async def routes(tmp_path: Path) -> AsyncIterator[Routes]:
    servers = Servers()
    async with http_server(servers.handle) as url:
        budget = Budget(100, requests_per_second=1000)
        budget.clock.observe(NOW_MS)
        async with (
            BinanceClient(url, budget, patience_seconds=0, backoff_seconds=0.01) as client,
            AsyncMarketData(Store(url, token="t"), clock_ms=budget.clock.now_ms) as market,
        ):
            memory = Memory(budget.clock)
            memory.learn_exchange_info(recorded("exchange_info"))
            mark = Mark(
                NOW_MS, "83140.00000000", "83165.1", "83143.7", None, "0.00000253", SETTLED_MS - 2 + 8 * HOUR_MS
            )
            memory.apply("one", PairTold(1, "BTC/USDT:USDT", NOW_MS // 180_000 * 180_000, [], [], None, mark))
            upstream = Upstream(client)
            once = Once()
            contracts = Contracts(memory, Stored(market), FirstCandles(client, tmp_path), once)
            yield Routes(servers, memory, upstream, market, contracts, tmp_path)
            await once.close()
            await upstream.close()


def shape(value: Any) -> Any:
    """Keys in order, and types; for a list what its elements have in common, for text whether it is a number."""
    if isinstance(value, dict):
        return [(key, shape(item)) for key, item in value.items()]
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return type(value).__name__


def row_of(name: str, symbol: str) -> Any:
    return next(row for row in recorded(name) if row["symbol"] == symbol)


async def test_a_premium_index_from_the_stream_has_the_shape_of_rest(routes: Routes) -> None:
    row = await routes.ask(Premium(routes.memory, routes.upstream).answer, symbol="btcusdt")
    assert shape(row) == shape(row_of("premium_index", "BTCUSDT"))
    assert (row["markPrice"], row["time"], row["interestRate"]) == ("83140.00000000", NOW_MS, "0.00010000")


async def test_the_premium_index_of_all_has_the_newest_of_stream_and_rest(routes: Routes) -> None:
    rows = await routes.ask(Premium(routes.memory, routes.upstream).answer)
    assert [row["symbol"] for row in rows] == [row["symbol"] for row in recorded("premium_index")]
    assert shape(rows[0]) == shape(rows[1])
    assert rows[1:] == recorded("premium_index")[1:]


async def test_a_premium_index_is_served_while_the_exchange_is_down(routes: Routes) -> None:
    routes.servers.down = True
    row = await routes.ask(Premium(routes.memory, routes.upstream).answer, symbol="BTCUSDT")
    assert shape(row) == shape(row_of("premium_index", "BTCUSDT"))
    assert row["interestRate"] == "0.00010000"


async def test_settled_funding_from_the_store_has_the_shape_and_text_of_rest(routes: Routes) -> None:
    rows = [row for row in recorded("funding_rate") if row["symbol"] == "BTCUSDT"]
    values = [[row["fundingTime"], float(row["fundingRate"]), float(row["markPrice"])] for row in rows]
    routes.servers.series = [{"columns": ["time", "rate", "mark_price"], "values": values}]
    handler = FundingRates(routes.memory, routes.upstream, routes.market, routes.contracts).answer
    assert await routes.ask(handler, symbol="BTCUSDT", startTime=str(rows[0]["fundingTime"])) == rows
    assert routes.servers.asked == []


async def test_settled_funding_that_the_store_lacks_is_requested_from_the_exchange(routes: Routes) -> None:
    handler = FundingRates(routes.memory, routes.upstream, routes.market, routes.contracts).answer
    assert await routes.ask(handler, symbol="BTCUSDT", startTime="1791302400000") == recorded("funding_rate")
    assert len([path for path in routes.servers.asked if "symbol=BTCUSDT&startTime=1791302400000" in path]) == 1


async def test_a_mark_price_candle_from_the_store_has_the_columns_of_a_candle(routes: Routes) -> None:
    opened = NOW_MS // HOUR_MS * HOUR_MS - HOUR_MS
    columns = ["time", "open", "high", "low", "close"]
    routes.servers.series = [{"columns": columns, "values": [[opened, 83134.6172971, 83200.5, 83100.25, 83140.0]]}]
    handler = MarkKlines(routes.memory, routes.upstream, routes.market, routes.contracts).answer
    query = {"symbol": "BTCUSDT", "interval": "1h", "startTime": str(opened), "endTime": str(opened)}
    (row,) = await routes.ask(handler, **query)
    assert [type(value) for value in row] == [type(value) for value in recorded("klines")[0]]
    assert row[:5] == [opened, "83134.61729710", "83200.50000000", "83100.25000000", "83140.00000000"]
    assert row[5:] == ["0", opened + HOUR_MS - 1, "0", 3600, "0", "0", "0"]


async def test_an_order_book_is_requested_once_and_cut_to_each_bots_levels(routes: Routes) -> None:
    handler = Depth(routes.memory, routes.upstream).answer
    assert await routes.ask(handler, symbol="BTCUSDT", limit="50") == recorded("depth")
    five, twenty = [await routes.ask(handler, symbol="BTCUSDT", limit=limit) for limit in ("5", "20")]
    assert shape(five) == shape(recorded("depth"))
    assert (len(five["bids"]), five["asks"]) == (5, twenty["asks"][:5])
    assert routes.servers.asked == ["/fapi/v1/depth?symbol=BTCUSDT&limit=50"]


async def test_single_tickers_are_taken_from_the_response_for_all_while_that_is_fresh(routes: Routes) -> None:
    handler = Ticker("/fapi/v1/ticker/24hr", routes.memory, routes.upstream).answer
    assert await routes.ask(handler) == recorded("ticker_24hr")
    assert await routes.ask(handler, symbol="BTCUSDT") == row_of("ticker_24hr", "BTCUSDT")
    assert routes.servers.asked == ["/fapi/v1/ticker/24hr"]


async def test_time_and_funding_intervals_have_their_recorded_shapes(routes: Routes) -> None:
    assert shape(await routes.ask(Time(routes.memory).answer)) == shape(recorded("time"))
    assert await routes.ask(FundingInfo(routes.upstream).answer) == recorded("funding_info")


async def test_exchange_info_is_the_exchanges_except_for_the_time(routes: Routes) -> None:
    routes.memory.exchange_info = None
    answer = await routes.ask(routes.info().answer)
    assert list(answer) == list(recorded("exchange_info"))
    assert answer | {"serverTime": 0} == recorded("exchange_info") | {"serverTime": 0}


async def test_exchange_info_survives_a_restart_while_the_exchange_is_down(routes: Routes) -> None:
    first = routes.info()
    running = asyncio.create_task(first.run())
    await eventually_async((routes.state_dir / "exchange_info.json").exists, what="exchangeInfo on disk")
    running.cancel()
    routes.servers.down = True
    clock = routes.memory.clock
    restarted = Memory(clock)
    info = ExchangeInfoRoute(restarted, routes.upstream, routes.state_dir, streaming=lambda: False)
    assert info.load()
    answer = await routes.ask(info.answer)
    assert answer["symbols"] == recorded("exchange_info")["symbols"]
    assert set(restarted.symbols) == {row["symbol"] for row in answer["symbols"]}


@pytest.mark.parametrize("left", [b"", b"{", b"[]", b"\x00" * 100])
async def test_a_damaged_file_of_exchange_info_is_not_used(routes: Routes, left: bytes) -> None:
    (routes.state_dir / "exchange_info.json").write_bytes(left)
    assert not routes.info().load()


async def test_before_the_symbols_are_known_no_symbol_is_called_invalid(routes: Routes) -> None:
    routes.servers.down = True
    with pytest.raises(Refused) as caught:
        await Depth(Memory(routes.memory.clock), routes.upstream).answer({"symbol": "BTCUSDT"})
    assert caught.value.status == 429
