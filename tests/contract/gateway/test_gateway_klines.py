"""Candles while nothing can be requested: nobody listens at the addresses of stores and exchange."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from exchange.binance.requests import BinanceClient
from exchange.budget import Budget
from exchange.clock import ExchangeClock
from exchange.first_candles import FirstCandles
from gateway.api.answers import AGE_LIMIT_MS, Refused
from gateway.intake.catch_up import CatchUp
from gateway.memory.memory import FROM_STORE, Memory
from gateway.memory.rows import encode
from gateway.past.contracts import Contracts
from gateway.past.fetched import Fetched, Once
from gateway.past.history import History
from gateway.past.stored import Stored
from gateway.routes.klines import Klines
from gateway.upstream.upstream import Upstream
from marketdata.reader import AsyncMarketData
from marketdata.stores import Store
from marketdata.thresholds import STALE_MS
from marketdata.timeframes import BASE_MS
from tests.support.exchange_rows import symbol_row

NOWHERE = "http://127.0.0.1:1"
START_MS = 9_951_000 * BASE_MS
CANDLES = 20
SYMBOL = symbol_row(START_MS)
QUERY = {"symbol": "btcusdt", "interval": "3m"}


@dataclass
class Desk:
    """The route, and control over its clock."""

    klines: Klines
    memory: Memory
    now_ms: int = START_MS + CANDLES * BASE_MS


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    token = tmp_path / "token"
    token.write_text("t")
    hand: list[Desk] = []
    clock = ExchangeClock(monotonic_ms=lambda: hand[0].now_ms if hand else START_MS, wall_ms=lambda: START_MS)
    memory = Memory(clock)
    memory.learn_exchange_info({"symbols": [SYMBOL]})
    budget = Budget(20, clock=ExchangeClock())
    async with (
        BinanceClient(NOWHERE, budget, patience_seconds=0, backoff_seconds=0) as client,
        AsyncMarketData(Store(NOWHERE, token_file=token)) as market,
    ):
        once, stored = Once(), Stored(market)
        fetched = Fetched(memory, client, once)
        firsts = FirstCandles(client, tmp_path)
        firsts.remember(memory.symbols["BTCUSDT"], START_MS)
        contracts = Contracts(memory, stored, firsts, once)
        history = History(memory, stored, fetched, once, contracts)
        catch_up = CatchUp(memory, stored, fetched, client, once)
        desk = Desk(Klines(memory, history, contracts, catch_up, Upstream(client), streaming=lambda: True), memory)
        hand.append(desk)
        state = memory.adopt("BTCUSDT", "BTC/USDT:USDT", START_MS)
        rows = [(START_MS + number * BASE_MS, row(number)) for number in range(CANDLES)]
        memory.learn_rows(state, rows, FROM_STORE)
        yield desk
        await once.close()


def row(number: int) -> bytes:
    open_ms = START_MS + number * BASE_MS
    return encode((open_ms, "1.0", "1.0", "1.0", "1.0", "1", open_ms + BASE_MS - 1, "1.0", 1, "1", "1.0", "0"))


async def test_memory_alone_answers_while_it_is_fresh(desk: Desk) -> None:
    answer = await desk.klines.answer({**QUERY, "limit": "5"})
    assert answer.state == "live"
    assert [one[0] for one in json.loads(answer.body)] == [START_MS + n * BASE_MS for n in range(15, 20)]


async def test_stale_candles_are_served_until_the_age_limit_and_refused_after_it(desk: Desk) -> None:
    desk.now_ms += BASE_MS + STALE_MS + 1
    answer = await desk.klines.answer(QUERY)
    assert (answer.status, answer.state) == (200, "behind")
    assert len(json.loads(answer.body)) == CANDLES, "only final and forming candles"
    desk.now_ms = START_MS + (CANDLES + 1) * BASE_MS + AGE_LIMIT_MS + STALE_MS
    with pytest.raises(Refused) as refused:
        await desk.klines.answer(QUERY)
    assert refused.value.status == 429
    assert refused.value.retry_after_seconds


async def test_a_candle_nobody_has_is_refused_and_not_left_out(desk: Desk) -> None:
    desk.now_ms += BASE_MS + STALE_MS + 1
    missing = {**QUERY, "startTime": str(START_MS + CANDLES * BASE_MS), "limit": "1"}
    with pytest.raises(Refused) as refused:
        await desk.klines.answer(missing)
    assert refused.value.status == 429


async def test_a_span_before_the_listing_or_in_the_future_has_no_candles(desk: Desk) -> None:
    before = {**QUERY, "startTime": "0", "endTime": str(START_MS - 1)}
    after = {**QUERY, "startTime": str(desk.now_ms + 1)}
    for query in (before, after):
        assert (await desk.klines.answer(query)).body == b"[]"


async def test_a_range_in_memory_needs_no_request(desk: Desk) -> None:
    span = {"startTime": str(START_MS + 1), "endTime": str(START_MS + 3 * BASE_MS)}
    answer = await desk.klines.answer({**QUERY, **span})
    assert [one[0] for one in json.loads(answer.body)] == [START_MS + n * BASE_MS for n in (1, 2, 3)]
    newest = await desk.klines.answer({**QUERY, "endTime": span["endTime"], "limit": "2"})
    assert [one[0] for one in json.loads(newest.body)] == [START_MS + n * BASE_MS for n in (2, 3)]
