"""Requests for a symbol that the exchange lists but we cannot read are left to the exchange, on every route."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from exchange.binance import limits
from exchange.binance.requests import BinanceClient
from exchange.budget import Budget
from exchange.clock import ExchangeClock
from exchange.first_candles import FirstCandles
from gateway.api.answers import Handler, Refused
from gateway.intake.catch_up import CatchUp
from gateway.memory.health import not_ready
from gateway.memory.memory import Memory
from gateway.past.contracts import Contracts
from gateway.past.fetched import Fetched, Once
from gateway.past.history import History
from gateway.past.stored import Stored
from gateway.routes.depth import Depth
from gateway.routes.funding import FundingRates
from gateway.routes.klines import Klines
from gateway.routes.marks import MarkKlines
from gateway.routes.premium import Premium
from gateway.routes.tickers import Ticker
from gateway.upstream.upstream import Upstream
from marketdata.reader import AsyncMarketData
from marketdata.stores import Store
from tests.contract.gateway.test_gateway_klines import NOWHERE, START_MS, SYMBOL
from tests.support import http_server

UNREADABLE: list[dict[str, Any]] = [
    {name: value for name, value in SYMBOL.items() if name != "underlyingType"} | {"symbol": "T$USDT"},
    {"symbol": "XAUUSDT", "contractType": "TRADIFI_PERPETUAL"},
    SYMBOL | {"symbol": "A/BUSDT", "baseAsset": "A/B"},
]
NOW_MS = START_MS + 3 * 3_600_000 + 90_000
ASKED = {
    limits.KLINES: {"interval": "3m", "limit": "2"},
    limits.MARK_PRICE_KLINES: {"interval": "1h", "limit": "2"},
    limits.FUNDING_RATE: {"limit": "2"},
    limits.PREMIUM_INDEX: {},
    limits.DEPTH: {"limit": "50"},
    limits.TICKER_24HR: {},
    limits.TICKER_PRICE: {},
    limits.TICKER_BOOK: {},
}


@dataclass
class Desk:
    """Every route that takes a symbol, and the requests that reached the exchange."""

    memory: Memory
    routes: dict[str, Handler] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        """The exchange: rows of all symbols except the odd ones, else a row that shows the request."""
        query = dict(request.query)
        self.asked.append((request.path, query))
        return web.json_response({"of": query["symbol"]} if "symbol" in query else [])


@pytest.fixture(params=["beside others", "alone"])
async def desk(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    token = tmp_path / "token"
    token.write_text("t")
    memory = Memory(ExchangeClock(monotonic_ms=lambda: NOW_MS, wall_ms=lambda: NOW_MS))
    memory.learn_exchange_info({"symbols": [*([SYMBOL] if request.param == "beside others" else []), *UNREADABLE]})
    desk = Desk(memory)
    async with (
        http_server(desk.handle) as url,
        BinanceClient(url, Budget(20, clock=ExchangeClock()), patience_seconds=0, backoff_seconds=0) as client,
        AsyncMarketData(Store(NOWHERE, token_file=token)) as market,
    ):
        once, stored, upstream = Once(), Stored(market), Upstream(client)
        fetched = Fetched(memory, client, once)
        contracts = Contracts(memory, stored, FirstCandles(client, tmp_path), once)
        history, catch_up = (
            History(memory, stored, fetched, once, contracts),
            CatchUp(memory, stored, fetched, client, once),
        )
        desk.routes |= {
            limits.KLINES: Klines(memory, history, contracts, catch_up, upstream, streaming=lambda: True).answer,
            limits.MARK_PRICE_KLINES: MarkKlines(memory, upstream, market, contracts).answer,
            limits.FUNDING_RATE: FundingRates(memory, upstream, market, contracts).answer,
            limits.PREMIUM_INDEX: Premium(memory, upstream).answer,
            limits.DEPTH: Depth(memory, upstream).answer,
            **{
                route: Ticker(route, memory, upstream).answer
                for route in (limits.TICKER_24HR, limits.TICKER_PRICE, limits.TICKER_BOOK)
            },
        }
        yield desk
        await once.close()
        await upstream.close()


@pytest.mark.parametrize("route", ASKED)
@pytest.mark.parametrize("symbol", [row["symbol"] for row in UNREADABLE])
async def test_a_request_for_a_symbol_in_an_unreadable_row_is_forwarded_unchanged(
    desk: Desk, route: str, symbol: str
) -> None:
    asked = {"symbol": symbol, **ASKED[route]}
    answer = await desk.routes[route](asked)
    assert json.loads(answer.body) == {"of": symbol}
    assert (route, asked) in desk.asked


@pytest.mark.parametrize("route", ASKED)
async def test_a_collected_symbol_that_becomes_unreadable_is_forwarded_too(desk: Desk, route: str) -> None:
    desk.memory.adopt("T$USDT", "T$/USDT:USDT", START_MS)
    answer = await desk.routes[route]({"symbol": "T$USDT", **ASKED[route]})
    assert json.loads(answer.body) == {"of": "T$USDT"}


@pytest.mark.parametrize("route", ASKED)
async def test_an_unlisted_symbol_is_invalid_and_nothing_is_requested(desk: Desk, route: str) -> None:
    with pytest.raises(Refused) as refused:
        await desk.routes[route]({"symbol": "T$$USDT", **ASKED[route]})
    assert (refused.value.status, refused.value.code) == (400, -1121)
    assert desk.asked == []


def test_a_gateway_that_knows_rows_but_can_read_none_knows_the_exchanges_symbols() -> None:
    memory = Memory(ExchangeClock())
    unknown = "the exchange's symbols are not known yet"
    assert unknown in not_ready(memory, streaming=True, store_answers=True)
    memory.learn_exchange_info({"symbols": UNREADABLE[:1]})
    assert unknown not in not_ready(memory, streaming=True, store_answers=True)
