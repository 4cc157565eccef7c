"""Finality: every candle is expected once, used once, and rechecked when contradicted."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from collector.ingest.finality import REMEMBERED, Finality, Verdict
from exchange.events import CANDLE_MS, Candle, Origin
from marketdata.candle_values import CandleValues
from marketdata.thresholds import CLOSE_DEADLINE_MS

PAIR = "BTC/USDT:USDT"
START = 1_780_000_200_000 // CANDLE_MS * CANDLE_MS


def candle(index: int, *, close: str = "1.0", final: bool = True, origin: Origin = "stream") -> Candle:
    values = CandleValues("1.0", "2.0", "0.5", close, "10", "12", "5", "6", 3)
    return Candle(PAIR, START + index * CANDLE_MS, values, final, origin, START + (index + 1) * CANDLE_MS)


def watching() -> Finality:
    finality = Finality()
    finality.watch(PAIR, START)
    return finality


def test_a_forming_candle_is_never_used() -> None:
    finality = watching()
    assert finality.offer(candle(0, final=False)) is Verdict.OPEN
    assert finality.next_open_ms(PAIR) == START


def test_a_closing_frame_is_used_once_and_its_repetition_is_a_duplicate() -> None:
    finality = watching()
    assert finality.offer(candle(0)) is Verdict.USED
    assert finality.offer(candle(0)) is Verdict.DUPLICATE
    assert finality.next_open_ms(PAIR) == START + CANDLE_MS


def test_a_close_is_overdue_from_the_deadline_on_and_not_before() -> None:
    finality = watching()
    due_ms = START + CANDLE_MS + CLOSE_DEADLINE_MS
    assert finality.overdue(due_ms - 1) == {}
    assert finality.overdue(due_ms) == {PAIR: [START]}


def test_a_hole_is_overdue_even_if_later_candles_are_final() -> None:
    finality = watching()
    finality.offer(candle(1))
    finality.offer(candle(2))
    now_ms = START + 3 * CANDLE_MS + CLOSE_DEADLINE_MS
    assert finality.overdue(now_ms) == {PAIR: [START]}
    assert finality.offer(candle(0, origin="rest")) is Verdict.USED
    assert finality.overdue(now_ms) == {}
    assert finality.next_open_ms(PAIR) == START + 3 * CANDLE_MS


def test_a_contradicting_closing_frame_is_a_conflict_that_rest_decides() -> None:
    finality = watching()
    finality.offer(candle(0, close="1.0", origin="rest"))
    assert finality.offer(candle(0, close="1.1")) is Verdict.SUPERSEDED
    assert finality.conflicts == 1
    assert finality.overdue(START) == {PAIR: [START]}
    assert finality.offer(candle(0, close="1.1", origin="rest")) is Verdict.USED
    assert finality.overdue(START) == {}


def test_a_confirmation_of_known_values_by_rest_changes_nothing() -> None:
    finality = watching()
    finality.offer(candle(0))
    assert finality.offer(candle(0, close="9")) is Verdict.SUPERSEDED
    assert finality.offer(candle(0, origin="rest")) is Verdict.DUPLICATE
    assert finality.overdue(START) == {}


def test_a_closing_frame_older_than_the_memory_is_left_to_rest() -> None:
    finality = watching()
    assert finality.offer(candle(-5)) is Verdict.SUPERSEDED
    assert finality.conflicts == 0
    assert finality.overdue(START) == {PAIR: [START - 5 * CANDLE_MS]}


def test_a_candle_the_exchange_does_not_have_is_no_longer_expected() -> None:
    finality = watching()
    finality.offer(candle(1))
    assert finality.absent(PAIR, START)
    assert finality.next_open_ms(PAIR) == START + 2 * CANDLE_MS


def test_a_contradicted_final_candle_that_rest_lacks_or_has_as_an_impossible_row_stays_final() -> None:
    finality = watching()
    finality.offer(candle(0))
    finality.offer(candle(0, close="1.1"))
    assert not finality.absent(PAIR, START), "it was not expected"
    assert finality.overdue(START) == {}
    assert finality.offer(candle(0)) is Verdict.DUPLICATE


def test_a_candle_that_could_not_be_handed_on_is_expected_again() -> None:
    finality = watching()
    finality.offer(candle(0))
    finality.offer(candle(1))
    finality.forget(PAIR, START)
    assert finality.overdue(START + 2 * CANDLE_MS + CLOSE_DEADLINE_MS) == {PAIR: [START]}
    assert finality.offer(candle(0, origin="rest")) is Verdict.USED
    assert finality.next_open_ms(PAIR) == START + 2 * CANDLE_MS


@given(
    st.lists(
        st.tuples(st.integers(0, 2 * REMEMBERED), st.sampled_from(("stream", "rest")), st.sampled_from("ab")),
        max_size=120,
    )
)
def test_whatever_arrives_in_any_order_rest_decides(
    arrivals: Sequence[tuple[int, Origin, str]],
) -> None:
    """Streams may lie ("b"), REST returns the truth ("a"): a lie survives only if nothing ever contradicted it."""
    finality = watching()
    stored: dict[int, str] = {}

    def offer(event: Candle) -> None:
        if finality.offer(event) is Verdict.USED:
            stored[event.open_time_ms] = event.values.close

    for index, origin, close in arrivals:
        offer(replace(candle(index, close="a" if origin == "rest" else close), origin=origin))
    now_ms = START + (2 * REMEMBERED + 1) * CANDLE_MS + CLOSE_DEADLINE_MS
    truthful = {START + index * CANDLE_MS for index, origin, close in arrivals if close == "a" or origin == "rest"}
    for open_ms in finality.overdue(now_ms).get(PAIR, []):
        offer(candle((open_ms - START) // CANDLE_MS, close="a", origin="rest"))
    assert finality.overdue(now_ms) == {}
    assert set(stored) == {START + index * CANDLE_MS for index in range(2 * REMEMBERED + 1)}
    assert {stored[open_ms] for open_ms in truthful} <= {"a"}
