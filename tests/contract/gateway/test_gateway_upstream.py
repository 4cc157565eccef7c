"""What bots get from a local server that responds like the exchange on good and bad days."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from exchange.binance.requests import BinanceClient
from exchange.budget import Budget
from gateway.api.answers import Refused
from gateway.upstream.upstream import LONGEST_SECONDS, Upstream
from tests.support import eventually_async, http_server

DEPTH = "/fapi/v1/depth"
BOOK = {"symbol": "BTCUSDT", "limit": "50"}


class Exchange:
    """Counts its requests and responds with the request's number, or as set."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status = 200
        self.headers: dict[str, str] = {}
        self.body = ""
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path_qs)
        await self.may_answer.wait()
        text = self.body or json.dumps({"n": len(self.asked)})
        return web.Response(status=self.status, text=text, headers=self.headers, content_type="application/json")


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def exchange() -> Exchange:
    return Exchange()


@pytest.fixture
async def upstream(exchange: Exchange, clock: Clock) -> AsyncIterator[Upstream]:
    async with http_server(exchange.handle) as url:
        budget = Budget(20, requests_per_second=1000)
        async with BinanceClient(url, budget, patience_seconds=0, backoff_seconds=0.01) as client:
            upstream = Upstream(client, monotonic_ms=clock, patience_seconds=2, kept_bytes=200)
            yield upstream
            exchange.may_answer.set()
            await upstream.close()


async def test_many_bots_that_ask_at_once_cost_one_request(upstream: Upstream, exchange: Exchange) -> None:
    answers = await asyncio.gather(*(upstream.get(DEPTH, BOOK) for _ in range(12)))
    assert len(exchange.asked) == 1
    assert {answer.body for answer in answers} == {b'{"n": 1}'}
    assert upstream.snapshot().answers_total == {(DEPTH, "asked"): 1, (DEPTH, "coalesced"): 11}


async def test_a_response_is_shared_while_it_is_fresh_and_shows_its_age(
    upstream: Upstream, exchange: Exchange, clock: Clock
) -> None:
    assert (await upstream.get(DEPTH, BOOK)).age_ms == 0
    clock.now += 1_500
    shared = await upstream.get(DEPTH, BOOK)
    assert (shared.body, shared.age_ms, shared.state) == (b'{"n": 1}', 1_500, "upstream")
    clock.now += 1_000
    assert (await upstream.get(DEPTH, BOOK)).body == b'{"n": 2}'
    assert len(exchange.asked) == 2


async def test_in_trouble_the_last_good_book_is_served_marked_for_half_a_minute_and_then_429(
    upstream: Upstream, exchange: Exchange, clock: Clock
) -> None:
    await upstream.get(DEPTH, BOOK)
    exchange.status, exchange.body = 503, "Service Unavailable."
    clock.now += 20_000
    stale = await upstream.get(DEPTH, BOOK)
    assert (stale.body, stale.age_ms, stale.state) == (b'{"n": 1}', 20_000, "last-good")
    clock.now += 11_000
    with pytest.raises(Refused) as caught:
        await upstream.get(DEPTH, BOOK)
    assert caught.value.status == 429
    assert caught.value.retry_after_seconds


async def test_while_the_exchange_is_down_the_last_good_response_is_served_at_once(
    upstream: Upstream, exchange: Exchange, clock: Clock
) -> None:
    await upstream.get(DEPTH, BOOK)
    exchange.status, exchange.body = 503, "Service Unavailable."
    clock.now += 3_000
    await upstream.get(DEPTH, BOOK)
    await eventually_async(lambda: len(exchange.asked) == 5, what="all attempts")
    exchange.may_answer.clear()
    clock.now += 3_000
    answer = asyncio.create_task(upstream.get(DEPTH, BOOK))
    for _ in range(100):  # turns of the loop: time does not matter
        await asyncio.sleep(0)
    assert answer.done()
    assert answer.result().state == "last-good"


async def test_a_ban_is_reported_with_its_duration_and_nothing_more_is_sent(
    upstream: Upstream, exchange: Exchange
) -> None:
    exchange.status, exchange.headers = 418, {"Retry-After": "120"}
    for _ in range(3):
        with pytest.raises(Refused) as caught:
            await upstream.get(DEPTH, BOOK)
        assert caught.value.status == 429
        assert 115 <= (caught.value.retry_after_seconds or 0) <= 120
    assert len(exchange.asked) == 1


async def test_the_exchanges_own_400_is_passed_on_with_its_code_and_text(
    upstream: Upstream, exchange: Exchange
) -> None:
    exchange.status, exchange.body = 400, '{"code":-4021,"msg":"7 is not valid depth limit."}'
    with pytest.raises(Refused) as caught:
        await upstream.get(DEPTH, BOOK)
    assert (caught.value.status, caught.value.code) == (400, -4021)
    assert caught.value.message == "7 is not valid depth limit."


async def test_a_silent_exchange_holds_a_bot_for_the_patience_and_no_longer(
    upstream: Upstream, exchange: Exchange
) -> None:
    exchange.may_answer.clear()
    async with asyncio.timeout(LONGEST_SECONDS - 5):
        with pytest.raises(Refused) as caught:
            await upstream.get(DEPTH, BOOK)
    assert caught.value.status == 429


async def test_memory_is_bounded_and_the_least_requested_is_dropped_first(
    upstream: Upstream, exchange: Exchange
) -> None:
    exchange.body = json.dumps("x" * 70)
    for symbol in ("A", "B", "A", "C"):
        await upstream.get(DEPTH, {"symbol": symbol})
    assert upstream.snapshot().kept_bytes <= 200
    assert upstream.peek(DEPTH, {"symbol": "A"}) is not None
    assert upstream.peek(DEPTH, {"symbol": "B"}) is None


async def test_a_response_is_kept_for_as_long_as_the_caller_wants(
    upstream: Upstream, exchange: Exchange, clock: Clock
) -> None:
    route, params = "/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "1m"}
    await upstream.get(route, params, fresh_ms=60_000)
    clock.now += 59_000
    await upstream.get(route, params, fresh_ms=60_000)
    assert len(exchange.asked) == 1
