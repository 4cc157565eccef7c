"""When the confirmer looks for overdue closes, and how it interprets a response."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.ingest.confirm import Told, seconds_to_deadline, told_of
from collector.ingest.finality import Finality
from exchange.events import CANDLE_MS
from exchange.rows import Kline
from marketdata.thresholds import CLOSE_DEADLINE_MS

OPEN_MS = 1_791_374_400_000
PAIR = "BTC/USDT:USDT"


@given(st.integers(OPEN_MS, OPEN_MS + 10 * CANDLE_MS))
def test_the_next_look_is_at_the_millisecond_at_which_a_close_becomes_overdue(now_ms: int) -> None:
    finality = Finality()
    finality.watch(PAIR, OPEN_MS - 2 * CANDLE_MS)
    next_look_ms = now_ms + round(seconds_to_deadline(now_ms) * 1000)
    before, then = (len(finality.overdue(at_ms).get(PAIR, [])) for at_ms in (next_look_ms - 1, next_look_ms))
    assert now_ms < next_look_ms
    assert before == len(finality.overdue(now_ms).get(PAIR, []))
    assert then == before + 1


def row(index: int, **columns: object) -> Kline:
    open_ms = OPEN_MS + index * CANDLE_MS
    good = Kline(open_ms, "2", "3", "1", "2", "10", open_ms + CANDLE_MS - 1, "20", 9, "5", "10")
    return good._replace(**columns)  # type: ignore[arg-type]  # what a row may hold that cannot be


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([row(0), row(1)], "final"),
        ([row(1)], "absent"),
        ([], "later"),
        ([row(0, close_time_ms=OPEN_MS + 2 * CANDLE_MS)], "later"),
        ([row(0, trades=0)], "invalid"),
        ([row(0, high="0.5"), row(1)], "invalid"),
        ([row(0, close="3.1")], "invalid"),
        ([row(0, open="0.9")], "invalid"),
        ([row(0, volume="-1")], "invalid"),
        ([row(0, taker_buy_volume="11")], "invalid"),
        ([row(0, close=None), row(1)], "invalid"),
        ([row(0, trades="9"), row(1)], "invalid"),
    ],
)
def test_a_response_shows_that_a_close_is_final_invalid_absent_or_not_there_yet(
    rows: list[Kline], expected: Told
) -> None:
    now_ms = OPEN_MS + CANDLE_MS + CLOSE_DEADLINE_MS
    assert list(told_of([OPEN_MS], rows, now_ms)) == [(OPEN_MS, expected)]
