"""Longer windows out of 3m candles, and stored floats as text: exact to the last digit."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rows import Values
from gateway.windows import Digits, Grid, merge, stored, total
from marketdata.timeframes import BASE_MS, DAY_MS, WEEK_MS

decimals = st.decimals(min_value=0, max_value=10**9, places=3, allow_nan=False).map(lambda value: f"{value:f}")


def candle(number: int, *, trades: int = 1, **columns: Any) -> Values:
    """A 3m candle, the `number`th of the epoch."""
    open_ms = number * BASE_MS
    base = Values(open_ms, "5.0", "5.0", "5.0", "5.0", "0.00", open_ms + BASE_MS - 1, "0.000", trades, "0.00", "0.000")
    return base._replace(**columns)


@given(st.lists(decimals, min_size=1, max_size=30))
def test_a_sum_is_exact_and_keeps_its_decimals(texts: list[str]) -> None:
    assert total(texts) == f"{sum(map(Decimal, texts)):.3f}"


def test_a_sum_of_different_decimals_has_the_most_of_them() -> None:
    assert total(["1.5", "0.025", "2"]) == "3.525"
    assert total(["7", "12"]) == "19"


def test_a_window_is_what_its_trades_make() -> None:
    first = candle(0, open="5.1", high="9.9", low="5.0", close="6.0", volume="1.25", quote_volume="6.375")
    last = candle(1, open="6.0", high="10.1", low="4.9", close="7.0", volume="0.75", quote_volume="5.000", trades=4)
    merged = merge([first, last], 0, 2 * BASE_MS)
    assert merged[:6] == (0, "5.1", "10.1", "4.9", "7.0", "2.00")
    assert (merged.close_time_ms, merged.quote_volume, merged.trades) == (2 * BASE_MS - 1, "11.375", 5)


def test_candles_without_trades_give_a_window_no_open_high_or_low() -> None:
    quiet = candle(0, trades=0, open="9.0", high="9.0", low="9.0", close="9.0")
    traded = candle(1, open="5.0", high="6.0", low="4.0", close="5.5")
    assert merge([quiet, traded], 0, 2 * BASE_MS)[1:5] == ("5.0", "6.0", "4.0", "5.5")
    late = candle(2, trades=0, open="5.5", high="5.5", low="5.5", close="5.5")
    assert merge([quiet, traded, late], 0, 3 * BASE_MS)[1:5] == ("5.0", "6.0", "4.0", "5.5")
    assert merge([quiet, quiet], 0, 2 * BASE_MS)[1:5] == ("9.0", "9.0", "9.0", "9.0")


@given(st.integers(1, 10**10), st.integers(0, 8), st.integers(0, 5))
def test_a_stored_price_comes_out_as_it_went_in(units: int, price: int, base: int) -> None:
    text = f"{Decimal(units).scaleb(-price):f}"
    number = float(text)
    values = stored(0, BASE_MS, [number, number, number, number, 1.0, 1.0, 1.0, 1.0, 7], Digits(price, base))
    assert values is not None
    assert values.close == text


def test_a_stored_candle_without_trades_has_its_close_as_every_price() -> None:
    values = stored(0, BASE_MS, [None, None, None, 1.5, 0.0, 0.0, 0.0, 0.0, 0], Digits(2, 1))
    assert values == Values(0, "1.50", "1.50", "1.50", "1.50", "0.0", BASE_MS - 1, "0.000", 0, "0.0", "0.000")


@pytest.mark.parametrize("missing", [0, 3, 4, 5, 8])
def test_a_stored_candle_that_is_not_whole_is_none(missing: int) -> None:
    fields: list[float | str | None] = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2]
    fields[missing] = None
    assert stored(0, BASE_MS, fields, Digits(2, 1)) is None


def test_weeks_begin_on_monday_and_all_else_at_the_epoch() -> None:
    week, day = Grid("1w", WEEK_MS), Grid("1d", DAY_MS)
    monday_ms = 1_791_158_400_000  # 2026-10-05
    assert week.open_of(monday_ms) == week.open_of(monday_ms + WEEK_MS - 1) == monday_ms
    assert week.first_from(monday_ms) == monday_ms
    assert week.first_from(monday_ms + 1) == monday_ms + WEEK_MS
    assert day.open_of(DAY_MS + 5) == DAY_MS
