"""The simulated market: a pure function of seed, symbol and time, lively enough for tests, and pinned by digests."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.candles import CLOSE, HIGH, LOW, TAKER_VOLUME, TRADES, VOLUME, group, minute_table
from simulator.market import DAY_MS, HOUR_MS, MINUTE_MS, Market
from simulator.noise import hash_at, hashes_at, smooth, smooth_at
from simulator.universe import Instrument, Universe
from tests.support import examples

NOW_MS = 1_791_383_686_000
DIGESTS = Path(__file__).parents[2] / "data" / "simulator_digests.json"
UNIVERSE = Universe(pairs=164, seed=1, start_ms=NOW_MS)
MARKET = Market(1)


def instrument(symbol: str) -> Instrument:
    found = UNIVERSE.get(symbol)
    assert found is not None
    return found


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**40))
def test_scalar_and_vector_hashes_are_equal(key: int, index: int) -> None:
    assert hashes_at(key, np.array([index]))[0] == hash_at(key, index)


@given(st.integers(0, 2**64 - 1), st.integers(1, 5000), st.integers(0, 2**33))
def test_scalar_and_vector_curves_are_equal_to_the_last_bit(key: int, period: int, first: int) -> None:
    assert [smooth_at(key, period, first + i) for i in range(3)] == smooth(key, period, first, 3).tolist()


@settings(max_examples=examples(20))
@given(st.sampled_from(UNIVERSE.eligible), st.integers(0, 1439), st.integers(1, 90))
def test_any_span_has_the_same_trades_as_the_whole_day(pair: Instrument, first_minute: int, minutes: int) -> None:
    day = NOW_MS // DAY_MS * DAY_MS
    minutes = min(minutes, 1440 - first_minute)
    whole = MARKET.trades(pair.shape, day, 1440)
    part = MARKET.trades(pair.shape, day + first_minute * MINUTE_MS, minutes)
    for name in ("traded", "time_ms", "price", "quantity", "fills", "buyer_is_taker"):
        expected = getattr(whole, name)[:, first_minute : first_minute + minutes]
        assert np.array_equal(getattr(part, name), expected), name


@pytest.mark.parametrize("symbol", ["BTCUSDT", "CAKEUSDT", "GRASSUSDT"])
def test_trades_are_in_order_and_within_their_minute(symbol: str) -> None:
    trades = MARKET.trades(instrument(symbol).shape, NOW_MS // HOUR_MS * HOUR_MS, 60)
    times = trades.time_ms.T.reshape(-1)
    assert (np.diff(times) > 0).all()
    assert (trades.time_ms // MINUTE_MS == NOW_MS // HOUR_MS * 60 + np.arange(60)).all()


def test_prices_are_multiples_of_the_tick_and_quantities_are_positive() -> None:
    for pair in UNIVERSE.instruments[::7]:
        trades = MARKET.trades(pair.shape, NOW_MS // HOUR_MS * HOUR_MS, 60)
        assert (trades.price[trades.traded] % pair.shape.tick == 0).all()
        assert (trades.price[trades.traded] > 0).all()
        assert (trades.quantity[trades.traded] > 0).all()


def test_the_first_slot_of_every_hour_trades() -> None:
    for pair in UNIVERSE.eligible[-20:]:
        assert MARKET.trades(pair.shape, NOW_MS // HOUR_MS * HOUR_MS, 1).traded[0, 0]


def three_minute_day(pair: Instrument) -> np.ndarray:
    table = minute_table(MARKET.trades(pair.shape, NOW_MS // DAY_MS * DAY_MS, 1440))
    return group(table, np.arange(0, 1440, 3))


def test_the_market_is_lively() -> None:
    """Returns vary, candles with trades have a range, takers buy and sell, and quiet pairs have empty candles."""
    spread, mixed, total, idle_pairs = 0, 0, 0, 0
    for pair in UNIVERSE.eligible:
        table = three_minute_day(pair)
        traded = table[:, table[TRADES] > 0]
        returns = np.diff(traded[CLOSE]) / traded[CLOSE][:-1]
        assert len(set(returns.tolist())) > 20, pair.symbol
        assert 1e-5 < np.abs(returns).mean() < 0.02, pair.symbol
        spread += int((traded[HIGH] > traded[LOW]).sum())
        mixed += int((traded[TAKER_VOLUME] < traded[VOLUME]).sum())
        total += traded.shape[1]
        idle_pairs += traded.shape[1] < 0.9 * table.shape[1]
    assert spread > 0.9 * total
    assert mixed > 0.9 * total
    assert 5 <= idle_pairs <= 40


def test_seeds_and_symbols_differ() -> None:
    hour = NOW_MS // HOUR_MS * HOUR_MS
    shape = instrument("BTCUSDT").shape
    digests = {Market(1).digest(shape, hour), Market(2).digest(shape, hour), Market(1).digest(shape, hour + HOUR_MS)}
    assert len(digests) == 3


def test_the_truth_has_not_drifted() -> None:
    """If you change the market on purpose, update the digests in tests/data/simulator_digests.json."""
    for row in json.loads(DIGESTS.read_text(encoding="utf-8")):
        pair = Universe(pairs=164, seed=row["seed"], start_ms=NOW_MS).get(row["symbol"])
        assert pair is not None
        assert Market(row["seed"]).digest(pair.shape, row["hour_ms"]) == row["sha256"], row


def test_the_market_does_not_depend_on_the_start() -> None:
    other = Universe(pairs=164, seed=1, start_ms=NOW_MS - 200 * DAY_MS).get("BTCUSDT")
    assert other is not None
    assert MARKET.digest(other.shape, NOW_MS // HOUR_MS * HOUR_MS) == MARKET.digest(
        instrument("BTCUSDT").shape, NOW_MS // HOUR_MS * HOUR_MS
    )
