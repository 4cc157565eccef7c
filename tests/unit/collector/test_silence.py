"""Silent streams are distinguished from quiet pairs, dead connections and stale data."""

from collector.feed.silence import (
    ASLEEP_SECONDS,
    CLOSES_UNHEARD,
    TICK_SECONDS,
    Awake,
    SilentStreams,
    Verdict,
)
from collector.ingest.ingest import PairFreshness
from exchange.events import CANDLE_MS, CANDLES, MARK_PRICE
from marketdata.thresholds import STALE_MS

PAIR = "BTC/USDT:USDT"
T0 = 1_780_000_200_000 // CANDLE_MS * CANDLE_MS


def fresh(heard_ms: int, *rest_closes: int) -> dict[str, PairFreshness]:
    found = PairFreshness({}, heard_ms={CANDLES: heard_ms, MARK_PRICE: heard_ms})
    found.rest_closes.extend(rest_closes)
    return {PAIR: found}


def closes(first: int, count: int) -> list[int]:
    return [T0 + n * CANDLE_MS for n in range(first, first + count)]


def test_candles_are_silent_after_some_closes_with_trades_that_only_rest_delivered() -> None:
    streams = SilentStreams(CANDLES)
    for count in range(CLOSES_UNHEARD):
        assert streams.judge(T0, fresh(T0, *closes(0, count)), {PAIR: T0}) == Verdict()
    assert streams.judge(T0, fresh(T0, *closes(0, CLOSES_UNHEARD)), {PAIR: T0}).silent == (PAIR,)


def test_a_candle_during_which_a_frame_arrived_or_the_connection_opened_proves_nothing() -> None:
    streams = SilentStreams(CANDLES)
    pairs = fresh(T0 + 1, *closes(0, CLOSES_UNHEARD))
    assert streams.judge(T0, pairs, {PAIR: T0}) == Verdict()
    pairs = fresh(T0, *closes(0, CLOSES_UNHEARD))
    assert streams.judge(T0, pairs, {PAIR: T0 + 1}) == Verdict()


def test_mark_prices_are_silent_a_minute_after_the_last_frame_or_the_opening() -> None:
    for heard_ms, opened_ms in ((T0, T0 - 1), (T0 - 1, T0)):
        streams = SilentStreams(MARK_PRICE)
        assert streams.judge(T0 + STALE_MS, fresh(heard_ms), {PAIR: opened_ms}) == Verdict()
        assert streams.judge(T0 + STALE_MS + 1, fresh(heard_ms), {PAIR: opened_ms}).silent == (PAIR,)


def test_a_connection_that_does_not_deliver_makes_no_pair_silent() -> None:
    assert SilentStreams(MARK_PRICE).judge(T0 + 10 * STALE_MS, fresh(T0), {}) == Verdict()


def test_a_silent_stream_is_reported_once_and_stays_silent_until_its_next_frame() -> None:
    streams = SilentStreams(MARK_PRICE)
    later_ms = T0 + 2 * STALE_MS
    assert streams.judge(later_ms, fresh(T0), {PAIR: T0}).silent == (PAIR,)
    # A second subscription opens: no frame yet, so still silent, and not reported again.
    for opened in ({PAIR: later_ms}, {}, {PAIR: T0}):
        assert streams.judge(later_ms, fresh(T0), opened) == Verdict()
        assert PAIR in streams.silent
    assert streams.judge(later_ms, fresh(later_ms), {PAIR: T0}) == Verdict(delivering=(PAIR,))
    assert not streams.silent


def test_a_dropped_or_halted_pair_is_forgotten_without_a_report() -> None:
    streams = SilentStreams(MARK_PRICE)
    streams.judge(T0 + 2 * STALE_MS, fresh(T0), {PAIR: T0})
    assert streams.judge(T0 + 2 * STALE_MS, {}, {}) == Verdict()
    assert not streams.silent


def test_frames_missed_while_the_process_stood_still_are_no_silence() -> None:
    """Frozen for two minutes: the first frames of a connection are read, the others wait in its buffer."""
    awake, streams = Awake(), SilentStreams(MARK_PRICE)
    awake.look(100.0, T0)
    awake.look(100.0 + TICK_SECONDS, T0 + 5_000)
    assert awake.since_ms == 0
    now_ms = T0 + 2 * STALE_MS
    awake.look(100.0 + TICK_SECONDS + ASLEEP_SECONDS + 105, now_ms)
    assert streams.judge(now_ms, fresh(T0), {PAIR: max(T0, awake.since_ms)}) == Verdict()
    later_ms = now_ms + STALE_MS + 1
    assert streams.judge(later_ms, fresh(T0), {PAIR: max(T0, awake.since_ms)}).silent == (PAIR,)
