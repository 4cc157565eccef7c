"""Candles the exchange lacks or has an impossible row for: never served, requested again, served when they come late.

No store responds here and no collector is streaming: the gateway asks the exchange itself.
"""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from exchange.binance.requests import BinanceClient
from exchange.budget import Budget
from exchange.clock import ExchangeClock
from exchange.first_candles import FirstCandles
from gateway.api.answers import Refused
from gateway.intake.catch_up import CatchUp
from gateway.intake.look_again import LookAgain
from gateway.memory.memory import Memory
from gateway.memory.stream_lines import FinalEvent
from gateway.memory.windows import Grid
from gateway.past.contracts import Contracts
from gateway.past.fetched import Fetched, Once
from gateway.past.history import History
from gateway.past.stored import Stored
from gateway.routes.klines import Klines
from gateway.upstream.upstream import Upstream
from marketdata.reader import AsyncMarketData
from marketdata.stores import Store
from marketdata.timeframes import BASE_MS, TIMEFRAME_MS
from tests.support import eventually_async, http_server
from tests.support.exchange_rows import symbol_row

NOWHERE = "http://127.0.0.1:1"
HOUR_MS, QUARTER = 3_600_000, 5
START_MS = 9_951_000 * BASE_MS // (24 * HOUR_MS) * 24 * HOUR_MS
LISTED = 480  # candles of 3m before START_MS
BAD = 2
SYMBOL = symbol_row(START_MS - LISTED * BASE_MS)


def at(number: int) -> int:
    return START_MS + number * BASE_MS


def lacking(row: list[Any]) -> list[Any] | None:
    return None


def impossible(row: list[Any]) -> list[Any] | None:
    return [*row[:8], 0, *row[9:]]


def unreadable(row: list[Any]) -> list[Any] | None:
    return [*row[:4], None, *row[5:]]


@dataclass
class Exchange:
    """One symbol whose candles are all the same, except for the one at `BAD`, which `tells` decides."""

    now_ms: int = at(20) + 10_000
    tells: Callable[[list[Any]], list[Any] | None] | None = None
    asked: list[dict[str, str]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        query = dict(request.query)
        self.asked.append(query)
        length_ms = TIMEFRAME_MS[query["interval"]]
        first_ms, last_ms = int(query.get("startTime", 0)), int(query.get("endTime", self.now_ms))
        first_ms = max(-(-first_ms // length_ms) * length_ms, at(-LISTED) // length_ms * length_ms)
        opens = range(first_ms, min(last_ms, self.now_ms) + 1, length_ms)
        rows = [self._row(open_ms, length_ms) for open_ms in opens]
        return web.json_response([row for row in rows if row is not None][: int(query["limit"])])

    def _row(self, open_ms: int, length_ms: int) -> list[Any] | None:
        count = length_ms // BASE_MS
        volume = str(count)
        row = [open_ms, "1.0", "1.0", "1.0", "1.0", volume, open_ms + length_ms - 1, volume, count, "0", "0", "0"]
        return self.tells(row) if self.tells and length_ms == BASE_MS and open_ms == at(BAD) else row


@dataclass
class Desk:
    """The route for candles, and control over its clock."""

    exchange: Exchange
    klines: Klines
    memory: Memory
    look_again: LookAgain
    history: History

    async def opens(self, interval: str, first: int, last: int) -> list[int]:
        """Return the windows served for a range, by the number of their first candle."""
        span = {"startTime": str(at(first)), "endTime": str(at(last)), "limit": "499"}
        answer = await self.klines.answer({"symbol": "BTCUSDT", "interval": interval, **span})
        return [(row[0] - START_MS) // BASE_MS for row in json.loads(answer.body)]

    async def newest(self, interval: str, limit: int) -> list[int]:
        answer = await self.klines.answer({"symbol": "BTCUSDT", "interval": interval, "limit": str(limit)})
        return [(row[0] - START_MS) // BASE_MS for row in json.loads(answer.body)]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    token = tmp_path / "token"
    token.write_text("t")
    exchange = Exchange()
    clock = ExchangeClock(monotonic_ms=lambda: exchange.now_ms, wall_ms=lambda: exchange.now_ms)
    memory = Memory(clock)
    memory.learn_exchange_info({"symbols": [SYMBOL]})
    async with (
        http_server(exchange.handle) as url,
        BinanceClient(url, Budget(90, clock=ExchangeClock(), requests_per_second=1000), patience_seconds=5) as client,
        AsyncMarketData(Store(NOWHERE, token_file=token)) as market,
    ):
        once, stored = Once(), Stored(market)
        fetched = Fetched(memory, client, once)
        contracts = Contracts(memory, stored, FirstCandles(client, tmp_path), once)
        history = History(memory, stored, fetched, once, contracts, rolled_seconds=0.2)
        catch_up = CatchUp(memory, stored, fetched, client, once)
        look_again = LookAgain(memory, stored, fetched, streaming=lambda: False)
        klines = Klines(memory, history, contracts, catch_up, Upstream(client), streaming=lambda: False)
        yield Desk(exchange, klines, memory, look_again, history)
        await once.close()


@pytest.mark.parametrize("tells", [impossible, unreadable])
async def test_a_row_that_cannot_be_a_candle_is_never_served_and_neither_is_a_window_over_it(
    desk: Desk, tells: Callable[[list[Any]], list[Any] | None]
) -> None:
    desk.exchange.tells = tells
    assert await desk.opens("3m", 0, 4) == [0, 1, 3, 4]
    assert await desk.newest("3m", 19) == [0, 1, *range(3, 21)][-19:]
    assert await desk.opens("15m", 0, 14) == [5, 10]
    assert (await desk.newest("15m", 4))[-2:] == [15, 20]
    assert 0 not in await desk.newest("15m", 5)


async def test_an_impossible_row_for_the_newest_close_holds_nothing_back(desk: Desk) -> None:
    desk.exchange.tells = impossible
    desk.exchange.now_ms = at(BAD + 1) + 10_000
    assert (await desk.newest("3m", 3))[-2:] == [1, 3]
    desk.exchange.now_ms = at(BAD + 2) + 10_000
    assert (await desk.newest("3m", 3))[-2:] == [3, 4]


@pytest.mark.parametrize("tells", [impossible, lacking])
async def test_a_late_candle_is_served_although_it_was_remembered_as_absent(
    desk: Desk, tells: Callable[[list[Any]], list[Any] | None]
) -> None:
    desk.exchange.tells = tells
    assert BAD not in await desk.newest("3m", 20)
    desk.look_again.note()
    state = desk.memory.pair_state("BTCUSDT")
    assert state is not None
    desk.exchange.tells = None
    asked = len(desk.exchange.asked)
    await desk.look_again.look(state)
    assert len(desk.exchange.asked) == asked, "it is not time yet"
    desk.exchange.now_ms += 11 * 60_000
    await desk.look_again.look(state)
    assert BAD in await desk.newest("3m", 24)
    assert await desk.opens("3m", 0, 4) == [0, 1, 2, 3, 4]
    assert await desk.opens("15m", 0, 14) == [0, 5, 10]


async def test_a_chunk_of_history_that_lacks_a_candle_is_fetched_again_less_and_less_often(desk: Desk) -> None:
    desk.exchange.now_ms = at(2_000) + 10_000  # beyond the reach of memory
    desk.exchange.tells = lacking

    async def requests(minutes: int) -> int:
        desk.exchange.now_ms += minutes * 60_000
        before = len([query for query in desk.exchange.asked if "endTime" in query])
        try:
            await desk.opens("3m", 0, 4)
        except Refused as refused:
            pytest.fail(str(refused))
        return len([query for query in desk.exchange.asked if "endTime" in query]) - before

    assert await requests(0) == 1
    assert [await requests(5), await requests(6), await requests(30), await requests(20)] == [0, 1, 0, 1]
    desk.exchange.tells = None
    assert await requests(60) == 0
    assert await requests(5 * 60) == 1
    assert await desk.opens("3m", 0, 4) == [0, 1, 2, 3, 4]
    assert await requests(10 * 24 * 60) == 0


@pytest.mark.parametrize("closed", [20, 2_000], ids=["in memory", "older than memory"])
async def test_windows_over_a_late_candle_are_read_again_once_the_stores_have_re_rolled_them(
    desk: Desk, closed: int
) -> None:
    desk.exchange.now_ms = at(closed) + 10_000
    await desk.newest("1h", 120)
    state = desk.memory.pair_state("BTCUSDT")
    assert state is not None
    info = desk.memory.symbols["BTCUSDT"]
    hours = await desk.history.series(state, info, Grid("1h", HOUR_MS), 120)
    until_ms = hours.until_ms
    assert hours.opens[-1] >= at(0)
    late = {"open": "1.0", "high": "1.0", "low": "1.0", "close": "1.0", "volume": "7", "quote_volume": "7"}
    times = {"open_time_ms": at(BAD), "event_time_ms": at(BAD + 1), "trades": 1}
    taker = {"taker_buy_volume": "0", "taker_buy_quote_volume": "0"}
    told = {"type": "final", "seq": 0, "pair": "BTC/USDT:USDT", "origin": "rest", **late, **times, **taker}
    desk.memory.apply("collector-1", msgspec.convert(told, FinalEvent))
    hours.append([], until_ms)  # as if the windows were read before they are re-rolled
    assert hours.until_ms == until_ms
    await eventually_async(lambda: hours.until_ms <= at(0), what="the windows are read again")
