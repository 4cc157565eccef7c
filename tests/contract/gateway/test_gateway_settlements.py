"""Settled funding from the gateway while the exchange changes a pair's interval and the store lacks a settlement."""

import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from exchange.binance.requests import BinanceClient
from exchange.budget import Budget
from exchange.clock import ExchangeClock
from exchange.first_candles import FirstCandles
from gateway.api.answers import Refused
from gateway.memory.memory import Memory
from gateway.memory.stream_lines import Mark, MarkEvent, PairTold
from gateway.past.contracts import Contracts
from gateway.past.fetched import Once
from gateway.past.stored import Stored
from gateway.routes.funding import FundingRates
from gateway.upstream.upstream import Upstream
from marketdata.reader import AsyncMarketData
from marketdata.stores import Store
from tests.contract.gateway.test_gateway_shapes import recorded
from tests.support import http_server

SYMBOL, PAIR = "BTCUSDT", "BTC/USDT:USDT"
HOUR_MS = 3_600_000
T0 = 1_791_331_200_000
"""A midnight."""

CHANGED = (-16, -8, 0, 8, 12, 16, 20, 21, 22, 23)
"""Hours of settlements: every 8 h, every 4 h from 08:00 on, hourly from 20:00 on."""


def row(hour: int) -> dict[str, Any]:
    time_ms = T0 + hour * HOUR_MS + hour % 4
    rate = f"0.{1000 + hour:08d}"
    return {
        "symbol": SYMBOL,
        "fundingTime": time_ms,
        "fundingRate": rate,
        "markPrice": "83140.10000000",
        "rateType": "Regular",
    }


@dataclass
class Servers:
    """The exchange and the store in one: the hours of settlements, and which of them are stored."""

    settled: tuple[int, ...] = ()
    stored: tuple[int, ...] = ()
    interval_hours: int | None = None
    down: bool = False
    asked: list[str] = field(default_factory=list)
    now_ms: Callable[[], int] = lambda: T0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        answer = await self.answer(request)
        answer.headers["Date"] = formatdate(self.now_ms() / 1000, usegmt=True)  # clients take the time from it
        return answer

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/query":
            return web.json_response({"results": [{"series": self.series((await request.post())["q"])}]})
        self.asked.append(request.path_qs.removeprefix("/fapi/v1/"))
        if self.down:
            return web.Response(status=503)
        if request.path.endswith("fundingInfo"):
            hours = self.interval_hours
            return web.json_response([] if hours is None else [{"symbol": SYMBOL, "fundingIntervalHours": hours}])
        first, last = (int(request.query.get(name, end)) for name, end in (("startTime", 0), ("endTime", 10**14)))
        rows = [row(hour) for hour in self.settled]
        return web.json_response([one for one in rows if first <= one["fundingTime"] <= last])

    def series(self, query: Any) -> list[dict[str, Any]]:
        rows = [row(hour) for hour in self.stored]
        values = [[one["fundingTime"], float(one["fundingRate"]), float(one["markPrice"])] for one in rows]
        order = values[::-1] if "DESC" in query else values
        return [{"columns": ["time", "rate", "mark_price"], "values": order}] if values else []

    @property
    def rates_asked(self) -> list[str]:
        return [path for path in self.asked if path.startswith("fundingRate")]


class Gateway:
    """The route, requested by bots at a given hour."""

    def __init__(
        self, servers: Servers, memory: Memory, upstream: Upstream, market: AsyncMarketData, contracts: Contracts
    ) -> None:
        self.servers = servers
        self.memory = memory
        self._begin_ms, self._begin = T0, time.monotonic_ns()
        self._route = FundingRates(memory, upstream, market, contracts).answer

    @property
    def now_ms(self) -> int:
        """Time advances: the client paces its requests by it."""
        return self._begin_ms + (time.monotonic_ns() - self._begin) // 1_000_000

    def it_is(self, hour: float, *, next_hour: int) -> None:
        """A frame arrives at this hour."""
        self._begin_ms, self._begin = int(T0 + hour * HOUR_MS), time.monotonic_ns()
        mark = (self._begin_ms, "83140.0", "83165.1", "83143.7", None, "0.0001", T0 + next_hour * HOUR_MS)
        if self.memory.pair_state(SYMBOL) is None:
            self.memory.apply("one", PairTold(1, PAIR, self._begin_ms // 180_000 * 180_000, [], [], None, Mark(*mark)))
        else:
            self.memory.apply("one", MarkEvent(*mark, 1, PAIR))

    async def hours(self, **query: int) -> list[int]:
        body = (await self._route({"symbol": SYMBOL, **{name: str(value) for name, value in query.items()}})).body
        rows = json.loads(body)
        assert rows == [row((one["fundingTime"] - T0) // HOUR_MS) for one in rows]
        return [(one["fundingTime"] - T0) // HOUR_MS for one in rows]


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    servers = Servers()
    now: list[Gateway] = []

    def now_ms() -> int:
        return now[0].now_ms if now else T0

    async with http_server(servers.handle) as url:
        clock = ExchangeClock(monotonic_ms=now_ms, wall_ms=now_ms)
        budget = Budget(100, requests_per_second=1000, clock=clock)
        servers.now_ms = now_ms
        async with (
            BinanceClient(url, budget, patience_seconds=0, backoff_seconds=0.01) as client,
            AsyncMarketData(Store(url, token="t"), clock_ms=now_ms) as market,
        ):
            memory = Memory(clock)
            memory.learn_exchange_info(recorded("exchange_info"))
            upstream = Upstream(client, monotonic_ms=now_ms)
            once = Once()
            contracts = Contracts(memory, Stored(market), FirstCandles(client, tmp_path), once)
            now.append(Gateway(servers, memory, upstream, market, contracts))
            yield now[0]
            await once.close()
            await upstream.close()


async def test_the_newest_settlement_after_a_change_of_the_interval_is_served_before_it_is_stored(
    gateway: Gateway,
) -> None:
    """Changed from 8 h to 4 h: judging by the earlier settlements, nothing would be due until 24:00."""
    gateway.servers.settled, gateway.servers.stored = (-8, 0, 8, 16, 20), (-8, 0, 8, 16)
    gateway.servers.interval_hours = 4
    gateway.it_is(20.5, next_hour=24)
    assert await gateway.hours(startTime=T0) == [0, 8, 16, 20]


async def test_a_settlement_shown_by_frames_is_served_before_it_is_stored_whatever_funding_info_has(
    gateway: Gateway,
) -> None:
    gateway.servers.settled, gateway.servers.stored = (-8, 0, 8, 16, 20), (-8, 0, 8, 16)
    gateway.it_is(19.9, next_hour=20)
    gateway.it_is(20.1, next_hour=24)
    assert await gateway.hours(startTime=T0) == [0, 8, 16, 20]
    assert "fundingInfo" not in gateway.servers.asked


@pytest.mark.parametrize("lost", [8, 12, 16, 20, 21, 22])
@pytest.mark.parametrize("query", [{"startTime": T0 - 1}, {"limit": 7}, {"startTime": T0 - 1, "limit": 5}])
async def test_a_settlement_of_any_interval_that_the_store_lost_is_served(
    gateway: Gateway, lost: int, query: dict[str, int]
) -> None:
    gateway.servers.settled, gateway.servers.interval_hours = CHANGED, 1
    gateway.servers.stored = tuple(hour for hour in CHANGED if hour != lost)
    gateway.it_is(23.5, next_hour=24)
    limit = query.get("limit", 100)
    expected = [hour for hour in CHANGED if hour >= 0][:limit] if "startTime" in query else list(CHANGED[-limit:])
    assert await gateway.hours(**query) == expected


async def test_a_change_of_the_interval_causes_one_request(gateway: Gateway) -> None:
    gateway.servers.settled = gateway.servers.stored = CHANGED
    gateway.servers.interval_hours = 1
    gateway.it_is(23.5, next_hour=24)
    for _ in range(3):
        assert await gateway.hours(startTime=T0) == [hour for hour in CHANGED if hour >= 0]
    assert len(gateway.servers.rates_asked) == 1
    gateway.it_is(47.5, next_hour=48)
    gateway.servers.settled = gateway.servers.stored = (*CHANGED, *range(24, 48))
    assert await gateway.hours(startTime=T0) == [hour for hour in gateway.servers.settled if hour >= 0]
    assert len(gateway.servers.rates_asked) == 1


async def test_an_interval_that_became_longer_causes_a_bounded_number_of_requests(gateway: Gateway) -> None:
    """Every 4 h before; then the symbol leaves fundingInfo: every 8 h from 08:00 on."""
    gateway.servers.settled = gateway.servers.stored = (-8, -4, 0, 4, 8)
    for minute in range(1, 4 * 60):  # all bots together send one request a minute
        gateway.it_is(12 + minute / 60, next_hour=16)
        assert await gateway.hours(startTime=T0) == [0, 4, 8]
    assert len(gateway.servers.rates_asked) <= 25


async def test_settlements_of_this_hour_are_requested_once_for_all_symbols(gateway: Gateway) -> None:
    gateway.servers.settled, gateway.servers.stored = (0, 8, 16), (0, 8)
    gateway.it_is(16.005, next_hour=24)
    assert await gateway.hours(startTime=T0) == [0, 8, 16]
    assert gateway.servers.rates_asked == [f"fundingRate?startTime={T0 + 16 * HOUR_MS}&limit=1000"]


async def test_while_the_exchange_is_down_a_possible_old_settlement_is_not_silently_left_out(
    gateway: Gateway,
) -> None:
    gateway.servers.settled, gateway.servers.stored = CHANGED, CHANGED[:5] + CHANGED[6:]
    gateway.servers.down = True
    gateway.it_is(23.5, next_hour=24)
    with pytest.raises(Refused) as refused:
        await gateway.hours(startTime=T0)
    assert refused.value.status == 429


async def test_while_the_exchange_is_down_a_settlement_of_some_minutes_ago_may_be_left_out(gateway: Gateway) -> None:
    gateway.servers.stored = (0, 8)
    gateway.servers.down = True
    gateway.it_is(16.1, next_hour=24)
    assert await gateway.hours(startTime=T0) == [0, 8]
