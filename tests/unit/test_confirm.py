"""When the confirmer looks for overdue closes."""

from hypothesis import given
from hypothesis import strategies as st

from collector.confirm import seconds_to_deadline
from collector.events import CANDLE_MS
from collector.finality import Finality

OPEN_MS = 1_791_374_400_000
PAIR = "BTC/USDT:USDT"


@given(st.integers(OPEN_MS, OPEN_MS + 10 * CANDLE_MS))
def test_the_next_look_is_the_very_millisecond_at_which_a_close_falls_due(now_ms: int) -> None:
    finality = Finality()
    finality.watch(PAIR, OPEN_MS - 2 * CANDLE_MS)
    next_look_ms = now_ms + round(seconds_to_deadline(now_ms) * 1000)
    before, then = (len(finality.overdue(at_ms).get(PAIR, [])) for at_ms in (next_look_ms - 1, next_look_ms))
    assert now_ms < next_look_ms
    assert before == len(finality.overdue(now_ms).get(PAIR, []))
    assert then == before + 1
