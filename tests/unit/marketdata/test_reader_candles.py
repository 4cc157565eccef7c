"""Rolling up candles, compared with a straightforward implementation of the rule, and the returned frames."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata.candles import dates, frame, hole_frame, no_rows, roll_up, rows_of

STEP = 180_000
prices = st.floats(0.001, 1e6)
traded = st.tuples(prices, prices, prices, prices, st.floats(0.001, 1e6)).map(
    lambda drawn: [drawn[0], max(drawn[:4]), min(drawn[:4]), drawn[1], drawn[4]]
)
untraded = prices.map(lambda close: [None, None, None, close, 0.0])


@st.composite
def series(draw: st.DrawFn) -> list[list[float | None]]:
    """3m candles in order, some missing, some without trades."""
    first = draw(st.integers(9_000_000, 9_000_040))
    slots = draw(st.lists(st.none() | traded | traded | traded | untraded, max_size=60))
    return [[float((first + index) * STEP), *slot] for index, slot in enumerate(slots) if slot is not None]


def plainly(candles: list[list[float | None]], window: int, offset: int) -> list[list[float | None]]:
    groups: dict[float, list[list[float | None]]] = {}
    for candle in candles:
        assert candle[0] is not None
        groups.setdefault(candle[0] - (candle[0] - offset) % window, []).append(candle)
    rolled: list[list[float | None]] = []
    for time, group in groups.items():
        if len(group) != window // STEP:
            continue
        firsts, highs, lows = ([candle[column] for candle in group if candle[1] is not None] for column in (1, 2, 3))
        high = max((value for value in highs if value is not None), default=None)
        low = min((value for value in lows if value is not None), default=None)
        volume = sum(candle[5] or 0.0 for candle in group)
        rolled.append([time, firsts[0] if firsts else None, high, low, group[-1][4], volume])
    return rolled


@given(series(), st.sampled_from([1, 2, 5, 7, 20]), st.sampled_from([0, -STEP, 4 * STEP]))
def test_a_window_is_rolled_up_from_all_of_its_candles_or_absent(
    candles: list[list[float | None]], count: int, offset: int
) -> None:
    rolled = roll_up(rows_of(candles), STEP, count * STEP, offset)
    expected = rows_of(plainly(candles, count * STEP, offset))
    np.testing.assert_array_equal(rolled[:, :5], expected[:, :5])
    np.testing.assert_allclose(rolled[:, 5], expected[:, 5], rtol=1e-12)


@given(series())
def test_rolling_up_in_two_stages_equals_rolling_up_in_one(candles: list[list[float | None]]) -> None:
    rows = rows_of(candles)
    two = roll_up(roll_up(rows, STEP, 5 * STEP), 5 * STEP, 20 * STEP)
    one = roll_up(rows, STEP, 20 * STEP)
    np.testing.assert_array_equal(two[:, :5], one[:, :5])
    np.testing.assert_allclose(two[:, 5], one[:, 5], rtol=1e-12)


def test_an_incomplete_row_is_not_a_candle() -> None:
    good, quiet = [0.0, 1, 2, 1, 2, 5], [1.0, None, None, None, 2, 0]
    broken = [[2.0, 1, 2, 1, None, 5], [3.0, 1, 2, 1, 2, None], [4.0, None, 2, 1, 2, 5], [5.0, 1, None, None, 2, 5]]
    assert rows_of([good, quiet, *broken])[:, 0].tolist() == [0.0, 1.0]


def test_a_candle_without_trades_has_its_close_as_all_prices() -> None:
    rows = rows_of([[0.0, 1, 3, 1, 2, 5], [180_000.0, None, None, None, 2, 0]])
    assert frame(rows).iloc[1].drop("date").tolist() == [2.0, 2.0, 2.0, 2.0, 0.0]
    assert np.isnan(rows[1, 1]), "the rows themselves stay as they are"


@pytest.mark.parametrize("rows", [no_rows(), rows_of([[1_700_000_100_000.0, 1, 3, 1, 2, 5]])])
def test_a_frame_has_the_same_columns_and_types_with_and_without_rows(rows: np.ndarray) -> None:
    types = frame(rows).dtypes.astype(str).to_dict()
    assert list(types) == ["date", "open", "high", "low", "close", "volume"]
    assert types.pop("date") == str(pd.date_range("2026-01-01", periods=1, tz="UTC").dtype)
    assert set(types.values()) == {"float64"}


CONSTRUCTED = {
    "date_range": pd.date_range("2023-11-14 22:14", periods=3, freq="3min", tz="UTC"),
    "to_datetime of texts": pd.to_datetime(["2023-11-14 22:14", "2023-11-14 22:17", "2023-11-14 22:20"], utc=True),
    "datetimes": pd.DatetimeIndex([datetime(2023, 11, 14, 22, minute, tzinfo=UTC) for minute in (14, 17, 20)]),
}


@pytest.mark.parametrize("constructed", CONSTRUCTED.values(), ids=CONSTRUCTED)
def test_frames_join_with_frames_constructed_by_pandas_in_both_directions(constructed: pd.DatetimeIndex) -> None:
    times = np.array([1_700_000_100_000, 1_700_000_280_000], dtype=np.int64)  # 22:15 and 22:18
    ours = pd.DataFrame({"date": dates(times), "close": [1.0, 2.0]})
    theirs = pd.DataFrame({"date": constructed, "number": [0, 1, 2]})
    assert pd.merge_asof(ours, theirs, on="date")["number"].tolist() == [0, 1]
    assert pd.merge_asof(theirs, ours, on="date")["close"].fillna(0).tolist() == [0, 1, 2]
    none = pd.DataFrame({"date": dates(times[:0]), "close": np.array([], dtype=np.float64)})
    assert pd.merge_asof(theirs, none, on="date")["close"].isna().all()


def test_dates_are_exact_to_the_millisecond() -> None:
    times = [1_546_300_800_000, 1_772_000_000_003, 4_102_444_799_999]
    assert [round(date.timestamp() * 1000) for date in dates(np.array(times, dtype=np.int64))] == times


def slots(numbers: set[int]) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    return np.array(sorted(numbers), dtype=np.int64) * STEP


@given(st.sets(st.integers(0, 200)), st.sets(st.integers(0, 200)))
def test_holes_are_exactly_the_missing_slots(present: set[int], absent: set[int]) -> None:
    holes = hole_frame(slots(present), slots(absent))
    starts = [time // STEP for time in holes["start"].dt.as_unit("ms").astype("int64")]
    runs = zip(starts, holes["candles"], strict=True)
    named = {slot for start, count in runs for slot in range(start, start + count)}
    everything = set(range(min(present), max(present))) if present else set()
    assert named == everything - present
    assert holes["exchange_holes"].sum() == len((everything & absent) - present)
    assert (holes["end"] - holes["start"] == holes["candles"] * pd.Timedelta(minutes=3)).all()
