"""Frames to events: ours become events with the exchange's own text, others get a reason, and nothing raises."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.binance.frames import candle_from_frame, mark_price_from_frame
from exchange.events import Invalid

FRAMES = Path(__file__).parent.parent.parent / "data" / "binance_usdm_2026-10" / "ws"
PAIRS = {"BTCUSDT": "BTC/USDT:USDT"}


def recorded(name: str) -> Mapping[str, Any]:
    frame: Mapping[str, Any] = json.loads((FRAMES / f"{name}.json").read_text(encoding="utf-8"))["data"]
    return frame


def kline(**changes: object) -> dict[str, Any]:
    data = json.loads(json.dumps(recorded("stream_btcusdt_kline_1m")))
    data["k"]["i"] = "3m"
    data["k"].update({key: value for key, value in changes.items() if key in data["k"]})
    data.update({key: value for key, value in changes.items() if key not in data["k"]})
    result: dict[str, Any] = data
    return result


def test_a_kline_frame_becomes_a_candle_with_the_exchanges_text() -> None:
    candle = candle_from_frame(kline(), PAIRS)
    assert candle.pair == "BTC/USDT:USDT"
    assert candle.open_time_ms == 1791383640000
    assert (candle.values.open, candle.values.high) == ("83070.80", "83143.00")
    assert (candle.values.low, candle.values.close) == ("83070.70", "83142.90")
    assert (candle.values.volume, candle.values.quote_volume) == ("86.568", "7193689.13750")
    assert (candle.values.taker_buy_volume, candle.values.taker_buy_quote_volume) == ("55.410", "4604044.96780")
    assert (candle.values.trades, candle.final, candle.origin) == (2723, False, "stream")


def test_a_mark_price_frame_becomes_an_event_and_the_settle_price_is_never_taken_for_a_rate() -> None:
    event = mark_price_from_frame(recorded("stream_btcusdt_markPrice_1s"), PAIRS)
    assert (event.mark, event.index, event.rate) == ("83134.61729710", "83165.64673913", "0.00000253")
    assert event.next_funding_time_ms == 1791388800000
    assert (event.estimated_settle, event.average_mark) == ("83143.84436135", "83134.61729710")


def test_a_mark_price_frame_may_lack_fields_that_are_only_passed_on_but_not_have_numbers_in_them() -> None:
    frame = {**recorded("stream_btcusdt_markPrice_1s")}
    del frame["P"], frame["ap"]
    event = mark_price_from_frame(frame, PAIRS)
    assert (event.estimated_settle, event.average_mark) == (None, None)
    with pytest.raises(Invalid, match="malformed"):
        mark_price_from_frame({**frame, "P": 83143.8}, PAIRS)


def test_a_coin_margined_row_is_distinguished() -> None:
    rows = json.loads((FRAMES / "stream_all_markPrice_arr_1s.json").read_text(encoding="utf-8"))["data"]
    with pytest.raises(Invalid, match="not_usd_margined"):
        mark_price_from_frame(rows[1], PAIRS)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"s": "ETHUSDT"}, "unknown_symbol"),
        ({"i": "1m"}, "wrong_interval"),
        ({"o": 83070.8}, "malformed"),
        ({"n": "2723"}, "malformed"),
        ({"x": 1}, "malformed"),
        ({"t": None}, "malformed"),
        ({"k": []}, "malformed"),
    ],
)
def test_a_frame_that_is_not_ours_is_invalid_for_a_reason(changes: dict[str, Any], reason: str) -> None:
    data = kline(**changes)
    if "s" in changes:
        data["s"] = changes["s"]
    with pytest.raises(Invalid) as verdict:
        candle_from_frame(data, PAIRS)
    assert verdict.value.reason == reason


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.sampled_from("eEskpPirTtonx"), children),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(("e", "E", "s", "k", "p", "i", "r", "T", "P", "ap", "st")), JSON))
def test_for_any_json_object_it_raises_nothing_but_a_verdict(data: dict[str, Any]) -> None:
    for build in (candle_from_frame, mark_price_from_frame):
        with suppress(Invalid):
            build(data, PAIRS)
