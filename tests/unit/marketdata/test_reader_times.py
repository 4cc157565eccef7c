"""Times as passed by callers: which millisecond is meant, and what is refused."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata.errors import InvalidRequest
from marketdata.reader import AsyncMarketData, MarketData, Store
from marketdata.times import PLAUSIBLE_FROM_MS, PLAUSIBLE_UNTIL_MS, time_ms, whole

MIDNIGHT = 1_767_225_600_000  # 2026-01-01
PAIR = "BTC/USDT:USDT"

NUMBERS: list[Callable[[int], Any]] = [
    int, float, Decimal, Fraction, np.int64, np.uint64, np.float64, np.longdouble,
    lambda ms: np.array([ms])[0], lambda ms: pd.Series([ms]).iloc[0], lambda ms: Decimal(f"{ms}.000"),
]  # fmt: skip


@given(st.integers(PLAUSIBLE_FROM_MS, PLAUSIBLE_UNTIL_MS - 1))
def test_any_integral_number_is_milliseconds(ms: int) -> None:
    for number in NUMBERS:
        found = time_ms(number(ms))
        assert (found, type(found)) == (ms, int)


@pytest.mark.parametrize(
    "value",
    [
        True,
        False,
        np.True_,
        MIDNIGHT + 0.5,
        np.float64(MIDNIGHT + 0.5),
        Decimal("1767225600000.001"),
        float("nan"),
        np.nan,
        Decimal("NaN"),
        Decimal("sNaN"),
        float("inf"),
        complex(MIDNIGHT),
        np.float32(MIDNIGHT),
        np.timedelta64(MIDNIGHT, "ms"),
        0,
        -MIDNIGHT,
        20260101,
        MIDNIGHT // 1000,
        MIDNIGHT / 1000,
        np.int32(MIDNIGHT // 1000),
        MIDNIGHT * 1000,
        MIDNIGHT * 1_000_000,
        PLAUSIBLE_FROM_MS - 1,
        PLAUSIBLE_UNTIL_MS,
        10**30,
        pd.Timestamp(MIDNIGHT),
        np.datetime64(MIDNIGHT, "ns"),
        datetime.fromtimestamp(MIDNIGHT // 1_000_000, UTC),
        "1767225600000",
        "1767225600",
        "1970-01-01",
    ],
    ids=repr,
)
def test_a_value_that_is_not_a_time_in_milliseconds_is_refused_with_the_unit(value: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"\bms\b"):
        time_ms(value)


@pytest.mark.parametrize(
    "value",
    [
        datetime(2026, 1, 1),  # noqa: DTZ001 - without a zone it is UTC
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 1, 5, 30, tzinfo=timezone(timedelta(hours=5, minutes=30))),
        date(2026, 1, 1),
        pd.Timestamp("2026-01-01"),
        pd.Timestamp("2025-12-31 19:00", tz="America/New_York"),
        pd.Timestamp(MIDNIGHT, unit="ms"),
        np.datetime64("2026-01-01"),
        np.datetime64(MIDNIGHT * 1_000_000, "ns"),
        "2026",
        "2026-01",
        "2026-01-01",
        "20260101",
        "2026/01/01",
        " 2026-1-1 0:00 ",
        "2026-01-01 00:00",
        "2026-01-01T00:00:00.000Z",
        "20260101T0000",
        "2026-01-01 00:00 UTC",
        "2026-01-01 02:00+02:00",
        "2025-12-31T19:00 -0500",
        np.str_("2026-01-01"),
    ],
    ids=repr,
)
def test_datetimes_and_strings_are_utc_unless_they_have_a_zone(value: Any) -> None:
    assert time_ms(value) == MIDNIGHT


@pytest.mark.parametrize(
    "value",
    [
        *("now", "today", "12:00", "yesterweek", "", "NaT", "01/02/2026", "Jan 1 2026", "2026-01-01 00:00 EST"),
        *("2026-01-01 00:00 Europe/Berlin", "2026-13-01", "2026-01-01 25:00", "2026Q1", "٢٠٢٦-01-01"),
        *(None, pd.NaT, pd.NA, b"2026-01-01", [MIDNIGHT], pd.Series([MIDNIGHT]), np.array(MIDNIGHT), ...),
    ],
    ids=repr,
)
def test_ambiguous_and_invalid_times_are_refused(value: Any) -> None:
    with pytest.raises(InvalidRequest, match="start"):
        time_ms(value, "start")


@pytest.mark.parametrize("value", [True, 0.5, float("nan"), "500", None, np.timedelta64(5, "ms")], ids=repr)
def test_a_limit_must_be_a_whole_number(value: Any) -> None:
    assert whole(value) is None


CALLS: dict[str, Callable[[MarketData, Any], Any]] = {
    "get_ohlcv start": lambda market, time: market.get_ohlcv(PAIR, "1h", start=time),
    "get_ohlcv end": lambda market, time: market.get_ohlcv(PAIR, "1h", start=MIDNIGHT, end=time),
    "get_ohlcv_many start": lambda market, time: market.get_ohlcv_many([PAIR], "1h", start=time),
    "get_ohlcv_many end": lambda market, time: market.get_ohlcv_many([PAIR], "1h", start=MIDNIGHT, end=time),
    "gaps start": lambda market, time: market.gaps(PAIR, start=time),
    "gaps end": lambda market, time: market.gaps(PAIR, start=MIDNIGHT, end=time),
    "get_funding_history start": lambda market, time: market.get_funding_history(PAIR, time),
    "get_funding_history end": lambda market, time: market.get_funding_history(PAIR, MIDNIGHT, time),
    "get_ohlcv limit": lambda market, limit: market.get_ohlcv(PAIR, "1h", limit=limit),
    "get_ohlcv_many limit": lambda market, limit: market.get_ohlcv_many([PAIR], "1h", limit=limit),
}
NOWHERE = Store("http://127.0.0.1:1", token="any")


@pytest.mark.parametrize("value", [True, float("nan"), MIDNIGHT / 1000 + 0.5, MIDNIGHT // 1000], ids=repr)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_no_method_of_either_client_accepts_an_invalid_number(
    call: Callable[[Any, Any], Any], value: Any
) -> None:
    with MarketData(NOWHERE) as market, pytest.raises(InvalidRequest):
        call(market, value)
    async with AsyncMarketData(NOWHERE) as asynchronous:
        with pytest.raises(InvalidRequest):
            await call(asynchronous, value)


def test_a_clock_in_seconds_is_refused() -> None:
    with MarketData(NOWHERE, clock_ms=lambda: MIDNIGHT // 1000) as market:
        for call in (
            lambda: market.get_ohlcv(PAIR, "1h", limit=1),
            lambda: market.get_funding_rate(PAIR),
            lambda: market.get_all_pairs_funding_rates(),
            lambda: market.get_mark_price(PAIR),
        ):
            with pytest.raises(InvalidRequest, match=r"clock_ms.*\bms\b"):
                call()
