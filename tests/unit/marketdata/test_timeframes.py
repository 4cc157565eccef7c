"""Timeframes and windows."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata.timeframes import TIMEFRAME_MS, InvalidTimeframe, timeframe_ms, window_open_ms

times_ms = st.integers(1_546_300_800_000, 4_102_444_800_000)
multiples_of_3m = st.integers(1, 480).map(lambda count: f"{3 * count}m")


@given(multiples_of_3m)
def test_every_multiple_of_3m_up_to_a_day_is_served(timeframe: str) -> None:
    assert timeframe_ms(timeframe) == int(timeframe[:-1]) * 60_000


@pytest.mark.parametrize(("timeframe", "minutes"), [("6m", 6), ("1h", 60), ("5h", 300), ("24h", 1440), ("1w", 10080)])
def test_a_timeframe_is_a_number_and_a_unit(timeframe: str, minutes: int) -> None:
    assert timeframe_ms(timeframe) == minutes * 60_000


@pytest.mark.parametrize(
    "timeframe",
    [
        "1M",
        "1m",
        "5m",
        "10m",
        "1443m",
        "25h",
        "2d",
        "7d",
        "2w",
        "0m",
        "-3m",
        "03m",
        "3",
        "m",
        "",
        "3 m",
        "3m\n",
        "١٥m",
        "1y",
    ],
)
def test_a_timeframe_that_cannot_be_built_from_3m_candles_is_refused_and_named(timeframe: str) -> None:
    with pytest.raises(InvalidTimeframe) as refused:
        timeframe_ms(timeframe)
    assert repr(timeframe) in str(refused.value)


@given(times_ms, st.sampled_from(sorted(TIMEFRAME_MS)) | multiples_of_3m)
def test_a_window_contains_its_time_and_the_next_one_starts_at_its_end(time_ms: int, timeframe: str) -> None:
    open_ms, length_ms = window_open_ms(time_ms, timeframe), timeframe_ms(timeframe)
    assert open_ms <= time_ms < open_ms + length_ms
    assert window_open_ms(open_ms, timeframe) == open_ms
    assert window_open_ms(open_ms - 1, timeframe) == open_ms - length_ms


@given(times_ms)
def test_a_week_starts_on_monday_and_a_day_at_midnight_utc(time_ms: int) -> None:
    week = datetime.fromtimestamp(window_open_ms(time_ms, "1w") / 1000, UTC)
    day = datetime.fromtimestamp(window_open_ms(time_ms, "1d") / 1000, UTC)
    assert week.isoweekday() == 1
    assert week.time() == day.time() == datetime.min.time()
