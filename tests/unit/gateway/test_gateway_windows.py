"""Longer windows from 3m candles, and stored floats as text: exact to the last digit."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.memory.rows import Values
from gateway.memory.texts import decimals, summed
from gateway.memory.windows import Digits, Grid, merge, stored, total
from marketdata.timeframes import BASE_MS, DAY_MS, WEEK_MS

amounts = st.decimals(min_value=0, max_value=10**9, places=3, allow_nan=False).map(lambda value: f"{value:f}")


def candle(number: int, *, trades: int = 1, **columns: Any) -> Values:
    """The 3m candle with this number since the epoch."""
    open_ms = number * BASE_MS
    base = Values(open_ms, "5.0", "5.0", "5.0", "5.0", "0.00", open_ms + BASE_MS - 1, "0.000", trades, "0.00", "0.000")
    return base._replace(**columns)


@given(st.lists(amounts, min_size=1, max_size=30))
def test_a_sum_is_exact_and_keeps_its_decimals(texts: list[str]) -> None:
    assert total(texts) == f"{sum(map(Decimal, texts)):.3f}"


def test_a_sum_of_different_decimals_has_the_most_of_them() -> None:
    assert total(["1.5", "0.025", "2"]) == "3.525"
    assert total(["7", "12"]) == "19"


def test_a_window_is_what_its_trades_add_up_to() -> None:
    first = candle(0, open="5.1", high="9.9", low="5.0", close="6.0", volume="1.25", quote_volume="6.375")
    last = candle(1, open="6.0", high="10.1", low="4.9", close="7.0", volume="0.75", quote_volume="5.000", trades=4)
    merged = merge([first, last], 0, 2 * BASE_MS)
    assert merged[:6] == (0, "5.1", "10.1", "4.9", "7.0", "2.00")
    assert (merged.close_time_ms, merged.quote_volume, merged.trades) == (2 * BASE_MS - 1, "11.375", 5)


def test_candles_without_trades_do_not_affect_a_windows_open_high_or_low() -> None:
    quiet = candle(0, trades=0, open="9.0", high="9.0", low="9.0", close="9.0")
    traded = candle(1, open="5.0", high="6.0", low="4.0", close="5.5")
    assert merge([quiet, traded], 0, 2 * BASE_MS)[1:5] == ("5.0", "6.0", "4.0", "5.5")
    late = candle(2, trades=0, open="5.5", high="5.5", low="5.5", close="5.5")
    assert merge([quiet, traded, late], 0, 3 * BASE_MS)[1:5] == ("5.0", "6.0", "4.0", "5.5")
    assert merge([quiet, quiet], 0, 2 * BASE_MS)[1:5] == ("9.0", "9.0", "9.0", "9.0")


@given(st.integers(1, 10**10), st.integers(0, 8), st.integers(0, 5))
def test_a_stored_price_comes_out_unchanged(units: int, price: int, base: int) -> None:
    text = f"{Decimal(units).scaleb(-price):f}"
    number = float(text)
    values = stored(0, BASE_MS, [number, number, number, number, 1.0, 1.0, 1.0, 1.0, 7], Digits(price, base))
    assert values is not None
    assert values.close == text


def written(number: Decimal, least: int) -> str:
    """A decimal with `least` decimals, or with as many as it has."""
    return f"{number:.{max(least, -int(number.normalize().as_tuple().exponent))}f}"


@given(st.integers(0, 10**14), st.integers(0, 8), st.integers(0, 8))
def test_a_stored_number_has_the_symbols_decimals_and_never_fewer_than_are_stored(
    units: int, digits: int, least: int
) -> None:
    number = Decimal(units).scaleb(-digits)
    assert decimals(float(number), least) == written(number, least)


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=480), st.integers(0, 5), st.integers(0, 5))
def test_a_sum_of_stored_numbers_has_their_decimals_and_no_rounding_errors(
    units: list[int], digits: int, least: int
) -> None:
    numbers = [Decimal(number).scaleb(-digits) for number in units]
    added = 0.0
    for number in numbers:
        added += float(number)
    assert summed(added, least, len(numbers)) == written(sum(numbers, Decimal(0)), least)


def test_rounding_errors_of_doubles_are_not_written() -> None:
    assert summed(0.1 + 0.2, 1, 2) == "0.3"
    assert decimals(0.1 + 0.2, 1) == "0.30000000000000004"


@pytest.mark.parametrize("today", [Digits(6, 3), Digits(4, 0), Digits(2, 2), Digits(0, 0), Digits(8, 5)])
def test_a_candle_from_before_a_change_of_precision_keeps_its_decimals(today: Digits) -> None:
    fields = [0.123456, 0.123458, 0.123451, 0.123457, 1204.125, 148.660987125, 600.5, 74.1234567, 9.0]
    for candles in (0, 20, None):
        values = stored(0, 20 * BASE_MS, fields, today, candles)
        assert values is not None
        texts = [*values[1:6], values.quote_volume, values.taker_buy_volume, values.taker_buy_quote_volume]
        assert [Decimal(text) for text in texts] == [Decimal(str(field)) for field in fields[:8]]
        leasts = [*[today.price] * 4, today.base, today.quote, today.base, today.quote]
        assert [len(text.partition(".")[2]) >= least for text, least in zip(texts, leasts, strict=True)] == [True] * 8


def test_an_exchanges_own_window_keeps_every_digit_that_a_sum_of_doubles_would_lose() -> None:
    fields = [1.0, 1.0, 1.0, 1.0, 123456789.123456, 1.0, 1.0, 1.0, 9.0]
    own, rolled = (stored(0, DAY_MS, fields, Digits(2, 3), candles) for candles in (0, 480))
    assert own is not None
    assert rolled is not None
    assert own.volume == "123456789.123456"
    assert abs(Decimal(rolled.volume) - Decimal(own.volume)) < Decimal("0.00002")


def test_a_stored_candle_without_trades_has_its_close_as_every_price() -> None:
    values = stored(0, BASE_MS, [None, None, None, 1.5, 0.0, 0.0, 0.0, 0.0, 0], Digits(2, 1))
    assert values == Values(0, "1.50", "1.50", "1.50", "1.50", "0.0", BASE_MS - 1, "0.000", 0, "0.0", "0.000")


@pytest.mark.parametrize("missing", [0, 3, 4, 5, 8])
def test_an_incomplete_stored_candle_is_none(missing: int) -> None:
    fields: list[float | str | None] = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2]
    fields[missing] = None
    assert stored(0, BASE_MS, fields, Digits(2, 1)) is None


def test_weeks_begin_on_monday_and_everything_else_at_the_epoch() -> None:
    week, day = Grid("1w", WEEK_MS), Grid("1d", DAY_MS)
    monday_ms = 1_791_158_400_000  # 2026-10-05
    assert week.open_of(monday_ms) == week.open_of(monday_ms + WEEK_MS - 1) == monday_ms
    assert week.first_from(monday_ms) == monday_ms
    assert week.first_from(monday_ms + 1) == monday_ms + WEEK_MS
    assert day.open_of(DAY_MS + 5) == DAY_MS
