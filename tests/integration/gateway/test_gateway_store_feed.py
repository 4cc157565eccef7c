"""The gateway's memory from a real store: what collectors no longer report after all of them were down."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from decimal import Decimal

import pytest

from exchange.clock import ExchangeClock
from gateway.intake.store_feed import StoreFeed
from gateway.memory.memory import TOLD, Memory, PairState
from gateway.memory.rows import decode, encode
from gateway.memory.windows import BASE, Grid
from gateway.past.stored import Stored
from marketdata import schema
from marketdata.reader import AsyncMarketData, Store
from tests.integration.reader_truth import HOUR, NOW, STEP, Candle, aggregated, line, walk, write
from tests.integration.servers import InfluxStack
from tests.support import eventually_async

pytestmark = pytest.mark.integration

SYMBOL, PAIR = "ABSENTUSDT", "ABSENT/USDT:USDT"
LISTING = {
    "symbol": SYMBOL,
    "contractType": "PERPETUAL",
    "status": "TRADING",
    "underlyingType": "COIN",
    "baseAsset": "ABSENT",
    "quoteAsset": "USDT",
    "marginAsset": "USDT",
    "pricePrecision": 3,
    "quantityPrecision": 3,
    "onboardDate": NOW - 900 * STEP,
}
BEFORE, AFTER = 600, 640
"""The candles from before the absence, and those reported after it; those in between are in the store."""


@pytest.fixture(scope="module")
def truth() -> list[Candle]:
    return walk(4)[-700:]


@pytest.fixture
async def market(influx: InfluxStack, truth: list[Candle]) -> AsyncIterator[AsyncMarketData]:
    write(influx, schema.BUCKET_RAW, [line(PAIR, schema.OHLCV_BASE, candle) for candle in truth])
    async with AsyncMarketData(Store(influx.url, token_file=influx.token_file("reader", "gateway"))) as market:
        yield market


@pytest.fixture
def memory() -> Memory:
    memory = Memory(ExchangeClock(monotonic_ms=lambda: 0, wall_ms=lambda: NOW))
    memory.learn_exchange_info({"symbols": [LISTING]})
    return memory


@contextlib.asynccontextmanager
async def fed(memory: Memory, market: AsyncMarketData, streaming: Callable[[], bool]) -> AsyncIterator[None]:
    feeding = asyncio.create_task(StoreFeed(memory, Stored(market), streaming=streaming).run())
    try:
        yield
    finally:
        feeding.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await feeding


def row(candle: Candle) -> bytes:
    prices = [f"{price:f}" for price in (candle.open, candle.high, candle.low, candle.close, candle.volume)]
    end = (candle.time + STEP - 1, f"{candle.volume:f}", candle.trades, "0", "0", "0")
    return encode((candle.time, *prices, *end))


def told(memory: Memory, truth: list[Candle]) -> PairState:
    """A pair whose candles were reported by collectors, except for those between BEFORE and AFTER."""
    state = memory.adopt(SYMBOL, PAIR, truth[BEFORE].time)
    memory.learn_rows(state, [(candle.time, row(candle)) for candle in truth[AFTER:]], TOLD)
    assert state.next_open_ms == truth[BEFORE].time
    return state


async def test_candles_that_no_collector_remembers_after_an_absence_are_read_from_the_store(
    memory: Memory, market: AsyncMarketData, truth: list[Candle]
) -> None:
    """Otherwise nothing newer than the hole would ever be served: collectors only report their last candles."""
    state = told(memory, truth)
    async with fed(memory, market, streaming=lambda: True):
        await eventually_async(lambda: state.next_open_ms == truth[-1].time + STEP, 20, what="the hole's end")
    shown = [decode(one) for _, one in state.shown(truth[BEFORE].time, state.next_open_ms)]
    assert [(one.open_time_ms, float(one.close)) for one in shown] == [
        (candle.time, float(candle.close)) for candle in truth[BEFORE:]
    ]


async def test_a_known_pair_gets_the_candles_before_it_too(
    memory: Memory, market: AsyncMarketData, truth: list[Candle]
) -> None:
    state = memory.adopt(SYMBOL, PAIR, truth[-1].time + STEP)
    async with fed(memory, market, streaming=lambda: True):
        await eventually_async(lambda: len(state.rows) == 500, 20, what="the newest 500 candles")
    assert not state.lacks(truth[-500].time, state.next_open_ms)


async def test_without_collectors_the_pairs_themselves_come_from_the_store(
    memory: Memory, market: AsyncMarketData, truth: list[Candle]
) -> None:
    async with fed(memory, market, streaming=lambda: False):
        await eventually_async(lambda: SYMBOL in memory.pairs, 20, what="the pair")
    assert memory.pairs[SYMBOL].next_open_ms == truth[-1].time + STEP


@pytest.mark.parametrize("precisions", [(3, 3), (1, 0), (5, 4)], ids=["as traded", "smaller since", "larger since"])
async def test_todays_precision_of_a_symbol_removes_no_stored_digit(
    influx: InfluxStack, market: AsyncMarketData, truth: list[Candle], precisions: tuple[int, int]
) -> None:
    hours = aggregated(truth, HOUR)
    write(influx, schema.BUCKET_ROLLUP, [line(PAIR, "ohlcv_1h", hour, HOUR // STEP) for hour in hours])
    memory = Memory(ExchangeClock(monotonic_ms=lambda: 0, wall_ms=lambda: NOW))
    price, base = precisions
    memory.learn_exchange_info({"symbols": [LISTING | {"pricePrecision": price, "quantityPrecision": base}]})
    for grid, candles in ((BASE, truth), (Grid("1h", HOUR), hours)):
        first_ms, stop_ms = candles[0].time, candles[-1].time + grid.length_ms
        rows = await Stored(market).windows(memory.symbols[SYMBOL], grid, first_ms, stop_ms)
        served = [decode(rows[candle.time]) for candle in candles]
        for one, candle in zip(served, candles, strict=True):
            texts = (one.open, one.high, one.low, one.close, one.volume)
            assert [Decimal(text) for text in texts] == [
                candle.open,
                candle.high,
                candle.low,
                candle.close,
                candle.volume,
            ]
            least = (price, price, price, price, base)
            assert all(len(text.partition(".")[2]) >= most for text, most in zip(texts, least, strict=True))
