"""Mark price hours: how the missing ones are split into requests, and when nothing is requested."""

from hypothesis import given
from hypothesis import strategies as st

from collector.history.marks import BURST_MS, HOUR_MS, burst_wait_ms, pages
from exchange.binance.limits import BEST_KLINES_LIMIT
from exchange.events import CANDLE_MS

START_MS = 1_791_331_200_000


@given(hours=st.sets(st.integers(0, 9_000), max_size=60))
def test_every_missing_hour_is_in_one_page_and_no_page_has_more_rows_than_are_cheapest(hours: set[int]) -> None:
    opens = sorted(START_MS + hour * HOUR_MS for hour in hours)
    cut = list(pages(opens, BEST_KLINES_LIMIT))
    assert all((last - first) // HOUR_MS + 1 <= BEST_KLINES_LIMIT for first, last in cut)
    for open_ms in opens:
        assert sum(first <= open_ms <= last for first, last in cut) == 1


def test_thirty_days_are_two_pages() -> None:
    month = [START_MS + hour * HOUR_MS for hour in range(720)]
    assert [(last - first) // HOUR_MS + 1 for first, last in pages(month, BEST_KLINES_LIMIT)] == [499, 221]


@given(now_ms=st.integers(START_MS, START_MS + HOUR_MS))
def test_after_the_wait_no_candle_is_closing(now_ms: int) -> None:
    before_ms, after_ms = BURST_MS
    wait_ms = burst_wait_ms(now_ms)
    assert 0 <= wait_ms <= before_ms + after_ms
    assert after_ms <= (now_ms + wait_ms) % CANDLE_MS < CANDLE_MS - before_ms
