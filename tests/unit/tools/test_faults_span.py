"""Which windows of a pair a fault row compares, when the pair was listed a short time ago."""

from tools.faults.judge import Span

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MIDNIGHT_MS = 20_000 * DAY_MS

SPAN = Span(
    first_ms=MIDNIGHT_MS - 49 * HOUR_MS,
    last_ms=MIDNIGHT_MS,
    rolled_until_ms=MIDNIGHT_MS,
    fetched_until_ms=MIDNIGHT_MS - 240_000,
    fetched_windows=20,
)


def test_the_window_of_a_listing_is_compared_if_it_ended_before_the_collectors_started() -> None:
    listed_ms = MIDNIGHT_MS - 6 * HOUR_MS
    first_ms, last_ms = SPAN.opens("4h", listed_ms, MIDNIGHT_MS + DAY_MS)
    assert (first_ms, last_ms) == (MIDNIGHT_MS - 8 * HOUR_MS, MIDNIGHT_MS - 4 * HOUR_MS)


def test_the_window_of_a_listing_that_ends_while_we_watch_is_not_compared() -> None:
    first_ms, last_ms = SPAN.opens("1d", MIDNIGHT_MS - 6 * HOUR_MS, MIDNIGHT_MS + DAY_MS)
    assert first_ms > last_ms


def test_of_a_pair_listed_long_ago_the_newest_windows_are_compared() -> None:
    first_ms, last_ms = SPAN.opens("1d", MIDNIGHT_MS - 60 * DAY_MS + 1, MIDNIGHT_MS + DAY_MS)
    assert (first_ms, last_ms) == (MIDNIGHT_MS - 20 * DAY_MS, MIDNIGHT_MS - DAY_MS)
