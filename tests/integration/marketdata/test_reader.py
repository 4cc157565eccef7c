"""The reader on a real InfluxDB: every timeframe against a plain aggregation, holes, the newest windows, errors."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from marketdata import ohlcv, schema
from marketdata.errors import (
    EmptyStore,
    InvalidPair,
    InvalidRequest,
    InvalidTimeframe,
    StoreUnavailable,
    Unauthorized,
    UnknownPair,
)
from marketdata.reader import AsyncMarketData, MarketData, Store
from marketdata.serializer import funding_rate_line, funding_settled_line, gap_line, mark_price_line
from tests.integration.reader_truth import (
    CHINESE,
    DATE,
    DAY,
    FULL,
    HOLED,
    HOLES,
    HOUR,
    LISTED,
    MINUTE,
    MONDAY,
    NOW,
    STEP,
    WINDOWS,
    Candle,
    aggregated,
    assert_equal,
    epoch_aligned,
    line,
    times_of,
    walk,
    whole,
    write,
)
from tests.integration.servers import InfluxStack
from tests.support import free_port

pytestmark = pytest.mark.integration

Readers = Callable[..., MarketData]
Call = Callable[[MarketData], Any]


@pytest.fixture(scope="module")
def truth() -> dict[str, list[Candle]]:
    missing = {start + index * STEP for start, count in HOLES for index in range(count)}
    return {
        FULL: walk(1),
        HOLED: [candle for candle in walk(2) if candle.time not in missing],
        CHINESE: walk(3)[-700:],
    }


@pytest.fixture(scope="module")
def stack(influx: InfluxStack, truth: dict[str, list[Candle]]) -> InfluxStack:
    """The shared store with three pairs; of each rollup the newest two windows have not been written yet."""
    for pair, candles in truth.items():
        write(influx, schema.BUCKET_RAW, [line(pair, "ohlcv_3m", candle) for candle in candles])
        for timeframe in schema.ROLLUP_TIMEFRAMES:
            rolled = aggregated(candles, WINDOWS[timeframe])[:-2]
            count = WINDOWS[timeframe] // STEP
            if rolled:
                lines = [line(pair, f"ohlcv_{timeframe}", candle, count) for candle in rolled]
                write(influx, schema.BUCKET_ROLLUP, lines)
    now = pd.Timestamp.now("UTC").value // 1_000_000
    write(influx, schema.BUCKET_RAW, [funding_settled_line(FULL, MONDAY, "0.0001", None, now_ms=now)])
    write(influx, schema.BUCKET_SAMPLES, [mark_price_line(FULL, now, "2", "1", now_ms=now)])
    write(influx, schema.BUCKET_SAMPLES, [funding_rate_line(FULL, now, "0.0002", now, now_ms=now)])
    first, second = HOLES[1][0], HOLES[1][0] + STEP
    states = {HOLES[0][0]: "open", first: "exchange_hole", second: "exchange_hole", second + STEP: "repaired"}
    noted = [gap_line(HOLED, t, state, "test", "candles_3m", now_ms=now) for t, state in states.items()]
    write(influx, schema.BUCKET_RAW, noted)
    return influx


def store_of(stack: InfluxStack) -> Store:
    return Store(stack.url, token_file=stack.token_file("reader", "library"))


@pytest.fixture
def reader() -> Iterator[Callable[..., MarketData]]:
    """Makes readers, by default with the clock at NOW, and closes them."""
    with ExitStack() as opened:

        def make(*stores: Store, now_ms: int = NOW, timeout_seconds: float = 10) -> MarketData:
            made = MarketData(stores, clock_ms=lambda: now_ms, timeout_seconds=timeout_seconds)
            return opened.enter_context(made)

        yield make


@pytest.fixture
def market(stack: InfluxStack, reader: Readers) -> MarketData:
    return reader(store_of(stack))


# --- candles --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timeframe", WINDOWS)
@pytest.mark.parametrize("pair", [FULL, HOLED, CHINESE])
def test_every_timeframe_equals_a_plain_aggregation_of_the_3m_candles(
    market: MarketData, truth: dict[str, list[Candle]], pair: str, timeframe: str
) -> None:
    windows = epoch_aligned(truth[pair], timeframe)
    assert_equal(market.get_ohlcv(pair, timeframe, start=LISTED), windows)
    assert_equal(market.get_ohlcv(pair, timeframe, limit=6000), windows)
    assert_equal(market.get_ohlcv(pair, timeframe, limit=1), windows[-1:])


def test_the_columns_are_a_utc_date_and_floats(market: MarketData) -> None:
    types = market.get_ohlcv(FULL, "3m", limit=2).dtypes.astype(str).to_dict()
    assert types.pop("date") == str(DATE)
    assert types == dict.fromkeys(["open", "high", "low", "close", "volume"], "float64")


def test_a_range_takes_the_windows_that_open_in_it_without_its_end(
    market: MarketData, truth: dict[str, list[Candle]]
) -> None:
    first, last = MONDAY + 7 * MINUTE, MONDAY + DAY
    windows = [candle for candle in aggregated(truth[FULL], HOUR) if first <= candle.time < last]
    assert windows[0].time == MONDAY + HOUR
    assert_equal(market.get_ohlcv(FULL, "1h", start=first, end=last), windows)
    assert_equal(market.get_ohlcv(FULL, "1h", start="2026-02-23 00:07", end=pd.Timestamp(last, unit="ms")), windows)
    assert_equal(market.get_ohlcv(FULL, "1h", start="2026-02-23T01:07+01:00", end="2026-02-24"), windows)
    assert_equal(market.get_ohlcv(FULL, "1h", start=np.int64(first), end=float(last)), windows)


def test_several_pairs_are_answered_as_each_alone(market: MarketData) -> None:
    together = market.get_ohlcv_many([CHINESE, FULL, HOLED, FULL], "1h", limit=12)
    assert list(together) == [CHINESE, FULL, HOLED]
    for pair, frame in together.items():
        pd.testing.assert_frame_equal(frame, market.get_ohlcv(pair, "1h", limit=12))
    assert market.get_ohlcv_many([], "1h", limit=12) == {}


def test_an_answer_of_many_queries_equals_one(market: MarketData, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = market.get_ohlcv_many([FULL, HOLED], "6m", start=LISTED)
    monkeypatch.setattr(ohlcv, "_ROWS_PER_QUERY", 700)
    for pair, frame in market.get_ohlcv_many([FULL, HOLED], "6m", start=LISTED).items():
        pd.testing.assert_frame_equal(frame, whole[pair])


def test_the_forming_window_never_appears_whatever_the_clock_says(
    stack: InfluxStack, reader: Readers, truth: dict[str, list[Candle]]
) -> None:
    for timeframe, window in WINDOWS.items():
        newest = epoch_aligned(truth[FULL], timeframe)[-1]
        ahead = reader(store_of(stack), now_ms=NOW + window)
        assert_equal(ahead.get_ohlcv(FULL, timeframe, limit=1), [newest])
        behind = reader(store_of(stack), now_ms=newest.time + window - 1)
        assert newest.time not in times_of(behind.get_ohlcv(FULL, timeframe, limit=2)["date"])


def test_a_newest_window_is_there_as_soon_as_its_last_candle_is(stack: InfluxStack, market: MarketData) -> None:
    pair, hour = "READLATE/USDT:USDT", NOW - NOW % HOUR - HOUR
    candles = [Candle(c.time, c.open, c.high, c.low, c.close, c.volume, c.trades) for c in walk(4)]
    stored = [candle for candle in candles if hour - HOUR <= candle.time and candle.time != hour + HOUR - STEP]
    write(stack, schema.BUCKET_RAW, [line(pair, "ohlcv_3m", candle) for candle in stored])
    assert_equal(market.get_ohlcv(pair, "1h", limit=5), aggregated(stored, HOUR))
    (late,) = (candle for candle in candles if candle.time == hour + HOUR - STEP)
    write(stack, schema.BUCKET_RAW, [line(pair, "ohlcv_3m", late)])
    assert_equal(market.get_ohlcv(pair, "1h", limit=1), aggregated(candles, HOUR)[-1:])


def test_the_exchanges_own_candle_of_the_listing_day_is_served(stack: InfluxStack, market: MarketData) -> None:
    pair, midnight = "READLISTED/USDT:USDT", LISTED - LISTED % DAY
    candles = walk(5)
    own = whole(midnight, [candle for candle in candles if candle.time < midnight + DAY])
    days = aggregated(candles, DAY)
    write(stack, schema.BUCKET_RAW, [line(pair, "ohlcv_3m", candle) for candle in candles])
    rolled = [line(pair, "ohlcv_1d", day, 480) for day in days]
    write(stack, schema.BUCKET_ROLLUP, [line(pair, "ohlcv_1d", own, 0), *rolled])
    assert_equal(market.get_ohlcv(pair, "1d", limit=100), [own, *days])


def test_gaps_names_the_holes_and_no_others(market: MarketData) -> None:
    holes = market.gaps(HOLED)
    assert list(zip(times_of(holes["start"]), holes["candles"], strict=True)) == HOLES
    assert list(holes["end"] - holes["start"]) == [pd.Timedelta(milliseconds=count * STEP) for _, count in HOLES]
    assert holes["start"].dtype == holes["end"].dtype == DATE
    assert len(market.gaps(FULL)) == 0
    assert list(holes["exchange_holes"]) == [0, 2, 0]
    assert list(market.gaps(HOLED, start=MONDAY + DAY, end=MONDAY + 5 * DAY)["candles"]) == [25]


def test_a_known_pair_without_candles_in_the_range_gives_an_empty_frame(market: MarketData) -> None:
    frame = market.get_ohlcv(CHINESE, "1h", start="2025-01-01", end="2025-01-02")
    assert frame.empty
    pd.testing.assert_series_equal(frame.dtypes, market.get_ohlcv(CHINESE, "1h", limit=1).dtypes)


# --- funding and mark prices ----------------------------------------------------------------------------------------


def test_the_newest_samples_come_with_their_age(stack: InfluxStack, reader: Readers) -> None:
    pair, other = "READFUND/USDT:USDT", "资金费率/USDT:USDT"
    now = pd.Timestamp.now("UTC").value // 1_000_000
    due = now - now % HOUR + HOUR
    lines = [
        funding_rate_line(pair, now - 90_000, "0.1", due, now_ms=now),
        funding_rate_line(pair, now - 30_000, "0.00010000", due, now_ms=now),
        funding_rate_line(other, now - 3 * HOUR, "-0.00250000", due - 8 * HOUR, now_ms=now),
        mark_price_line(pair, now - 20_000, "7", "101.5", now_ms=now),
        mark_price_line(pair, now - 9_000, "101.25", "101.5", now_ms=now),
    ]
    write(stack, schema.BUCKET_SAMPLES, lines)
    market = reader(store_of(stack), now_ms=now)
    funding, mark = market.get_funding_rate(pair), market.get_mark_price(pair)
    assert (funding.pair, funding.rate, funding.age_seconds) == (pair, 0.0001, 30.0)
    assert (funding.time.timestamp() * 1000, funding.next_funding_time.timestamp() * 1000) == (now - 30_000, due)
    assert (mark.pair, mark.mark, mark.index, mark.age_seconds) == (pair, 101.25, 101.5, 9.0)
    everything = market.get_all_pairs_funding_rates()
    assert everything[pair] == funding
    assert (everything[other].rate, everything[other].age_seconds) == (-0.0025, 3 * 3600.0)


def test_settled_funding_keeps_the_exchanges_times_and_the_missing_mark_prices(
    stack: InfluxStack, market: MarketData
) -> None:
    pair, times = "READSETTLED/USDT:USDT", [MONDAY + 3, MONDAY + 8 * HOUR, MONDAY + 16 * HOUR + 11]
    marks = zip(times, [None, "100.5", "101"], strict=True)
    lines = [funding_settled_line(pair, time, "0.0001", mark, now_ms=NOW) for time, mark in marks]
    write(stack, schema.BUCKET_RAW, lines)
    history = market.get_funding_history(pair, MONDAY)
    assert times_of(history["date"]) == times
    assert list(history["rate"]) == [0.0001] * 3
    assert history["mark_price"].isna().tolist() == [True, False, False]
    days = pd.DataFrame({"date": pd.date_range("2026-02-23", periods=2, tz="UTC")})
    assert pd.merge_asof(days, history, on="date")["rate"].isna().tolist() == [True, False]
    assert len(pd.merge_asof(history, days, on="date")) == 3
    assert len(market.get_funding_history(pair, times[0], times[2])) == 2
    assert market.get_funding_history(pair, "2025-01-01", "2025-02-01").empty


# --- both clients ---------------------------------------------------------------------------------------------------


async def test_the_async_client_answers_the_same(stack: InfluxStack, market: MarketData) -> None:
    async with AsyncMarketData(store_of(stack), clock_ms=lambda: NOW) as asynchronous:
        for timeframe in ("3m", "4h", "1w"):
            pd.testing.assert_frame_equal(
                await asynchronous.get_ohlcv(HOLED, timeframe, limit=50), market.get_ohlcv(HOLED, timeframe, limit=50)
            )
        days = (await asynchronous.get_ohlcv_many([FULL], "1d", start=LISTED))[FULL]
        pd.testing.assert_frame_equal(days, market.get_ohlcv(FULL, "1d", limit=99))
        pd.testing.assert_frame_equal(await asynchronous.gaps(HOLED), market.gaps(HOLED))
        assert await asynchronous.pairs() == market.pairs()
        with pytest.raises(UnknownPair):
            await asynchronous.get_ohlcv("NOSUCH/USDT:USDT", "1h", limit=1)
    async with AsyncMarketData(store_of(stack)) as asynchronous:  # samples are kept for 30 days of the real clock
        assert (await asynchronous.get_mark_price(FULL)).mark == 2
        assert (await asynchronous.get_funding_rate(FULL)).rate == 0.0002
        assert (await asynchronous.get_all_pairs_funding_rates())[FULL].rate == 0.0002
        assert (await asynchronous.get_funding_history(FULL, MONDAY))["rate"].tolist() == [0.0001]
    refused = AsyncMarketData([Store(f"http://127.0.0.1:{free_port()}", "x"), Store(stack.url, "wrong")])
    with pytest.raises(StoreUnavailable, match=r"cannot be reached.*refused the token"):
        await refused.pairs()
    await refused.close()


CALLS: dict[str, Call] = {
    "get_ohlcv": lambda market: market.get_ohlcv("NOSUCH/USDT:USDT", "3m", limit=3),
    "get_ohlcv of a rollup": lambda market: market.get_ohlcv("NOSUCH/USDT:USDT", "1h", limit=3),
    "get_ohlcv by range": lambda market: market.get_ohlcv("NOSUCH/USDT:USDT", "1w", start="2026-01-01"),
    "gaps": lambda market: market.gaps("NOSUCH/USDT:USDT"),
    "get_funding_rate": lambda market: market.get_funding_rate("NOSUCH/USDT:USDT"),
    "get_funding_history": lambda market: market.get_funding_history("NOSUCH/USDT:USDT", "2026-01-01"),
    "get_mark_price": lambda market: market.get_mark_price("NOSUCH/USDT:USDT"),
}
EVERY_CALL = CALLS | {
    "pairs": lambda market: market.pairs(),
    "get_all_pairs_funding_rates": lambda market: market.get_all_pairs_funding_rates(),
}


# --- errors ---------------------------------------------------------------------------------------------------------


def test_an_unknown_pair_is_named_with_the_nearest_known(market: MarketData) -> None:
    with pytest.raises(UnknownPair, match="READFULL/USDT:USDT") as unknown:
        market.get_ohlcv_many([FULL, "READFUL/USDT:USDT", "QQQ/USDC:USDC"], "1h", limit=1)
    assert unknown.value.pairs == ("READFUL/USDT:USDT", "QQQ/USDC:USDC")


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_no_call_takes_an_unknown_pair_in_silence(stack: InfluxStack, market: MarketData, call: Call) -> None:
    with pytest.raises(UnknownPair, match="NOSUCH/USDT:USDT"):
        call(market)


@pytest.mark.parametrize("timeframe", ["1M", "1m", "5m", "2d", ""])
def test_a_timeframe_that_is_not_served_is_refused(market: MarketData, timeframe: str) -> None:
    with pytest.raises(InvalidTimeframe, match="multiple of 3m"):
        market.get_ohlcv(FULL, timeframe, limit=1)


def test_requests_that_make_no_sense_are_refused(market: MarketData) -> None:
    with pytest.raises(InvalidPair):
        market.get_ohlcv("BTCUSDT", "1h", limit=1)
    with pytest.raises(InvalidRequest):
        market.get_ohlcv(FULL, "1h")
    with pytest.raises(InvalidRequest):
        market.get_ohlcv(FULL, "1h", limit=1, start=MONDAY)
    with pytest.raises(InvalidRequest):
        market.get_ohlcv(FULL, "1h", limit=0)
    with pytest.raises(InvalidRequest):
        market.get_ohlcv(FULL, "1h", start=NOW, end=MONDAY)
    with pytest.raises(InvalidRequest):
        market.get_ohlcv(FULL, "1h", start="yesterweek")


@pytest.mark.parametrize("call", EVERY_CALL.values(), ids=EVERY_CALL)
def test_a_wrong_token_and_one_that_may_only_write_are_refused(stack: InfluxStack, reader: Readers, call: Call) -> None:
    for store in (
        Store(stack.url, token="wrong"),
        Store(stack.url, token_file=stack.token_file("ingest", "collector-1")),
        Store(stack.url, token_file=stack.secrets_dir / "nothing-here"),
    ):
        with pytest.raises(Unauthorized, match="token"):
            call(reader(store))


@pytest.mark.parametrize("call", EVERY_CALL.values(), ids=EVERY_CALL)
def test_a_dead_server_is_said_to_be_unreachable(reader: Readers, call: Call) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        call(reader(Store(f"http://127.0.0.1:{free_port()}", token="any")))


def test_an_empty_store_says_so_and_a_frozen_one_is_given_up(fresh_influx: InfluxStack, reader: Readers) -> None:
    for call in EVERY_CALL.values():
        if call is EVERY_CALL["pairs"]:
            assert call(reader(store_of(fresh_influx))) == []
            continue
        with pytest.raises(EmptyStore, match="collector"):
            call(reader(store_of(fresh_influx)))
    fresh_influx.server.pause()
    try:
        with pytest.raises(StoreUnavailable):
            reader(store_of(fresh_influx), timeout_seconds=0.3).pairs()
    finally:
        fresh_influx.server.unpause()


# --- several stores -------------------------------------------------------------------------------------------------


def test_the_first_store_that_is_healthy_and_fresh_answers(
    stack: InfluxStack, fresh_influx: InfluxStack, reader: Readers, truth: dict[str, list[Candle]]
) -> None:
    old = [line(FULL, "ohlcv_3m", candle) for candle in truth[FULL][-9:-5]]
    write(fresh_influx, schema.BUCKET_RAW, old)
    dead, behind, fresh = Store(f"http://127.0.0.1:{free_port()}", "any"), store_of(fresh_influx), store_of(stack)
    market = reader(dead, behind, fresh)
    assert_equal(market.get_ohlcv(FULL, "3m", limit=4), truth[FULL][-4:])
    without = reader(dead, behind)
    assert_equal(without.get_ohlcv(FULL, "3m", limit=4), truth[FULL][-9:-5])


def test_a_new_token_in_the_file_is_used_at_once(stack: InfluxStack, tmp_path: Path) -> None:
    file = tmp_path / "reader.token"
    file.write_text("wrong\n")
    config = tmp_path / "reader.toml"
    config.write_text(f'[[store]]\nurl = "{stack.url}/"\ntoken_file = "{file}"\n')
    with MarketData.from_file(config) as market:
        with pytest.raises(Unauthorized):
            market.pairs()
        file.write_text(stack.token("reader", "library") + "\n")
        assert FULL in market.pairs()
