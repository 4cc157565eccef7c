"""Candles of a symbol whose onboardDate is wrong: the gateway asks once where they begin, and serves what exists."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from exchange.binance.requests import BinanceClient
from exchange.budget import Budget
from exchange.clock import ExchangeClock
from exchange.first_candles import FirstCandles
from gateway.api.answers import Refused
from gateway.intake.catch_up import CatchUp
from gateway.memory.memory import Memory
from gateway.past.contracts import Contracts
from gateway.past.fetched import Fetched, Once
from gateway.past.history import History
from gateway.past.stored import Stored
from gateway.routes.klines import Klines
from gateway.upstream.upstream import Upstream
from marketdata.reader import AsyncMarketData
from marketdata.stores import Store
from marketdata.timeframes import BASE_MS, DAY_MS
from tests.contract.dated_exchange import FIRST_MS, DatedExchange, listening
from tests.support.exchange_rows import symbol_row

NOWHERE = "http://127.0.0.1:1"
NOW_MS = FIRST_MS + 10 * DAY_MS + BASE_MS // 2


@dataclass
class Desk:
    """The route for a symbol whose store is down and that no collector streams, and the exchange behind it."""

    exchange: DatedExchange
    url: str
    folder: Path

    async def ask(self, onboard_ms: int, *queries: dict[str, int]) -> list[list[int]]:
        """Send these requests to a new gateway, one by one; return the open times in the responses."""
        token = self.folder / "token"
        token.write_text("t")
        clock = ExchangeClock(monotonic_ms=lambda: NOW_MS, wall_ms=lambda: NOW_MS)
        memory = Memory(clock)
        memory.learn_exchange_info({"symbols": [symbol_row(onboard_ms)]})
        budget = Budget(90, requests_per_second=1000)
        async with (
            BinanceClient(self.url, budget, patience_seconds=0, backoff_seconds=0) as client,
            AsyncMarketData(Store(NOWHERE, token_file=token)) as market,
        ):
            once, stored = Once(), Stored(market)
            fetched = Fetched(memory, client, once)
            contracts = Contracts(memory, stored, FirstCandles(client, self.folder), once)
            klines = Klines(
                memory,
                History(memory, stored, fetched, once, contracts),
                contracts,
                CatchUp(memory, stored, fetched, client, once),
                Upstream(client),
                streaming=lambda: True,
            )
            memory.adopt("BTCUSDT", "BTC/USDT:USDT", NOW_MS // BASE_MS * BASE_MS)
            try:
                answers: list[list[Any]] = [
                    json.loads((await klines.answer(self._texts(query))).body) for query in queries
                ]
            finally:
                await once.close()
        return [[row[0] for row in rows] for rows in answers]

    @staticmethod
    def _texts(query: dict[str, int]) -> dict[str, str]:
        return {"symbol": "BTCUSDT", "interval": "3m"} | {name: str(value) for name, value in query.items()}


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    exchange = DatedExchange([(FIRST_MS, NOW_MS)])
    async with listening(exchange) as url:
        yield Desk(exchange, url, tmp_path)


def opens(first_ms: int, count: int) -> list[int]:
    return list(range(first_ms, first_ms + count * BASE_MS, BASE_MS))


async def test_a_range_from_the_beginning_is_found_at_once_although_the_date_is_288_days_early(desk: Desk) -> None:
    (answer,) = await desk.ask(FIRST_MS - 288 * DAY_MS, {"startTime": 0, "limit": 499})
    assert answer == opens(FIRST_MS, 499)
    assert len(desk.exchange.asked) <= 1 + 3, "where it begins, and the aligned chunks that hold 499 candles"


async def test_candles_before_a_late_date_are_served(desk: Desk) -> None:
    date_ms = FIRST_MS + 3 * DAY_MS
    before = {"startTime": FIRST_MS + DAY_MS, "endTime": FIRST_MS + DAY_MS + 4 * BASE_MS}
    answers = await desk.ask(date_ms, before, {"startTime": 0, "limit": 3}, {"endTime": FIRST_MS + BASE_MS})
    assert answers == [opens(FIRST_MS + DAY_MS, 5), opens(FIRST_MS, 3), opens(FIRST_MS, 2)]


async def test_the_newest_candles_reach_before_a_late_date(desk: Desk) -> None:
    newest_ms = NOW_MS // BASE_MS * BASE_MS
    (answer,) = await desk.ask(newest_ms - 10 * BASE_MS, {"limit": 100})
    assert answer == opens(newest_ms - 100 * BASE_MS, 100)[-len(answer) :]
    assert len(answer) >= 99


async def test_before_the_first_candle_there_is_nothing_and_it_is_looked_up_once(desk: Desk) -> None:
    nothing = {"startTime": FIRST_MS - 9 * DAY_MS, "endTime": FIRST_MS - 1}
    assert await desk.ask(FIRST_MS - 288 * DAY_MS, nothing, nothing) == [[], []]
    assert len(desk.exchange.asked) == 1
    assert await desk.ask(FIRST_MS - 288 * DAY_MS, nothing) == [[]]  # the next process reads it from disk
    assert len(desk.exchange.asked) == 1


async def test_a_range_before_the_date_is_refused_while_its_content_is_unknown(desk: Desk) -> None:
    desk.exchange.refuses = True
    with pytest.raises(Refused) as refused:
        await desk.ask(FIRST_MS + 3 * DAY_MS, {"startTime": FIRST_MS, "endTime": FIRST_MS + DAY_MS})
    assert refused.value.status == 429


async def test_a_reused_ticker_begins_with_its_present_contract(desk: Desk) -> None:
    desk.exchange.spans.insert(0, (FIRST_MS - 400 * DAY_MS, FIRST_MS - 200 * DAY_MS))
    (answer,) = await desk.ask(FIRST_MS, {"startTime": 0, "limit": 5})
    assert answer == opens(FIRST_MS, 5)
