"""How `gateway compare` judges two responses, and which files of pairs it accepts."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.commands.compare import PairsFileError, read_pairs, table
from gateway.commands.shadow import Tally, candles, near, same_number, settlements

STEP = 180_000
NOW_MS = 1_791_383_900_000
FIRST_MS = NOW_MS // STEP * STEP - 5 * STEP


def row(index: int, close: str = "1.00", volume: str = "5.0") -> list[Any]:
    opened = FIRST_MS + index * STEP
    return [opened, "1.00", "1.00", "1.00", close, volume, opened + STEP - 1, "5.00", 3, "1.0", "1.00", "0"]


def compared(ours: list[list[Any]], theirs: list[list[Any]]) -> Tally:
    tally = Tally()
    tally.compare("BTCUSDT", *candles(ours, theirs, NOW_MS), same_number)
    return tally


def test_equal_candles_are_equal_and_the_forming_one_is_left_out() -> None:
    tally = compared([row(0), row(1), row(5, "9.00")], [row(0), row(1), row(5, "8.00")])
    assert (tally.rows, tally.equal, tally.right) == (2, 2, True)


def test_a_number_in_different_text_is_counted_but_not_wrong() -> None:
    tally = compared([row(0, volume="5.000")], [row(0, volume="5.0")])
    assert (tally.written, tally.different, tally.right) == (1, 0, True)


def test_a_wrong_field_is_named_with_both_values() -> None:
    tally = compared([row(0, "1.01")], [row(0, "1.02")])
    assert not tally.right
    assert tally.examples == [f"BTCUSDT {FIRST_MS}: close 1.01 is 1.02 there"]


def test_missing_and_extra_candles_are_wrong_unless_outside_the_common_span() -> None:
    tally = compared([row(1), row(3)], [row(0), row(1), row(2)])
    assert (tally.rows, tally.missing, tally.extra) == (3, 1, 1)


def test_no_response_at_all_counts_as_missing() -> None:
    assert compared([], [row(0), row(1)]).missing == 2


def test_funding_that_settled_a_moment_ago_may_not_be_stored_yet() -> None:
    old, new = ({"fundingTime": NOW_MS - age, "fundingRate": "0.00010000"} for age in (8 * 3_600_000, 60_000))
    ours, theirs = settlements([old], [old, new], NOW_MS)
    assert ours == theirs == {old["fundingTime"]: old}


def test_prices_that_move_on_are_near_and_the_next_settlement_is_the_same() -> None:
    assert near("markPrice", "100.0", "101.0")
    assert not near("markPrice", "100.0", "110.0")
    assert not near("nextFundingTime", 1, 2)
    assert near("time", 1, 2)


@pytest.mark.parametrize(
    "text",
    [
        "[BTC/USDT:USDT]",
        "pairs:\n  - BTC/USDT:USDT\n",
        json.dumps({"exchange": {"name": "binance", "pair_whitelist": ["BTC/USDT:USDT"]}}),
    ],
)
def test_pairs_are_read_from_a_list_a_pairs_file_and_a_bots_configuration(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pairs"
    path.write_text(text, encoding="utf-8")
    assert read_pairs(path) == ["BTC/USDT:USDT"]


@pytest.mark.parametrize("text", ["", "a: b", "[1, 2]", "{", "[]"])
def test_a_file_without_pairs_is_reported_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pairs"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PairsFileError) as caught:
        read_pairs(path)
    assert "\n" not in str(caught.value)


def test_the_table_ends_with_the_weight_saved() -> None:
    lines = table({"klines 3m": compared([row(0)], [row(0)])}, 1, (2_000.0, 20.0)).splitlines()
    assert lines[2].split() == ["klines", "3m", "1", "1", "1", "0", "0", "0", "0", "0"]
    assert lines[-1].endswith("requested from it 2000, spent by it 20, 99.0 % saved")
