"""Where a symbol's candles begin, whatever its date at the exchange: requested once, remembered on disk."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from exchange.binance.requests import BinanceClient
from exchange.binance.universe import parse
from exchange.budget import Budget
from exchange.errors import ExchangeError
from exchange.first_candles import FILE, FirstCandles
from exchange.universe import Instrument
from marketdata.timeframes import BASE_MS, DAY_MS
from tests.contract.dated_exchange import FIRST_MS, DatedExchange, listening
from tests.support.exchange_rows import symbol_row

NOW_MS = FIRST_MS + 20 * DAY_MS
YEAR_MS = 365 * DAY_MS


@asynccontextmanager
async def first_candles(exchange: DatedExchange, state_dir: Path) -> AsyncIterator[FirstCandles]:
    async with listening(exchange) as url:
        budget = Budget(requests_per_second=1000)
        async with BinanceClient(url, budget, patience_seconds=0, backoff_seconds=0.01) as client:
            yield FirstCandles(client, state_dir)


def listed(onboard_ms: int, symbol: str = "BTCUSDT") -> Instrument:
    return parse({"symbols": [symbol_row(onboard_ms, symbol)]}).symbols[symbol]


@pytest.mark.parametrize("off_ms", [-288 * DAY_MS, 0, 60_000])
async def test_a_date_that_is_not_after_the_first_candle_costs_one_request(tmp_path: Path, off_ms: int) -> None:
    exchange = DatedExchange([(FIRST_MS, NOW_MS)])
    async with first_candles(exchange, tmp_path) as firsts:
        info = listed(FIRST_MS + off_ms)
        assert not firsts.known(info)
        assert (await firsts.find(info)).begins_ms == FIRST_MS
        assert (await firsts.find(info)).begins_ms == firsts.told(info).begins_ms == FIRST_MS
    assert exchange.asked == [{"symbol": "BTCUSDT", "interval": "3m", "startTime": "0", "limit": "1"}]


async def test_candles_that_continue_up_to_a_later_date_belong_to_the_same_contract(tmp_path: Path) -> None:
    exchange = DatedExchange([(FIRST_MS, NOW_MS)])
    async with first_candles(exchange, tmp_path) as firsts:
        assert (await firsts.find(listed(FIRST_MS + 3 * DAY_MS))).begins_ms == FIRST_MS
    assert len(exchange.asked) == 2


async def test_a_reused_ticker_begins_with_its_own_listing(tmp_path: Path) -> None:
    exchange = DatedExchange([(FIRST_MS - YEAR_MS, FIRST_MS - YEAR_MS // 2), (FIRST_MS, NOW_MS)])
    async with first_candles(exchange, tmp_path) as firsts:
        assert (await firsts.find(listed(FIRST_MS + 60_000))).begins_ms == FIRST_MS
    assert len(exchange.asked) == 3


async def test_a_hole_of_hours_before_the_date_does_not_mean_another_contract(tmp_path: Path) -> None:
    exchange = DatedExchange([(FIRST_MS, FIRST_MS + DAY_MS), (FIRST_MS + DAY_MS + 5 * 3_600_000, NOW_MS)])
    async with first_candles(exchange, tmp_path) as firsts:
        assert (await firsts.find(listed(FIRST_MS + DAY_MS + 5 * 3_600_000))).begins_ms == FIRST_MS


async def test_a_symbol_without_a_candle_keeps_its_date_and_is_looked_up_again(tmp_path: Path) -> None:
    exchange = DatedExchange([])
    async with first_candles(exchange, tmp_path) as firsts:
        info = listed(FIRST_MS)
        assert await firsts.find(info) == info
        exchange.spans.append((FIRST_MS + BASE_MS, NOW_MS))
        assert (await firsts.find(info)).begins_ms == FIRST_MS + BASE_MS


async def test_the_next_process_knows_what_one_has_learned(tmp_path: Path) -> None:
    exchange = DatedExchange([(FIRST_MS, NOW_MS)])
    infos = [listed(FIRST_MS - DAY_MS), listed(FIRST_MS - DAY_MS, "ETHUSDT")]
    async with first_candles(exchange, tmp_path) as firsts:
        assert [info.begins_ms for info in await firsts.find_all(infos)] == [FIRST_MS, FIRST_MS]
    async with first_candles(exchange, tmp_path) as again:
        assert [info.begins_ms for info in await again.find_all(infos)] == [FIRST_MS, FIRST_MS]
    assert len(exchange.asked) == 2


async def test_a_changed_date_is_looked_up_again(tmp_path: Path) -> None:
    exchange = DatedExchange([(FIRST_MS, NOW_MS)])
    async with first_candles(exchange, tmp_path) as firsts:
        await firsts.find(listed(FIRST_MS - DAY_MS))
        relisted = listed(NOW_MS + YEAR_MS)
        assert not firsts.known(relisted)
        assert firsts.told(relisted).begins_ms == relisted.onboard_ms
        exchange.spans.append((relisted.onboard_ms, relisted.onboard_ms + DAY_MS))
        assert (await firsts.find(relisted)).begins_ms == relisted.onboard_ms


async def test_what_was_learned_before_the_exchange_went_down_is_kept(tmp_path: Path) -> None:
    exchange = DatedExchange([(FIRST_MS, NOW_MS)])
    known, unknown = listed(FIRST_MS), listed(FIRST_MS, "ETHUSDT")
    async with first_candles(exchange, tmp_path) as firsts:
        await firsts.find_all([known])
        exchange.refuses = True
        with pytest.raises(ExchangeError):
            await firsts.find_all([known, unknown])
        assert firsts.known(known)
        assert not firsts.known(unknown)


@pytest.mark.parametrize("text", ["", "[]", '{"BTCUSDT": 1}', '{"BTCUSDT": {"onboard_ms": "x", "first_ms": 1}}'])
async def test_an_unreadable_file_counts_as_empty(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / FILE).write_text(text)
    exchange = DatedExchange([(FIRST_MS, NOW_MS)])
    async with first_candles(exchange, tmp_path) as firsts:
        assert not firsts.known(listed(FIRST_MS))
        assert (await firsts.find(listed(FIRST_MS))).begins_ms == FIRST_MS
    assert str(tmp_path / FILE) in caplog.text
