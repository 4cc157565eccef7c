"""The ledger: missing candles are found whatever is stored, requested once, and distinguished from exchange holes."""

from collections.abc import Collection
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.model.gap import Gap, Reason, reason
from collector.repair.ledger import (
    BUCKETS,
    MERGE_ROWS,
    Ledger,
    absent,
    compare,
    older_windows,
    slices,
    spans,
    windows_with_holes,
)
from exchange.again import Again
from exchange.events import CANDLE_MS

PAIR = "BTC/USDT:USDT"
DAY_MS = BUCKETS * CANDLE_MS
START = 1_790_000_000_000 // DAY_MS * DAY_MS
NOW_MS = START + 5 * DAY_MS
OPENS = st.integers(0, 3 * BUCKETS).map(lambda n: START + n * CANDLE_MS)


def why(_open_ms: int) -> Reason:
    return "vanished"


def counted(held: Collection[int], start_ms: int, end_ms: int) -> dict[int, int]:
    """What InfluxQL returns for count() GROUP BY time(1d) fill(none)."""
    counts: dict[int, int] = {}
    for open_ms in held:
        if start_ms <= open_ms < end_ms:
            bucket = open_ms // DAY_MS * DAY_MS
            counts[bucket] = counts.get(bucket, 0) + 1
    return counts


@given(first=OPENS, length=st.integers(0, 2 * BUCKETS), before=st.integers(0, BUCKETS), data=st.data())
def test_counting_and_then_reading_short_spans_finds_exactly_what_is_missing(
    first: int, length: int, before: int, data: st.DataObject
) -> None:
    opens = range(first, first + length * CANDLE_MS, CANDLE_MS)
    asked_ms = (opens.start - before * CANDLE_MS, opens.stop)  # another pair's range may begin earlier
    lost = data.draw(st.sets(st.sampled_from(list(opens)), max_size=5)) if opens else set()
    emptied = data.draw(st.sampled_from([None, opens.start // DAY_MS * DAY_MS]))
    surrounding = range(asked_ms[0] - 10 * CANDLE_MS, asked_ms[1] + 10 * CANDLE_MS, CANDLE_MS)
    held = {t for t in surrounding if t not in lost and t // DAY_MS * DAY_MS != emptied}
    missing, unclear = compare(opens, counted(held, *asked_ms), asked_ms, DAY_MS)
    for start_ms, end_ms in unclear:
        assert opens.start <= start_ms < end_ms <= opens.stop
        missing |= {t for t in range(start_ms, end_ms, CANDLE_MS) if t not in held}
    assert missing == set(opens) - held


def test_a_full_day_is_not_read() -> None:
    opens = range(START, START + 2 * DAY_MS, CANDLE_MS)
    held = set(opens) - {START + DAY_MS}
    missing, unclear = compare(opens, counted(held, opens.start, opens.stop), (opens.start, opens.stop), DAY_MS)
    assert (missing, unclear) == (set(), [(START + DAY_MS, START + 2 * DAY_MS)])


@given(missing=st.sets(OPENS), lacked=st.sets(OPENS), answered=st.booleans())
def test_every_missing_candle_ends_up_repaired_or_as_an_exchange_hole_and_holes_are_not_requested_again(
    missing: set[int], lacked: set[int], answered: bool
) -> None:
    ledger = Ledger()
    stored: dict[int, Gap] = {}

    def write(gaps: list[Gap]) -> None:
        stored.update({gap.open_ms: gap for gap in gaps})

    write(ledger.note_missing(PAIR, missing, why))
    assert ledger.to_ask(PAIR, missing) == missing
    if answered:
        write(ledger.note_absent(PAIR, missing & lacked, NOW_MS))
    write(ledger.note_stored(PAIR, missing, missing & lacked))
    holes = missing & lacked if answered else set()
    assert {t for t, gap in stored.items() if gap.state == "repaired"} == missing - lacked
    assert {t for t, gap in stored.items() if gap.state == "exchange_hole"} == holes
    assert ledger.to_ask(PAIR, missing & lacked) == (missing & lacked) - holes
    assert ledger.gaps_open == len(missing & lacked) - len(holes)
    # A restart reads the store's gaps back and knows the same.
    again = Ledger()
    again.recall(stored.values())
    assert (again.open, again.holes) == (ledger.open, ledger.holes)


def test_a_known_gap_keeps_its_reason_and_is_written_once() -> None:
    ledger = Ledger()
    assert ledger.note_missing(PAIR, {START}, why) == [Gap(PAIR, START, "open", "vanished")]
    assert ledger.note_missing(PAIR, {START}, lambda _: "collector_down") == []
    assert ledger.note_stored(PAIR, {START}, set()) == [Gap(PAIR, START, "repaired", "vanished")]
    assert (ledger.found["vanished"], ledger.repaired, ledger.gaps_open) == (1, 1, 0)


def test_an_exchange_hole_that_is_stored_after_all_is_repaired() -> None:
    ledger = Ledger()
    ledger.note_absent(PAIR, {START, START + CANDLE_MS}, NOW_MS)
    assert ledger.note_stored(PAIR, {START, START + CANDLE_MS}, {START}) == [
        Gap(PAIR, START + CANDLE_MS, "repaired", "not_at_exchange")
    ]
    assert ledger.exchange_holes == 1
    assert ledger.filled == {"exchange_hole": 1, "invalid": 0}


def test_exchange_holes_are_due_again_at_the_configured_times_even_after_a_restart() -> None:
    ledger = Ledger()
    noted = ledger.note_absent(PAIR, {START}, NOW_MS) + ledger.note_invalid(PAIR, {START + CANDLE_MS}, NOW_MS)
    assert [(gap.state, gap.reason) for gap in noted] == [
        ("exchange_hole", "not_at_exchange"),
        ("invalid", "invalid_at_exchange"),
    ]
    asked_after_ms = []
    for after_ms in range(0, 8 * DAY_MS, CANDLE_MS):
        if due := ledger.due_again(NOW_MS + after_ms).get(PAIR):
            assert due == {START, START + CANDLE_MS}
            asked_after_ms.append(after_ms)
            noted = ledger.note_asked(PAIR, due, NOW_MS + after_ms)
            ledger = Ledger()
            ledger.recall(noted)
    assert asked_after_ms == [720_000, 3_600_000, 21_600_000, DAY_MS, 7 * DAY_MS]
    assert (ledger.exchange_holes, ledger.invalid_candles) == (1, 1), "they keep their state"
    assert ledger.invalid_asked(PAIR) == 0


def test_a_hole_that_turns_into_an_impossible_row_stays_one_candle_with_the_same_since() -> None:
    ledger = Ledger()
    ledger.note_absent(PAIR, {START}, NOW_MS)
    later_ms = NOW_MS + 3_600_000
    assert ledger.note_invalid(PAIR, {START}, later_ms) == [
        Gap(PAIR, START, "invalid", "invalid_at_exchange", Again(NOW_MS, asked=2))
    ]
    assert (ledger.exchange_holes, ledger.invalid_candles, ledger.invalid_asked(PAIR)) == (0, 1, 1)
    assert ledger.note_absent(PAIR, {START}, later_ms)[0].again == Again(NOW_MS, asked=2)
    assert (ledger.exchange_holes, ledger.invalid_candles) == (1, 0)
    assert ledger.found == {"not_at_exchange": 2, "invalid_at_exchange": 1}


def test_a_corrected_row_is_repaired_and_counted() -> None:
    ledger = Ledger()
    ledger.note_missing(PAIR, {START}, why)
    ledger.note_invalid(PAIR, {START}, NOW_MS)
    assert (ledger.gaps_open, ledger.to_ask(PAIR, {START})) == (0, set())
    assert ledger.note_stored(PAIR, {START}, ()) == [Gap(PAIR, START, "repaired", "invalid_at_exchange")]
    assert (ledger.invalid_candles, ledger.repaired, ledger.filled["invalid"]) == (0, 1, 1)


def test_an_old_hole_without_a_since_is_requested_once_more() -> None:
    ledger = Ledger()
    ledger.recall([Gap(PAIR, START, "exchange_hole", "not_at_exchange")])
    now_ms = START + 90 * DAY_MS
    assert ledger.due_again(now_ms) == {PAIR: {START}}
    ledger.note_asked(PAIR, {START}, now_ms)
    assert ledger.due_again(now_ms + 900 * DAY_MS) == {}


def test_a_response_without_the_row_records_nothing_for_a_candle_not_known_to_be_absent() -> None:
    ledger = Ledger()
    ledger.note_missing(PAIR, {START}, why)
    assert ledger.note_asked(PAIR, {START}, NOW_MS) == []
    assert ledger.gaps_open == 1


@given(asked=st.sets(OPENS), has=st.sets(OPENS))
def test_only_a_later_row_proves_that_the_exchange_lacks_a_candle(asked: set[int], has: set[int]) -> None:
    lacked = absent(asked, has)
    assert lacked == {t for t in asked - has if any(later > t for later in has)}


@pytest.mark.parametrize(
    ("open_ms", "expected"),
    [
        (START - 10 * CANDLE_MS, "vanished"),
        (START - CANDLE_MS, "collector_down"),
        (START, "undelivered"),
        (START + CANDLE_MS, "not_received"),
    ],
)
def test_the_reason_of_a_gap_follows_from_when_it_opened(open_ms: int, expected: str) -> None:
    told = reason(
        open_ms,
        checked_until_ms=START - 5 * CANDLE_MS,
        watched_from_ms=START,
        final_before_ms=START + CANDLE_MS,
    )
    assert told == expected


@given(start=OPENS, length=st.integers(0, 2000))
def test_slices_cover_a_range_once_and_the_newest_comes_first(start: int, length: int) -> None:
    end = start + length * CANDLE_MS
    pieces = slices(start, end, DAY_MS)
    assert [t for a, b in reversed(pieces) for t in range(a, b, CANDLE_MS)] == list(range(start, end, CANDLE_MS))
    assert all(b - a <= DAY_MS for a, b in pieces)


@given(opens=st.sets(OPENS))
def test_spans_contain_every_open_and_never_a_hole_longer_than_a_cheap_request(opens: set[int]) -> None:
    joined = spans(sorted(opens), CANDLE_MS)
    assert all(any(first <= t <= last for first, last in joined) for t in opens)
    assert all(b[0] - a[1] > MERGE_ROWS * CANDLE_MS for a, b in pairwise(joined))


@given(
    covered=OPENS, listed=OPENS, now=st.integers(0, 10**9).map(lambda n: START + n), length=st.sampled_from([5, 20, 80])
)
def test_older_windows_end_where_our_candles_make_complete_ones(
    covered: int, listed: int, now: int, length: int
) -> None:
    length_ms = length * CANDLE_MS
    opens = older_windows(covered, listed, now, length_ms, 499)
    assert len(opens) <= 499
    for open_ms in opens:
        assert open_ms + length_ms <= now  # it has ended
        assert open_ms < max(covered, listed)  # and begins before our candles do
        assert open_ms + length_ms > listed  # but not before there was anything


def test_a_window_with_a_hole_is_taken_from_the_exchange_once_it_has_ended() -> None:
    hour_ms = 20 * CANDLE_MS
    holes = [START + 3 * CANDLE_MS, START + 7 * CANDLE_MS, START + 2 * hour_ms]
    assert windows_with_holes(holes, START + 3 * hour_ms - 1, hour_ms) == {START}
    assert windows_with_holes(holes, START + 3 * hour_ms, hour_ms) == {START, START + 2 * hour_ms}


def test_candles_before_a_pairs_first_one_are_no_gaps_and_never_requested_again() -> None:
    ledger = Ledger()
    opens = {START, START + CANDLE_MS}
    ledger.note_missing(PAIR, opens, lambda _: "undelivered")
    noted = ledger.note_never(PAIR, opens, START + 10 * CANDLE_MS)
    assert [(gap.state, gap.reason) for gap in noted] == [("exchange_hole", "not_at_exchange")] * 2
    assert ledger.gaps_open == 0
    assert ledger.to_ask(PAIR, opens) == set()
    assert ledger.due_again(START + 365 * 86_400_000) == {}
    again = Ledger()
    again.recall(noted)
    assert again.due_again(START + 365 * 86_400_000) == {}
