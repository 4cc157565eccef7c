"""The newest windows as the bytes of a response: final, forming, compressed, corrected."""

import gzip
import json
from typing import Any

import pytest

from gateway.memory.memory import PairState
from gateway.memory.rows import Row, encode
from gateway.memory.stream_lines import Candle
from gateway.memory.windows import Digits, Grid
from gateway.past.series import ALIVE_MS, Series
from marketdata.timeframes import BASE_MS, DAY_MS, WEEK_MS

MONDAY_MS = 1_791_158_400_000
DIGITS = Digits(1, 0)


def at(number: int) -> int:
    return MONDAY_MS + number * BASE_MS


def candle(number: int, price: int = 1, trades: int = 1) -> Row:
    text = f"{price}.0"
    volume = "1" if trades else "0"
    end_ms = at(number) + BASE_MS - 1
    return encode((at(number), text, text, text, text, volume, end_ms, text, trades, volume, text, "0"))


def frame(number: int, price: int) -> Candle:
    text = f"{price}.0"
    return Candle(at(number), at(number) + 1, text, text, text, text, "1", text, "1", text, 1)


def state_with(*prices: int) -> PairState:
    state = PairState("BTCUSDT", "BTC/USDT:USDT", at(len(prices)))
    state.rows = {at(number): candle(number, price) for number, price in enumerate(prices)}
    return state


def series(length: int, name: str = "w") -> Series:
    return Series(Grid(name, length * BASE_MS), DIGITS, MONDAY_MS, MONDAY_MS)


def answered(windows: Series, limit: int, forming: Row | None = None) -> list[Any]:
    body, gzipped = windows.body(limit, forming)
    assert gzip.decompress(gzipped()) == body
    rows: list[Any] = json.loads(body)
    return rows


@pytest.mark.parametrize("length", [1, 2, 5])
def test_only_windows_whose_candles_are_all_final_are_added(length: int) -> None:
    windows = series(length)
    assert windows.extend(state_with(*range(1, 12)))
    assert [row[0] for row in answered(windows, 500)] == [at(n) for n in range(0, 11 // length * length, length)]


def test_a_candle_that_memory_lacks_is_reported() -> None:
    state = state_with(1, 2, 3, 4)
    del state.rows[at(1)]
    assert not series(2).extend(state)
    state.absent.add(at(1))
    windows = series(2)
    assert windows.extend(state)
    assert [row[4] for row in answered(windows, 500)] == ["1.0", "4.0"]


def test_a_window_without_any_candle_at_the_exchange_has_no_row() -> None:
    state = state_with(1, 2, 3)
    state.absent.add(at(1))
    del state.rows[at(1)]
    windows = series(1)
    assert windows.extend(state)
    assert [row[0] for row in answered(windows, 500)] == [at(0), at(2)]


@pytest.mark.parametrize("length", [2, 4])
def test_a_window_over_an_impossible_row_has_no_row_but_the_next_ones_do(length: int) -> None:
    state = state_with(1, 2, 3, 4, 5, 6, 7, 8)
    del state.rows[at(1)]
    state.absent.add(at(1))
    state.invalid.add(at(1))
    windows = series(length)
    assert windows.extend(state)
    assert [row[0] for row in answered(windows, 500)] == [at(n) for n in range(length, 8, length)]
    state.rows[at(1)] = candle(1, 2)
    state.invalid.clear()
    windows.rewind(at(1))
    assert windows.extend(state)
    assert [row[0] for row in answered(windows, 500)] == [at(n) for n in range(0, 8, length)]


def test_a_week_over_an_impossible_row_has_no_row() -> None:
    a_week, a_day = WEEK_MS // BASE_MS, DAY_MS // BASE_MS
    state = PairState("BTCUSDT", "BTC/USDT:USDT", at(a_week))
    state.invalid.add(at(3))
    days = Series(Grid("1d", DAY_MS), DIGITS, MONDAY_MS, at(a_week))
    days.append([(at(n * a_day), candle(n * a_day)) for n in range(1, 7)], at(a_week))
    weeks = Series(Grid("1w", WEEK_MS), DIGITS, MONDAY_MS, MONDAY_MS, days=days)
    assert weeks.extend(state)
    assert (weeks.until_ms, weeks.rows) == (at(a_week), [])


def test_the_newest_rows_include_the_forming_one() -> None:
    state = state_with(1, 2, 3)
    state.open = frame(3, 9)
    windows = series(1)
    windows.extend(state)
    forming = windows.forming(state, at(3) + 5)
    assert [row[4] for row in answered(windows, 2, forming)] == ["3.0", "9.0"]
    assert [row[4] for row in answered(windows, 1, forming)] == ["9.0"]
    assert [row[4] for row in answered(windows, 500, forming)] == ["1.0", "2.0", "3.0", "9.0"]
    assert [row[4] for row in answered(windows, 2)] == ["2.0", "3.0"]


def test_no_forming_row_is_served_until_the_previous_candle_is_final() -> None:
    state = state_with(1, 2)
    state.ended, state.open = frame(2, 7), frame(3, 9)
    windows = series(1)
    windows.extend(state)
    assert windows.forming(state, at(3) + 5) is None


def test_a_longer_window_forms_from_final_candles_and_frames() -> None:
    state = state_with(1, 2, 3, 8)
    state.ended, state.open = frame(4, 2), frame(5, 5)
    windows = series(10)
    windows.extend(state)
    row = json.loads(windows.forming(state, at(5) + 5) or b"")
    assert (row[0], row[1:5], row[8]) == (at(0), ["1.0", "8.0", "1.0", "5.0"], 6)


def test_a_candle_without_a_trade_yet_has_the_last_close_unless_the_pair_is_silent() -> None:
    state = state_with(1, 4)
    state.event_ms = at(2) + 100
    windows = series(1)
    windows.extend(state)
    row = json.loads(windows.forming(state, at(2) + 200) or b"")
    assert (row[1:6], row[8]) == (["4.0", "4.0", "4.0", "4.0", "0"], 0)
    assert windows.forming(state, at(2) + 101 + ALIVE_MS) is None, "nothing is made up"


def test_a_correction_rebuilds_its_window_and_all_after_it() -> None:
    state = state_with(1, 2, 3, 4, 5, 6)
    windows = series(2)
    windows.extend(state)
    assert [row[2] for row in answered(windows, 9)] == ["2.0", "4.0", "6.0"]
    state.rows[at(3)] = candle(3, 7)
    windows.rewind(at(3))
    assert windows.extend(state)
    assert [row[2] for row in answered(windows, 9)] == ["2.0", "7.0", "6.0"]


def test_a_week_is_built_from_days() -> None:
    state = state_with(*[5] * 960)
    state.open = frame(960, 9)
    days = Series(Grid("1d", DAY_MS), DIGITS, MONDAY_MS, MONDAY_MS)
    weeks = Series(Grid("1w", WEEK_MS), DIGITS, MONDAY_MS, MONDAY_MS, days=days)
    assert weeks.extend(state)
    assert answered(weeks, 9) == []
    assert days.extend(state)
    row = json.loads(weeks.forming(state, at(960) + 1) or b"")
    assert (row[0], row[2], row[8]) == (MONDAY_MS, "9.0", 961)
