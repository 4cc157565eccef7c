"""What joining readers receive: n before n+1, everything that no store has, and never more than the span."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from collector.ingest.finality import Finality, Verdict
from collector.publish.recent import Final, Recent
from exchange.events import CANDLE_MS, Candle, MarkPrice, Origin
from marketdata.candle_values import CandleValues

PAIR = "BTC/USDT:USDT"
START = 1_780_000_200_000 // CANDLE_MS * CANDLE_MS
KEPT, SPAN = 3, 8


def candle(index: int, *, close: str = "1.0", final: bool = True, origin: Origin = "stream", event: int = 0) -> Candle:
    values = CandleValues("1.0", "2.0", "0.5", close, "10", "12", "5", "6", 3)
    return Candle(PAIR, START + index * CANDLE_MS, values, final, origin, START + (index + 1) * CANDLE_MS + event)


@dataclass
class Collected:
    """One pair judged by the real finality, like in ``ingest``, and what a reader was shown event by event."""

    recent: Recent = field(default_factory=lambda: Recent(kept=KEPT, span=SPAN))
    finality: Finality = field(default_factory=Finality)
    lines: list[str] = field(default_factory=list)
    told: list[Final] = field(default_factory=list)
    absent: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.finality.watch(PAIR, START)
        self.recent.watch(PAIR, START)

    def final(self, index: int, close: str = "a", origin: Origin = "stream") -> list[int]:
        """Offer a final candle; the indices that became visible."""
        offered = candle(index, close=close, origin=origin)
        if self.finality.offer(offered) is not Verdict.USED:
            return []
        line = f"{index} {close}"
        self.lines.append(line)
        return self._show(self.recent.add_final(offered, line, self.finality.next_open_ms(PAIR)))

    def no_candle(self, index: int) -> list[int]:
        """REST reports that there is none."""
        open_ms = START + index * CANDLE_MS
        self.finality.absent(PAIR, open_ms)
        if self.recent.add_absent(PAIR, open_ms, self.finality.next_open_ms(PAIR)):
            self.absent.add(open_ms)
        return self._show(self.recent.advance(PAIR, self.finality.next_open_ms(PAIR)))

    def snapshot(self, since_ms: int = 0) -> list[int]:
        return indices(self.recent.pairs[PAIR].shown(since_ms))

    def _show(self, finals: list[Final]) -> list[int]:
        self.told += [replace(final) for final in finals]
        return indices(finals)


def indices(finals: Sequence[Final]) -> list[int]:
    return [(final.candle.open_time_ms - START) // CANDLE_MS for final in finals]


def test_a_final_candle_is_held_back_until_the_one_before_it_is_final() -> None:
    pair = Collected()
    assert pair.final(0) == [0]
    assert pair.final(2) == []
    assert pair.final(3) == []
    assert pair.snapshot() == [0]
    assert pair.final(1, origin="rest") == [1, 2, 3]
    assert pair.snapshot() == [0, 1, 2, 3]


def test_a_candle_that_the_exchange_does_not_have_holds_nothing_back() -> None:
    pair = Collected()
    pair.final(1)
    assert pair.no_candle(0) == [1]
    assert pair.recent.pairs[PAIR].absent == {START}


def test_an_impossible_row_holds_nothing_back_and_is_reported_until_it_is_corrected() -> None:
    pair = Collected()
    pair.final(1)
    pair.finality.absent(PAIR, START)
    state = pair.recent.pairs[PAIR]
    assert pair.recent.add_absent(PAIR, START, pair.finality.next_open_ms(PAIR), invalid=True)
    assert indices(pair.recent.advance(PAIR, pair.finality.next_open_ms(PAIR))) == [1]
    assert (state.absent, state.invalid) == ({START}, {START})
    late = pair.recent.add_final(candle(0, origin="rest"), "0", pair.finality.next_open_ms(PAIR))
    assert indices(late) == [0]
    assert (state.absent, state.invalid) == (set(), set())


def test_a_correction_is_shown_at_once_and_marked_unless_the_candle_was_held_back() -> None:
    pair = Collected()
    pair.final(0, "b")
    assert not pair.told[-1].corrected
    pair.final(0, "c")
    assert pair.final(0, "a", "rest") == [0]
    assert pair.told[-1].corrected
    assert pair.recent.unacknowledged == 1
    pair.final(2, "b")
    pair.final(2, "a", "rest")
    assert pair.final(1) == [1, 2]
    assert not pair.told[-1].corrected
    assert pair.told[-1].candle.values.close == "a"


def test_history_from_before_the_watching_is_shown_at_once_and_forgotten_if_older_than_the_span() -> None:
    recent = Recent(kept=KEPT, span=SPAN)
    recent.watch(PAIR, START)
    for index in (-SPAN - 1, -SPAN, -1):
        assert indices(recent.add_final(candle(index), str(index), START)) == [index]
    assert indices(recent.pairs[PAIR].shown()) == [-SPAN, -1]
    assert recent.forgotten == 0


def test_the_memory_grows_while_no_store_acknowledges_and_shrinks_when_one_does() -> None:
    pair = Collected()
    for index in range(6):
        pair.final(index)
    assert pair.snapshot() == [0, 1, 2, 3, 4, 5]
    pair.recent.acknowledge(pair.lines[1:4])
    assert pair.snapshot() == [0, 3, 4, 5]
    pair.recent.acknowledge(pair.lines)
    assert pair.snapshot() == [3, 4, 5]
    assert pair.recent.unacknowledged == 0


def test_beyond_the_span_the_oldest_is_forgotten_and_counted() -> None:
    pair = Collected()
    for index in range(SPAN + 2):
        pair.final(index)
    assert pair.snapshot() == list(range(2, SPAN + 2))
    assert pair.recent.forgotten == 2


def test_what_an_earlier_process_left_is_shown_once_the_pair_is_watched() -> None:
    recent = Recent(kept=KEPT, span=SPAN)
    for index, close in ((-SPAN - 1, "a"), (-2, "b"), (-2, "a"), (0, "a")):
        recent.add_unwatched(candle(index, close=close, origin="spool"), f"{index} {close}")
    assert recent.unacknowledged == 3
    recent.acknowledge(["-2 b"])
    assert recent.unacknowledged == 3
    assert recent.watch(PAIR, START)
    assert indices(recent.pairs[PAIR].shown()) == [-2]
    assert recent.add_final(candle(0, close="a"), "0 a", START + CANDLE_MS)[0].candle.origin == "spool"
    recent.acknowledge(["-2 a", "0 a"])
    assert recent.unacknowledged == 0


def test_a_dropped_pair_is_no_longer_shown_and_its_unstored_candles_are_when_it_comes_back() -> None:
    pair = Collected()
    pair.final(0)
    pair.final(1)
    assert pair.recent.unwatch(PAIR)
    assert not pair.recent.unwatch(PAIR)
    pair.recent.acknowledge(["0 a"])
    assert pair.recent.pairs == {}
    pair.recent.watch(PAIR, START + 2 * CANDLE_MS)
    assert pair.snapshot() == [0, 1]


def test_what_is_held_back_is_bounded_too_and_the_awaited_candle_is_still_shown() -> None:
    pair = Collected()
    for index in range(1, SPAN + 3):
        pair.final(index)
    assert pair.recent.forgotten == 2
    assert pair.final(0, origin="rest") == [0, *range(3, SPAN + 3)]


def test_acknowledging_the_values_before_a_correction_does_not_acknowledge_the_correction() -> None:
    pair = Collected()
    pair.final(0, "b")
    pair.final(0, "c")
    pair.final(0, "a", "rest")
    for index in range(1, KEPT + 2):
        pair.final(index)
    pair.recent.acknowledge(["0 b", *(f"{index} a" for index in range(1, KEPT + 2))])
    assert pair.snapshot() == [0, 2, 3, 4]
    pair.recent.acknowledge(["0 a"])
    assert pair.snapshot() == [2, 3, 4]


def test_since_leaves_out_only_candles_that_a_store_has() -> None:
    pair = Collected()
    for index in range(KEPT):
        pair.final(index)
    pair.recent.acknowledge(pair.lines[1:])
    assert pair.snapshot(START + 2 * CANDLE_MS) == [0, 2]


def test_for_a_forming_candle_the_newest_frame_counts_until_it_is_final() -> None:
    pair = Collected()
    state = pair.recent.pairs[PAIR]
    first, second = candle(0, final=False, event=1), candle(0, final=False, event=2)
    assert pair.recent.add_open(first)
    assert pair.recent.add_open(second)
    assert not pair.recent.add_open(first)
    assert state.open == second
    pair.final(0)
    assert state.open is None
    assert not pair.recent.add_open(second)
    pair.final(2)
    assert pair.recent.add_open(candle(3, final=False)), "it is sent while a candle before it is awaited"
    assert not pair.recent.add_open(candle(1, final=False))


def test_for_mark_prices_the_newest_frame_counts() -> None:
    pair = Collected()
    older, newer = (MarkPrice(PAIR, START + second, "1", "1", "0.0001", START) for second in (1, 2))
    assert pair.recent.add_mark_price(newer)
    assert not pair.recent.add_mark_price(older)
    assert not pair.recent.add_mark_price(newer)
    assert pair.recent.pairs[PAIR].mark_price == newer


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("stream"), st.integers(0, 12), st.sampled_from("ab")),
        st.tuples(st.just("rest"), st.integers(0, 12), st.just("a")),
        st.tuples(st.just("absent"), st.integers(0, 12), st.just("")),
        st.tuples(st.just("acknowledged"), st.integers(0, 12), st.just("")),
        st.tuples(st.just("joined"), st.just(0), st.just("")),
    ),
    max_size=60,
)


@given(STEPS)
def test_whatever_happens_readers_see_n_before_n_plus_1_and_miss_nothing_unstored(
    steps: Sequence[tuple[str, int, str]],
) -> None:
    pair = Collected()
    state = pair.recent.pairs[PAIR]
    acknowledged: set[str] = set()
    joined: dict[int, Any] | None = None  # what a reader that joined on the way knows
    joined_at = 0
    for kind, index, close in steps:
        told = len(pair.told)
        match kind:
            case "stream" | "rest":
                pair.final(index, close, "rest" if kind == "rest" else "stream")
            case "absent":
                pair.no_candle(index)
            case "acknowledged" if index < len(pair.lines):
                acknowledged.add(pair.lines[index])
                pair.recent.acknowledge([pair.lines[index]])
            case "joined":
                joined, joined_at = {final.candle.open_time_ms: final.candle for final in state.shown()}, len(pair.told)
        for position, final in enumerate(pair.told[told:], told):
            earlier = {other.candle.open_time_ms for other in pair.told[:position]}
            before = range(START, final.candle.open_time_ms, CANDLE_MS)
            assert pair.recent.forgotten or all(t in earlier | pair.absent for t in before)
            assert not final.corrected or final.candle.open_time_ms in earlier

        last = {final.candle.open_time_ms: final for final in pair.told}
        assert all(final.candle.open_time_ms < state.next_open_ms for final in pair.told)
        expected = {t for t, final in last.items() if final.line not in acknowledged} | set(sorted(last)[-KEPT:])
        oldest_kept_ms = state.next_open_ms - SPAN * CANDLE_MS
        assert {t for t in expected if t >= oldest_kept_ms} <= {final.candle.open_time_ms for final in state.shown()}
        assert all(last[final.candle.open_time_ms].candle == final.candle for final in state.shown())
        assert len(state.finals) <= 2 * SPAN
        if joined is not None:
            joined |= {final.candle.open_time_ms: final.candle for final in pair.told[joined_at:]}
            assert joined.items() <= {t: final.candle for t, final in last.items()}.items()
            assert {f.candle.open_time_ms for f in state.shown()} <= joined.keys()
