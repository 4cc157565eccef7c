"""The client against the simulator: every route, the limits, and the exchange's own time."""

import asyncio
import json
import ssl
import urllib.request
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from typing import Any

import pytest

from exchange.binance.requests import BinanceClient
from exchange.budget import Budget, Priority
from exchange.errors import BadRequest, Refused, Untrusted
from exchange.universe import select
from marketdata.timeframes import BASE_MS
from tests.integration.servers import Simulator, simulator_process
from tests.support import BUSY, REQUEST_SECONDS, eventually_async

HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """One simulator with its usual market, for all tests that only read."""
    with simulator_process(tmp_path_factory.mktemp("venue")) as simulator:
        yield simulator


@pytest.fixture
async def client(venue: Simulator) -> AsyncIterator[BinanceClient]:
    async with BinanceClient(
        venue.url, Budget(), ca_file=venue.ca_file, patience_seconds=0, backoff_seconds=0.05
    ) as client:
        yield client


def control(simulator: Simulator, path: str, body: dict[str, Any] | None = None, method: str | None = None) -> Any:
    """Ask the simulator's control API; a body makes it a POST."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{simulator.url}/_control/{path}", data=data, method=method)
    trust = ssl.create_default_context(cafile=simulator.ca_file)
    with urllib.request.urlopen(request, timeout=REQUEST_SECONDS, context=trust) as answer:
        return json.load(answer)


async def symbols_of(client: BinanceClient) -> list[str]:
    return [info.symbol for info in select((await client.listing()).universe, "all").symbols]


async def test_the_listed_universe_is_complete_and_has_the_requested_pairs(
    client: BinanceClient, venue: Simulator
) -> None:
    universe = (await client.listing()).universe
    assert universe.invalid == ()
    assert sorted(info.symbol for info in universe.eligible()) == sorted(control(venue, "state")["pairs"])
    assert len(universe.symbols) > len(universe.eligible())


async def test_49_hours_of_candles_come_back_complete_and_as_the_simulator_has_them(
    client: BinanceClient, venue: Simulator
) -> None:
    end_ms = await client.server_time_ms() // BASE_MS * BASE_MS - BASE_MS
    start_ms = end_ms - 49 * HOUR_MS + BASE_MS
    symbol = (await symbols_of(client))[0]
    candles = await client.klines_range(symbol, "3m", start_ms, end_ms)
    assert [candle.open_time_ms for candle in candles] == list(range(start_ms, end_ms + 1, BASE_MS))
    truth = control(venue, f"truth?symbol={symbol}&interval=3m&start={start_ms}&end={end_ms}")
    assert [list(candle) for candle in candles] == [row[:11] for row in truth]


async def test_a_pair_with_a_chinese_name_is_requested_by_it(client: BinanceClient) -> None:
    chinese = [symbol for symbol in await symbols_of(client) if not symbol.isascii()]
    assert chinese
    assert len(await client.klines(chinese[0], "3m", limit=3)) == 3


async def test_funding_mark_prices_and_premium_index_are_returned(client: BinanceClient) -> None:
    symbol = (await symbols_of(client))[0]
    now_ms = await client.server_time_ms()
    await client.ping()
    rates = await client.funding_rates(symbol, start_ms=now_ms - 48 * HOUR_MS, end_ms=now_ms)
    assert {rate.symbol for rate in rates} == {symbol}
    assert all(earlier.funding_time_ms < later.funding_time_ms for earlier, later in pairwise(rates))
    hours = await client.mark_price_klines(symbol, "1h", limit=5)
    assert [hour.open_time_ms % HOUR_MS for hour in hours] == [0] * 5
    assert symbol in {row.symbol for row in await client.premium_index()}
    assert [row.symbol for row in await client.premium_index(symbol)] == [symbol]


async def test_the_weight_we_count_is_never_less_than_what_the_exchange_counts(
    client: BinanceClient, venue: Simulator
) -> None:
    before = sum(minute["weight"] for minute in control(venue, "log"))
    symbol = (await symbols_of(client))[0]
    for limit in (1, 99, 100, 499, 500, 1000, 1001, 1500):
        await client.klines(symbol, "3m", limit=limit)
    await client.premium_index()
    await client.funding_rates(symbol)
    counted = sum(client.snapshot().budget.weight_total.values())
    assert 0 < sum(minute["weight"] for minute in control(venue, "log")) - before <= counted


async def test_a_symbol_that_is_not_listed_is_a_bad_request(client: BinanceClient) -> None:
    with pytest.raises(BadRequest) as caught:
        await client.klines("NOSUCHUSDT", "3m", limit=1)
    assert caught.value.code == -1121


async def test_without_the_simulators_authority_nothing_is_requested_twice(venue: Simulator) -> None:
    async with BinanceClient(venue.url, Budget()) as client:
        with pytest.raises(Untrusted, match="ca_file"):
            await client.ping()
        assert client.snapshot().requests_total == {"/fapi/v1/ping": 1}


async def test_a_refused_client_stays_away_as_long_as_required_and_then_continues(simulator: Simulator) -> None:
    async with BinanceClient(simulator.url, Budget(), ca_file=simulator.ca_file) as client:
        symbol = (await symbols_of(client))[0]
        control(simulator, "faults", {"kind": "rest_status", "status": 429, "retry_after_seconds": 2})
        with pytest.raises(Refused) as caught:
            await client.klines(symbol, "3m", limit=1)
        assert 1 < caught.value.retry_after_seconds <= 2
        waiting = asyncio.create_task(client.klines(symbol, "3m", limit=1))
        control(simulator, "faults", None, method="DELETE")
        assert len(await asyncio.wait_for(waiting, 10 * BUSY)) == 1
        assert client.snapshot().budget.refused == {429: 1}


async def test_two_greedy_clients_stay_within_their_shares_of_every_minute_and_can_still_confirm(
    simulator: Simulator,
) -> None:
    share = 48  # 2 % of 2,400, of which 4 are reserved for confirmations
    budgets = [Budget(2, requests_per_second=50) for _ in range(2)]
    async with (
        BinanceClient(simulator.url, budgets[0], ca_file=simulator.ca_file) as one,
        BinanceClient(simulator.url, budgets[1], ca_file=simulator.ca_file) as other,
    ):
        symbols = await symbols_of(one)
        greedy = [
            asyncio.create_task(client.klines(symbol, "3m", limit=499))
            for client in (one, other)
            for symbol in symbols * 8
        ]
        await eventually_async(lambda: all(budget.snapshot().used_in_minute >= share - 5 for budget in budgets))
        for client in (one, other):
            assert await client.klines(symbols[0], "3m", limit=1, priority=Priority.CONFIRM)
        assert not all(task.done() for task in greedy)
        for task in greedy:
            task.cancel()
        await asyncio.gather(*greedy, return_exceptions=True)
    assert all(minute["weight"] <= 2 * share for minute in control(simulator, "log"))
