"""Options of audit and backfill: which values are accepted, and which are refused."""

import argparse

import pytest

from collector.commands.options import intervals, share, time_ms

DAY = 1_759_276_800_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-10-01", DAY),
        ("2025-10-01T12:30", DAY + 45_000_000),
        ("2025-10-01T00:00:00Z", DAY),
        ("2025-10-01T02:00+02:00", DAY),
    ],
)
def test_times_are_utc_unless_they_name_an_offset(text: str, expected: int) -> None:
    assert time_ms(text) == expected


def test_intervals_are_sorted_shortest_first_without_repetition() -> None:
    assert intervals("1d,3m,1h,3m") == ("3m", "1h", "1d")


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (time_ms, "yesterday"),
        (time_ms, "1759276800000"),
        (time_ms, "2018-12-31"),
        (share, "0"),
        (share, "76"),
        (share, "ten"),
        (intervals, "5m"),
        (intervals, ""),
    ],
)
def test_a_bad_value_is_named_in_the_refusal(read: object, text: str) -> None:
    assert callable(read)
    with pytest.raises(argparse.ArgumentTypeError, match=repr(text) if text else "''"):
        read(text)
