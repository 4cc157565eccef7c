"""Which hours of the mark price are returned, and the one that is forming."""

import pytest

from gateway.memory.stream_lines import Mark
from gateway.routes.marks import HOUR_MS, forming_row, hours

T0 = 1_791_331_200_000
NOW_MS = T0 + 100 * HOUR_MS + 123_456


def opens(start: int | None, end: int | None, limit: int, onboard_ms: int = 0) -> list[int]:
    start_ms, end_ms = (None if hour is None else T0 + hour * HOUR_MS for hour in (start, end))
    return [(at - T0) // HOUR_MS for at in hours(onboard_ms, start_ms, end_ms, limit, NOW_MS)]


@pytest.mark.parametrize(
    ("start", "end", "limit", "expected"),
    [
        (None, None, 3, [98, 99, 100]),
        (None, 50, 3, [48, 49, 50]),
        (90, None, 3, [90, 91, 92]),
        (99, None, 500, [99, 100]),
        (10, 12, 500, [10, 11, 12]),
        (10, 12, 2, [10, 11]),
        (101, None, 5, []),
        (None, 200, 1, [100]),
    ],
)
def test_bounds_are_inclusive_and_the_forming_hour_is_last(
    start: int | None, end: int | None, limit: int, expected: list[int]
) -> None:
    assert opens(start, end, limit) == expected


def test_a_start_within_an_hour_begins_with_the_next() -> None:
    assert hours(0, T0 + 1, None, 2, NOW_MS)[0] == T0 + HOUR_MS


def test_nothing_is_expected_before_the_listing() -> None:
    assert opens(0, None, 500, onboard_ms=T0 + 98 * HOUR_MS + 900_000) == [98, 99, 100]


def test_the_forming_hour_is_built_from_its_samples_and_the_newest_frame() -> None:
    mark = Mark(T0 + 90_000, "101.50000000", "101.4", None, None, "0.0001", T0 + HOUR_MS)
    row = forming_row(T0, mark, [100.0, 101.0, 99.5])
    assert row[:7] == [T0, "100.00000000", "101.50000000", "99.50000000", "101.50000000", "0", T0 + HOUR_MS - 1]
    assert row[8] == 91


def test_without_a_sample_the_newest_frame_gives_all_prices() -> None:
    mark = Mark(T0 + 2_000, "101.50000000", "101.4", None, None, "0.0001", T0 + HOUR_MS)
    assert set(forming_row(T0, mark, [])[1:5]) == {"101.50000000"}
