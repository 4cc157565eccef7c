"""The four roll-up scripts differ only in their windows, and can run at any time."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from influx.scripts import overlap_ms, script_at, task_names, task_script
from marketdata.timeframes import timeframe_ms

HOUR_MS = 3_600_000
OVERLAP_HOURS = {"15m": 4, "1h": 12, "4h": 48, "1d": 72}  # docs/design.md 4.2


def test_there_is_a_task_for_each_rolled_up_timeframe() -> None:
    assert task_names() == [f"ohlcv_{timeframe}" for timeframe in OVERLAP_HOURS]


@pytest.mark.parametrize(("timeframe", "hours"), OVERLAP_HOURS.items())
def test_a_script_has_the_right_window_overlap_and_number_of_candles(timeframe: str, hours: int) -> None:
    script = task_script(timeframe)
    assert f"\nwindow = {timeframe}\n" in script
    assert f"\ncandlesPerWindow = {timeframe_ms(timeframe) // timeframe_ms('3m')}\n" in script
    assert overlap_ms(timeframe) == hours * HOUR_MS
    assert overlap_ms(timeframe) % timeframe_ms(timeframe) == 0


@pytest.mark.parametrize("timeframe", OVERLAP_HOURS)
def test_every_task_runs_each_quarter_of_an_hour_after_the_close_deadline(timeframe: str) -> None:
    option = f'option task = {{name: "ohlcv_{timeframe}", every: 15m, offset: 40s, concurrency: 1}}'
    assert option in task_script(timeframe).splitlines()


def test_the_scripts_differ_only_in_their_name_and_three_numbers() -> None:
    def without_parameters(timeframe: str) -> str:
        script = re.sub(rf"\b(ohlcv_)?{timeframe}\b(?= candles|\")", "NAME", task_script(timeframe))
        return re.sub(r"^(window|overlap|candlesPerWindow) = .*$", r"\1 = VALUE", script, flags=re.MULTILINE)

    assert len({without_parameters(timeframe) for timeframe in OVERLAP_HOURS}) == 1


@pytest.mark.parametrize("timeframe", ["3m", "1w", "", "../ohlcv_1h"])
def test_a_timeframe_without_a_task_is_refused_with_a_list_of_those_that_have_one(timeframe: str) -> None:
    with pytest.raises(ValueError, match="allowed: 15m, 1h, 4h, 1d"):
        task_script(timeframe)


@given(st.integers(min_value=1_546_300_800_000, max_value=4_102_444_800_000), st.sampled_from(sorted(OVERLAP_HOURS)))
def test_now_is_set_after_the_imports_and_the_rest_stays(now_ms: int, timeframe: str) -> None:
    script = task_script(timeframe)
    lines = script_at(script, now_ms).splitlines()
    place = next(index for index, line in enumerate(lines) if line.startswith("option now = "))
    assert [line for line in lines[place:] if line.startswith("import ")] == []
    assert [line for line in lines[:place] if line and not line.startswith(("//", "import "))] == []
    del lines[place - 1 : place + 1]  # including the empty line before it
    assert lines == script.splitlines()


def test_now_is_written_in_utc_to_the_millisecond() -> None:
    assert "\noption now = () => 2025-10-09T00:14:59.999Z\n" in script_at(task_script("15m"), 1_759_968_899_999)
