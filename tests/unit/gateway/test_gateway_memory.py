"""The memory as the union of several collectors: n before n+1, corrections, waiting, pairs that leave."""

import asyncio

import msgspec
import pytest

from exchange.clock import ExchangeClock
from gateway.memory.memory import CONFIRMED, FROM_STORE, KEPT, Memory, PairState
from gateway.memory.rows import Values, decode, encode, of_candle
from gateway.memory.stream_lines import (
    AbsentEvent,
    Candle,
    FinalCandle,
    FinalEvent,
    LeftEvent,
    MarkEvent,
    OpenEvent,
    PairTold,
)
from marketdata.timeframes import BASE_MS

PAIR, SYMBOL = "BTC/USDT:USDT", "BTCUSDT"
START_MS = 10_000 * BASE_MS


def at(number: int) -> int:
    return START_MS + number * BASE_MS


@pytest.fixture
def memory() -> Memory:
    return Memory(ExchangeClock())


def values(number: int, close: str) -> dict[str, object]:
    texts = dict.fromkeys(("open", "high", "low", "volume", "quote_volume"), "1.0")
    taker = {"taker_buy_volume": "1.0", "taker_buy_quote_volume": "1.0"}
    times = {"open_time_ms": at(number), "event_time_ms": at(number) + 1_000}
    return {**times, **texts, **taker, "close": close, "trades": 1}


def final(number: int, close: str = "5.0", *, origin: str = "stream", corrected: bool = False) -> FinalEvent:
    return msgspec.convert(
        {"type": "final", "seq": 0, "pair": PAIR, "origin": origin, "corrected": corrected, **values(number, close)},
        FinalEvent,
    )


def decode_of(number: int) -> Values:
    return decode(of_candle(final(number)))


def frame(number: int, close: str = "5.0") -> OpenEvent:
    return msgspec.convert({"type": "open", "seq": 0, "pair": PAIR, **values(number, close)}, OpenEvent)


def told(next_number: int, *finals: int, close: str = "5.0", pair: str = PAIR) -> PairTold:
    candles = [
        msgspec.convert({"origin": "stream", "corrected": False, **values(number, close)}, FinalCandle)
        for number in finals
    ]
    return PairTold(0, pair, at(next_number), candles, [], None, None)


def state_of(memory: Memory) -> PairState:
    state = memory.pair_state(SYMBOL)
    assert state is not None
    return state


def closes(memory: Memory) -> dict[int, str]:
    state = state_of(memory)
    shown = state.shown(START_MS - KEPT * BASE_MS, state.next_open_ms)
    return {(open_ms - START_MS) // BASE_MS: decode(row).close for open_ms, row in shown}


def test_a_candle_is_served_only_after_every_older_one_is_final(memory: Memory) -> None:
    memory.apply("a", told(1, 0))
    memory.apply("a", final(2))
    memory.apply("a", frame(3))
    assert list(closes(memory)) == [0]
    memory.apply("b", final(1))
    assert list(closes(memory)) == [0, 1, 2]
    assert [one.open_time_ms for one in state_of(memory).unfinished()] == [at(3)]


def test_an_absent_candle_holds_nothing_back(memory: Memory) -> None:
    memory.apply("a", told(1, 0))
    memory.apply("a", final(2))
    memory.apply("a", AbsentEvent(0, PAIR, at(1)))
    assert list(closes(memory)) == [0, 2]


def test_a_late_candle_is_served_and_whatever_depends_on_its_absence_is_notified(memory: Memory) -> None:
    changed: list[int] = []
    memory.apply("a", told(1, 0))
    memory.apply("a", AbsentEvent(0, PAIR, at(1)))
    memory.changed = lambda _state, open_ms: changed.append(open_ms)
    memory.apply("a", final(2))
    memory.learn_rows(state_of(memory), [(at(1), encode(decode_of(1)))], FROM_STORE)
    assert list(closes(memory)) == [0, 1, 2]
    assert changed == [at(1)]


def test_longer_windows_know_of_an_impossible_row_until_it_is_corrected(memory: Memory) -> None:
    changed: list[int] = []
    memory.apply("a", told(1, 0))
    memory.apply("a", AbsentEvent(0, PAIR, at(1)))
    memory.changed = lambda _state, open_ms: changed.append(open_ms)
    memory.apply("a", AbsentEvent(0, PAIR, at(1), invalid=True))
    state = state_of(memory)
    assert changed == [at(1)], "it was absent and is now impossible"
    assert state.next_open_ms == at(2)
    assert (state.spoils(at(0), at(2)), state.spoils(at(0), at(1)), state.spoils(at(2), at(4))) == (True, False, False)
    memory.apply("a", final(1))
    assert not state.spoils(at(0), at(2))
    assert list(closes(memory)) == [0, 1]


def test_impossible_rows_in_a_snapshot_count_as_absent(memory: Memory) -> None:
    memory.apply("a", msgspec.structs.replace(told(2, 1), absent=[at(0)], invalid=(at(0),)))
    assert state_of(memory).invalid == {at(0)}


def test_a_corrected_row_older_than_memory_notifies_whatever_depends_on_it(memory: Memory) -> None:
    changed: list[int] = []
    memory.apply("a", told(KEPT + 50))
    state = state_of(memory)
    memory.learn_invalid(state, [at(0)])
    memory.changed = lambda _state, open_ms: changed.append(open_ms)
    memory.apply("a", final(0, origin="rest"))
    assert changed == [at(0)]
    assert not state.invalid


def test_another_collector_provides_what_one_lacks(memory: Memory) -> None:
    memory.apply("a", told(3, 0, 1, 2))
    memory.apply("b", told(6, 4, 5))  # it started watching after candle 3
    assert list(closes(memory)) == [0, 1, 2]
    memory.apply("a", final(3))
    assert list(closes(memory)) == [0, 1, 2, 3, 4, 5]


def test_a_row_confirmed_by_the_exchange_is_not_overwritten_by_a_frame(memory: Memory) -> None:
    memory.apply("a", told(1, 0))
    memory.apply("a", final(1, "5.0"))
    memory.apply("a", final(1, "5.5", origin="rest", corrected=True))
    memory.apply("b", final(1, "5.0"))
    assert closes(memory)[1] == "5.5"
    memory.learn_rows(state_of(memory), [(at(1), b"store")], FROM_STORE)
    assert closes(memory)[1] == "5.5"


def test_a_stored_row_is_replaced_by_the_exchanges_text(memory: Memory) -> None:
    state = memory.adopt(SYMBOL, PAIR, at(0))
    memory.learn_rows(state, [(at(0), b"from the store")], FROM_STORE)
    memory.apply("a", final(0, "7.0"))
    assert closes(memory)[0] == "7.0"


def test_a_correction_notifies_whatever_depends_on_the_candle(memory: Memory) -> None:
    changed: list[int] = []
    memory.changed = lambda _state, open_ms: changed.append(open_ms)
    memory.apply("a", told(2, 0, 1))
    changed.clear()
    memory.apply("a", final(1, "5.0"))
    assert changed == [], "nothing has changed"
    memory.apply("a", final(1, "6.0", corrected=True))
    memory.apply("a", final(2))
    assert changed == [at(1)]


def test_a_pair_stays_while_any_collector_has_it(memory: Memory) -> None:
    memory.apply("a", told(1, 0))
    memory.apply("b", told(1, 0))
    memory.apply("a", LeftEvent(0, PAIR))
    assert memory.pair_state(SYMBOL) is not None
    memory.begin("b")
    memory.end_of_snapshot("b")
    assert memory.pair_state(SYMBOL) is None


def test_a_collector_that_comes_back_keeps_what_it_reports_again(memory: Memory) -> None:
    memory.apply("a", told(1, 0))
    memory.apply("a", told(1, 0, pair="ETH/USDT:USDT"))
    memory.begin("a")
    memory.apply("a", told(1, 0))
    memory.end_of_snapshot("a")
    assert list(memory.pairs) == [SYMBOL]


def test_old_candles_leave_the_memory(memory: Memory) -> None:
    memory.apply("a", told(0))
    for number in range(KEPT + 50):
        memory.apply("a", final(number))
    state = state_of(memory)
    assert len(state.rows) == KEPT
    memory.learn_rows(state, [(at(3), b"old")], CONFIRMED)
    assert len(state.rows) == KEPT


def test_late_and_duplicate_frames_of_the_forming_candle_are_dropped(memory: Memory) -> None:
    memory.apply("a", told(1, 0))
    memory.apply("a", frame(1, "5.0"))
    memory.apply("a", frame(2, "6.0"))
    memory.apply("b", frame(1, "4.0"))
    assert [one.close for one in state_of(memory).unfinished()] == ["5.0", "6.0"]


def test_the_newest_mark_price_is_kept(memory: Memory) -> None:
    memory.apply("a", told(1, 0))
    newer = MarkEvent(2_000, "2.0", "2.0", None, None, "0.1", 0, 0, PAIR)
    memory.apply("a", newer)
    memory.apply("b", MarkEvent(1_000, "1.0", "1.0", None, None, "0.1", 0, 0, PAIR))
    assert memory.mark_of(SYMBOL) == newer


def mark_at(minutes: int, next_hour: int) -> MarkEvent:
    """A frame this many minutes after a full hour, which is hour 0."""
    hour_ms = 3_600_000
    zero_ms = START_MS // hour_ms * hour_ms
    event_ms, next_ms = zero_ms + minutes * 60_000, zero_ms + next_hour * hour_ms
    return MarkEvent(event_ms, "1.0", "1.0", None, None, "0.0001", next_ms, 1, PAIR)


@pytest.mark.parametrize(
    ("frames", "settled"),
    [
        ([(59, 1), (61, 5)], 1),
        ([(59, 1), (60, 5), (119, 5)], 1),
        ([(59, 8), (61, 4)], None),  # the interval was changed, nothing settled
        ([(59, 2), (61, 8)], None),
        ([(59, 1), (61, 8), (62, 4), (200, 8)], None),  # no frames for hours: something may have settled
        ([(59, 1), (61, 8), (62, 4), (239, 4), (240, 8)], 4),
        ([(59, 1), (61, 2), (100, 2), (121, 3), (150, 3)], 2),
        ([(59, 1), (61, 0)], 1),  # the last one of a contract
        ([(61, 8)], None),
    ],
)
def test_the_newest_settlement_is_known_from_frames_before_and_after_it(
    memory: Memory, frames: list[tuple[int, int]], settled: int | None
) -> None:
    memory.adopt(SYMBOL, PAIR, at(0))
    for minutes, next_hour in frames:
        memory.apply("one", mark_at(minutes, next_hour))
    told_ms = memory.settled_ms_of(SYMBOL)
    assert (None if told_ms is None else (told_ms - START_MS // 3_600_000 * 3_600_000) // 3_600_000) == settled


async def test_one_candle_wakes_all_waiters(memory: Memory) -> None:
    memory.apply("a", told(1, 0))
    state = state_of(memory)
    deadline_ms = memory.exchange_time_ms() + 30_000
    waiting = [asyncio.create_task(memory.wait_final(state, at(2), deadline_ms)) for _ in range(12)]
    await asyncio.sleep(0)
    memory.apply("a", final(1))
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    memory.apply("a", final(2))
    assert await asyncio.gather(*waiting) == [True] * 12


async def test_waiting_beyond_the_deadline_returns_false(memory: Memory) -> None:
    memory.apply("a", told(1, 0))
    assert not await memory.wait_final(state_of(memory), at(1), memory.exchange_time_ms() + 20)
    assert await memory.wait_final(state_of(memory), at(0), 0)


def test_a_frame_from_rest_is_used_while_no_collector_is_streaming(memory: Memory) -> None:
    state = memory.adopt(SYMBOL, PAIR, at(1))
    memory.learn_frame(state, msgspec.convert(values(1, "8.0"), Candle))
    assert [one.close for one in state.unfinished()] == ["8.0"]
