"""Candles of every interval are computed from the trades, and a partial candle becomes the closed one."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.candles import Candle, CandleStore
from simulator.forming import Forming
from simulator.frames import Trade
from simulator.intervals import INTERVALS, window_end, window_open, windows_from
from simulator.market import DAY_MS, HOUR_MS, Market
from simulator.streams import Topic
from simulator.tape import Tape
from simulator.universe import Instrument, Universe
from tests.support import examples

NOW_MS = 1_791_383_686_000
UNIVERSE = Universe(pairs=164, seed=1, start_ms=NOW_MS)
STORE = CandleStore(Market(1))
TAPE = Tape(STORE)

instruments = st.sampled_from([*UNIVERSE.eligible[::10], *UNIVERSE.eligible[-5:], *UNIVERSE.coin_margined[:1]])
short_intervals = st.sampled_from(["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d"])
moments = st.integers(NOW_MS - 3 * DAY_MS, NOW_MS)


def from_trades(instrument: Instrument, interval: str, open_ms: int, now_ms: int) -> Candle:
    """Return the candle computed from its trades one by one."""
    end_ms = window_end(interval, open_ms)
    trades = TAPE.between(instrument, open_ms, min(end_ms, now_ms + 1))
    if trades:
        prices = [trade.price for trade in trades]
    else:
        last = TAPE.last(instrument, open_ms - 1)
        assert last is not None
        prices = [last.price]
    bought = [trade for trade in trades if trade.buyer_is_taker]
    return Candle(
        open_ms=open_ms,
        close_ms=end_ms - 1,
        open=prices[0],
        high=max(prices),
        low=min(prices),
        close=prices[-1],
        volume=sum(trade.quantity for trade in trades),
        quote=sum(trade.price * trade.quantity for trade in trades),
        trades=sum(trade.last_id - trade.first_id + 1 for trade in trades),
        taker_volume=sum(trade.quantity for trade in bought),
        taker_quote=sum(trade.price * trade.quantity for trade in bought),
    )


@settings(max_examples=examples(60))
@given(instruments, short_intervals, moments)
def test_at_any_time_the_forming_candle_has_the_trades_so_far(
    instrument: Instrument, interval: str, now_ms: int
) -> None:
    open_ms = max(window_open(interval, now_ms), window_open(interval, instrument.onboard_ms))
    if now_ms < instrument.onboard_ms:
        return
    assert STORE.candles(instrument.shape, interval, open_ms, open_ms, now_ms) == [
        from_trades(instrument, interval, open_ms, now_ms)
    ]


@settings(max_examples=examples(30))
@given(instruments, short_intervals, moments)
def test_a_partial_candle_at_its_close_is_the_closed_candle(
    instrument: Instrument, interval: str, moment_ms: int
) -> None:
    open_ms = window_open(interval, moment_ms)
    close_ms = window_end(interval, open_ms) - 1
    at_close = STORE.candles(instrument.shape, interval, open_ms, open_ms, close_ms)
    long_after = STORE.candles(instrument.shape, interval, open_ms, open_ms, close_ms + 3 * DAY_MS)
    assert at_close == long_after


@settings(max_examples=examples(30))
@given(instruments, st.sampled_from(["3m", "15m", "1h"]), moments)
def test_a_live_candle_built_trade_by_trade_equals_the_history(
    instrument: Instrument, interval: str, moment_ms: int
) -> None:
    open_ms = window_open(interval, max(moment_ms, instrument.onboard_ms + HOUR_MS))
    end_ms = window_end(interval, open_ms)
    last = TAPE.last(instrument, open_ms - 1)
    assert last is not None
    empty = Candle(open_ms, end_ms - 1, last.price, last.price, last.price, last.price, 0, 0, 0, 0, 0)
    forming = Forming(Topic("kline", instrument, interval), interval, empty, -1, -1)
    trades: list[Trade] = TAPE.between(instrument, open_ms, end_ms)
    for trade in trades:
        forming.add(trade)
    assert [forming.candle] == STORE.candles(instrument.shape, interval, open_ms, open_ms, end_ms)
    if trades:
        assert (forming.first_id, forming.last_id) == (trades[0].first_id, trades[-1].last_id)
    forming.next_window()
    assert forming.candle.open_ms == end_ms
    assert forming.candle.open == forming.candle.close


def test_trade_ids_are_consecutive_within_a_day() -> None:
    day = NOW_MS // DAY_MS * DAY_MS
    trades = TAPE.between(UNIVERSE.eligible[80], day, day + DAY_MS)
    assert all(left.last_id + 1 == right.first_id for left, right in pairwise(trades))


def test_weeks_start_on_monday_and_months_on_the_first() -> None:
    wednesday = 1_791_383_686_000  # 2026-10-07
    assert window_open("1w", wednesday) == 1_791_158_400_000
    assert window_open("1M", wednesday) == 1_790_812_800_000
    assert window_end("1M", 1_790_812_800_000) == 1_793_491_200_000
    assert windows_from("1M", 1_790_812_800_000, -10) == 1_764_547_200_000  # 2025-12-01


@given(st.sampled_from(INTERVALS), st.integers(10**12, 2 * 10**12), st.integers(-40, 40))
def test_windows_tile_time(interval: str, time_ms: int, steps: int) -> None:
    opening = window_open(interval, time_ms)
    assert opening <= time_ms < window_end(interval, opening)
    other = windows_from(interval, opening, steps)
    assert window_open(interval, other) == other
    assert windows_from(interval, other, -steps) == opening


def test_long_intervals_are_the_sum_of_their_days() -> None:
    instrument = UNIVERSE.eligible[150]
    days = {row.open_ms: row for row in STORE.candles(instrument.shape, "1d", 0, NOW_MS, NOW_MS)}
    assert len(days) == 61
    for interval in ("3d", "1w", "1M"):
        for row in STORE.candles(instrument.shape, interval, 0, NOW_MS, NOW_MS):
            parts = [day for at, day in days.items() if row.open_ms <= at <= row.close_ms]
            assert row.volume == sum(day.volume for day in parts)
            assert row.high == max(day.high for day in parts)
            assert (row.open, row.close) == (parts[0].open, parts[-1].close)


def test_there_are_no_candles_before_the_listing() -> None:
    newcomer = UNIVERSE.eligible[-1]
    rows = STORE.candles(newcomer.shape, "3m", 0, NOW_MS, NOW_MS)
    assert rows[0].open_ms == newcomer.onboard_ms
    assert len(rows) == (NOW_MS - newcomer.onboard_ms) // 180_000 + 1
    assert STORE.candles(newcomer.shape, "3m", 0, NOW_MS, newcomer.onboard_ms - 1) == []
    (week,) = STORE.candles(newcomer.shape, "1w", 0, NOW_MS, NOW_MS)
    assert week.volume == sum(row.volume for row in rows)


def test_a_span_is_defined_by_open_times_and_inclusive() -> None:
    shape = UNIVERSE.eligible[0].shape
    opens = [NOW_MS // HOUR_MS * HOUR_MS - n * HOUR_MS for n in (3, 2, 1)]
    assert [row.open_ms for row in STORE.candles(shape, "1h", opens[0], opens[2], NOW_MS)] == opens
    assert [row.open_ms for row in STORE.candles(shape, "1h", opens[0] + 1, opens[2] - 1, NOW_MS)] == [opens[1]]
