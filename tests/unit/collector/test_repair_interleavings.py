"""Whatever is deleted, refused, late or restarted, in any order, repair ends with the exchange's truth.

Everything between exchange and store is the product's own (tests/support/repairing.py) and runs on virtual time: the
rules interrupt passes in the middle. Checked at every step:

    nothing is written that is not the exchange's, and no existing candle is called absent (World.judge)
    no gap is open for a candle that has been in the store since before the last pass began

And once everything recovers and enough time has passed, `assert_truth`.
"""

import logging
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from collector.repair.ledger import older_windows
from exchange.again import AGAIN_MS
from exchange.events import CANDLE_MS
from marketdata.schema import OHLCV_BASE, ROLLUP_TIMEFRAMES
from marketdata.timeframes import DAY_MS, timeframe_ms
from tests.support import examples
from tests.support.markets import Store, candles_of, numbers_of, trades_at, trades_of, true_fields, true_trades
from tests.support.repairing import FIRST, HOUR_MS, OWN_WINDOWS, PAIRS, SECOND, World, symbol

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own in it
"""Where files are cheapest, if there is such a place."""

LEAPS_MS = (10 * 60_000, HOUR_MS, 6 * HOUR_MS, DAY_MS, 7 * DAY_MS)
PAIR = st.sampled_from(list(PAIRS))
WHICH = st.integers(0, 1)
BACK = st.integers(0, 45)
LASTING = st.sampled_from([3, 20, 200, 2_000])


def event(**given: Any) -> Callable[[Callable[..., None]], Any]:
    """A rule after which some time passes: the next one finds a pass started, or several completed."""

    def decorate(happen: Callable[..., None]) -> Any:
        def run(self: "Repairing", then_seconds: float, **drawn: Any) -> None:
            happen(self, **drawn)
            self.here.pass_time(then_seconds)

        run.__name__ = happen.__name__
        given["then_seconds"] = st.sampled_from([0.0, 0.25, 0.65, 5.0, 181.0, 400.0])
        as_rule: Any = rule
        return as_rule(**given)(run)

    return decorate


class Repairing(RuleBasedStateMachine):
    """One store."""

    stores: tuple[str, ...] = ("main",)

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.world: World | None = None

    @property
    def here(self) -> World:
        assert self.world
        return self.world

    @initialize(onboard_early=st.sampled_from([0, 0, 7]), comes=st.booleans())
    def begin(self, onboard_early: int, comes: bool) -> None:
        self.world = World(self.folder, self.stores, onboard_early=onboard_early)
        self.comes = comes
        """Whether the exchange has everything at last."""
        self.world.start()

    def teardown(self) -> None:
        try:
            if self.world and sys.exception() is None:
                self.heal()
                self.assert_truth()
        finally:
            if self.world:
                self.world.close()
            shutil.rmtree(self.folder)

    # Candles and time.

    @event(count=st.integers(1, 4), lost=st.sets(st.integers(0, 3)), confirmed=st.booleans())
    def candles_close(self, count: int, lost: set[int], confirmed: bool) -> None:
        for index in range(count):
            self.here.close_candle([] if index in lost else PAIRS, confirmed=confirmed)

    @event(leap_ms=st.sampled_from(LEAPS_MS), rolled=st.booleans())
    def a_long_time_passes(self, leap_ms: int, rolled: bool) -> None:
        self.here.leap(leap_ms, rolled=rolled)

    # What happens to stores.

    @event(
        which=WHICH, pair=PAIR, back=BACK, count=st.sampled_from([1, 2, 7, 30, 480]), days=st.sampled_from([0, 0, 1])
    )
    def candles_are_deleted(self, which: int, pair: str, back: int, count: int, days: int) -> None:
        last_ms = self.here.exchange.forming_ms() - back * CANDLE_MS - days * DAY_MS
        self._store(which).delete(OHLCV_BASE, pair, last_ms - (count - 1) * CANDLE_MS, last_ms + CANDLE_MS)

    @event(which=WHICH, pair=PAIR, timeframe=st.sampled_from(ROLLUP_TIMEFRAMES), back=st.integers(0, 12))
    def windows_are_deleted(self, which: int, pair: str, timeframe: str, back: int) -> None:
        now_ms, length_ms = self.here.exchange.now_ms, timeframe_ms(timeframe)
        self._store(which).delete(f"ohlcv_{timeframe}", pair, now_ms - (back + 2) * length_ms, now_ms)

    @event(which=WHICH, hangs=st.booleans(), seconds=LASTING)
    def a_store_is_away_for_a_while(self, which: int, hangs: bool, seconds: int) -> None:
        store = self._store(which)
        store.mood = "hangs" if hangs else "away"
        self.here.loop.call_later(seconds, store.be_well)

    @event(which=WHICH)
    def what_waits_for_a_store_is_dropped(self, which: int) -> None:
        self.here.disk.leave(self._store(which).name, 2)

    # What the exchange does.

    @event(mood=st.sampled_from(["away", "refuses", "denies"]), seconds=LASTING)
    def the_exchange_is_away_for_a_while(self, mood: Literal["away", "refuses", "denies"], seconds: int) -> None:
        self.here.exchange.mood = mood
        self.here.loop.call_later(seconds, self.here.exchange.be_well)

    @event(count=st.integers(1, 6))
    def some_requests_fail(self, count: int) -> None:
        self.here.exchange.failures = count

    @event(rows=st.sampled_from([0, 0, 1, 3, 20]))
    def the_newest_rows_are_late(self, rows: int) -> None:
        self.here.exchange.lag = rows

    @event(pair=PAIR, back=BACK, count=st.integers(1, 5), deleted=st.booleans())
    def rows_are_missing(self, pair: str, back: int, count: int, deleted: bool) -> None:
        for open_ms in self._opens(pair, back, count, deleted=deleted):
            self.here.exchange.hide(PAIRS[pair], open_ms, known=self.here.is_held(pair, open_ms))
            self.here.ever_lacked.add((pair, open_ms))

    @event(pair=PAIR, back=BACK, count=st.integers(1, 2), deleted=st.booleans())
    def rows_are_impossible(self, pair: str, back: int, count: int, deleted: bool) -> None:
        for open_ms in self._opens(pair, back, count, deleted=deleted):
            self.here.exchange.spoil(PAIRS[pair], open_ms, known=self.here.is_held(pair, open_ms))
            self.here.ever_spoiled.add((pair, open_ms))

    @event(pair=PAIR, count=st.integers(1, 4))
    def the_oldest_rows_that_are_not_there_come(self, pair: str, count: int) -> None:
        exchange, name = self.here.exchange, PAIRS[pair]
        for open_ms in sorted(exchange.lacks[name] | exchange.spoiled[name])[:count]:
            exchange.mend(name, open_ms)

    # What happens to the process.

    @event(again=st.sampled_from([True, True, False]))
    def the_process_is_killed(self, again: bool) -> None:
        self.here.kill()
        if again:
            self.here.start()

    @event(candles=st.integers(1, 60), stored=st.booleans())
    def a_backfill_extends(self, candles: int, stored: bool) -> None:
        """It stores what the exchange has and re-rolls; now and then some of it is lost before the next pass."""
        end_ms = self.here.covered_ms
        start_ms = self.here.extend(end_ms - candles * CANDLE_MS)
        if stored and all(store.mood == "well" for store in self.here.stores):
            self.here.other_collector_stores(FIRST, start_ms, end_ms)
            for timeframe in ROLLUP_TIMEFRAMES:
                for store in self.here.stores:
                    store.roll(timeframe, self.here.exchange.now_ms, 20 * DAY_MS)

    @event()
    def a_pair_is_listed(self) -> None:
        self._list()

    @precondition(lambda self: self.world and SECOND in self.world.listed)
    @event()
    def a_pair_leaves(self) -> None:
        del self.here.listed[SECOND]
        if self.here.process:
            self.here.process.watched.pop(SECOND)
            self.here.process.ingest.unwatch(SECOND)

    # What must be true.

    @invariant()
    def no_gap_is_open_of_what_was_there_since_the_last_pass(self) -> None:
        if not self.world or not self.world.process:
            return
        for store, repair in zip(self.world.stores, self.world.process.repairs, strict=True):
            begun = max((at for at in store.checked if at <= self._last_pass(repair.name)), default=0.0)
            for pair in repair.ledger.open.keys() & self.world.process.watched.keys():
                for open_ms in repair.ledger.open[pair]:
                    lacks = store.get(OHLCV_BASE, pair, open_ms) is None
                    assert lacks or self.world.arrived_at(store.name, pair, open_ms) >= begun

    @invariant()
    def what_was_due_to_be_asked_again_was_asked_by_the_last_pass(self) -> None:
        if not self.world or not self.world.process:
            return
        exchange = self.world.exchange
        for store, repair in zip(self.world.stores, self.world.process.repairs, strict=True):
            begun = max((at for at in store.checked if at <= self._last_pass(repair.name)), default=0.0)
            if exchange.troubled < begun:
                assert FIRST not in repair.ledger.due_again(exchange.start_ms + round(begun * 1000))

    def heal(self) -> None:
        """Everything comes back, including the exchange's rows if they ever do. Then a week and some days pass."""
        here, exchange = self.here, self.here.exchange
        exchange.be_well()
        exchange.lag = 0
        if self.comes:
            for name in PAIRS.values():
                for open_ms in exchange.lacks[name] | exchange.spoiled[name]:
                    exchange.mend(name, open_ms)
        for store in here.stores:
            store.be_well()
        self._list()
        here.start()
        for _ in range(3):
            here.close_candle(PAIRS, confirmed=True)
        here.pass_time(400)
        for leap_ms in (AGAIN_MS[-1], DAY_MS + HOUR_MS):
            here.leap(leap_ms, rolled=True)
            here.pass_time(400)
        asked = exchange.requests
        here.pass_time(1_000)  # the frames of five candles are lost, only repair restores them
        self.requests = exchange.requests - asked

    def assert_truth(self) -> None:
        """Each store has what the exchange has, `gaps` record the rest correctly, and nothing else is requested."""
        assert self.requests <= 2 * 2 * 6, "more than one request for each candle, pair and store"
        for store in self.here.stores:
            for pair in PAIRS:
                start_ms = self._start_ms(pair)
                missing = self.assert_candles(store, pair, start_ms)
                self.assert_windows(store, pair, start_ms, missing)

    def assert_candles(self, store: Store, pair: str, start_ms: int) -> dict[int, str]:
        """Return the candles that the store lacks, rightly, and what `gaps` record for each."""
        end_ms = self.here.exchange.forming_ms() - CANDLE_MS
        stored = dict(store.items(OHLCV_BASE, pair, start_ms, end_ms))
        assert all(numbers_of(fields) == numbers_of(true_fields(open_ms)) for open_ms, fields in stored.items())
        missing = set(range(start_ms, end_ms, CANDLE_MS)) - stored.keys()
        gaps = {gap.open_ms: gap for gap in store.noted(0, end_ms) if gap.pair == pair}
        assert not [gap for gap in gaps.values() if gap.state == "open"]
        assert not [gap for gap in gaps.values() if gap.open_ms in stored and gap.state != "repaired"]
        exchange, name = self.here.exchange, PAIRS[pair]
        for open_ms in missing:
            gap = gaps[open_ms]
            assert gap.again
            if open_ms in exchange.lacks[name]:
                assert gap.state == "exchange_hole"
            elif open_ms in exchange.spoiled[name]:
                assert gap.state == "invalid"
            else:  # it arrived after the last request
                assert gap.again.is_over()
        return {open_ms: gaps[open_ms].state for open_ms in missing}

    def assert_windows(self, store: Store, pair: str, start_ms: int, missing: dict[int, str]) -> None:
        """Every window that can exist does, and is right."""
        exchange, name = self.here.exchange, PAIRS[pair]
        for timeframe in ROLLUP_TIMEFRAMES:
            length_ms, measurement = timeframe_ms(timeframe), f"ohlcv_{timeframe}"
            holes: dict[int, list[int]] = {}
            for open_ms in missing:
                holes.setdefault(open_ms // length_ms * length_ms, []).append(open_ms)
            until_ms = exchange.now_ms - HOUR_MS - length_ms
            for window_ms in range(-(-start_ms // length_ms) * length_ms, until_ms, length_ms):
                fields = store.get(measurement, pair, window_ms)
                if window_ms not in holes:
                    assert fields, f"{measurement} {window_ms} is missing"
                    assert trades_of(fields) == true_trades(window_ms, length_ms), measurement
                elif all(open_ms in exchange.thin[name] for open_ms in holes[window_ms]):
                    self.assert_own(fields, pair, window_ms, length_ms)
            begin_ms = exchange.first_ms[name]
            for window_ms in older_windows(start_ms, begin_ms, exchange.now_ms, length_ms, OWN_WINDOWS):
                self.assert_own(store.get(measurement, pair, window_ms), pair, window_ms, length_ms)

    def assert_own(self, fields: str | None, pair: str, window_ms: int, length_ms: int) -> None:
        """A window that our candles cannot produce is the exchange's own."""
        exchange, name = self.here.exchange, PAIRS[pair]
        members = range(max(window_ms, exchange.first_ms[name]), window_ms + length_ms, CANDLE_MS)
        there = [open_ms for open_ms in members if open_ms not in exchange.thin[name]]
        if exchange.rotten[name].isdisjoint(members) and there:
            assert fields, "the exchange's own window is missing"
            # It may have been rolled up or fetched when more candles were there.
            assert candles_of(fields) in (0, length_ms // CANDLE_MS)
            assert sum(map(trades_at, there)) <= trades_of(fields) <= sum(map(trades_at, members))

    def _list(self) -> None:
        """List the second pair unless it is listed."""
        here = self.here
        if SECOND not in here.listed:
            here.listed[SECOND] = symbol(SECOND, here.exchange.first_ms[PAIRS[SECOND]])
            if here.process:
                here.process.watched[SECOND] = here.listed[SECOND]
                here.process.ingest.watch(SECOND, here.exchange.forming_ms())
                here.process.repairer.look_soon()

    def _store(self, which: int) -> Store:
        return self.here.stores[which % len(self.here.stores)]

    def _start_ms(self, pair: str) -> int:
        return self.here.covered_ms if pair == FIRST else self.here.first_covered_ms

    def _opens(self, pair: str, back: int, count: int, *, deleted: bool) -> range:
        """Some of the newest covered candles that the stores may lack, from the forming one back."""
        last_ms = self.here.exchange.forming_ms() - back * CANDLE_MS
        start_ms = self._start_ms(pair)
        opens = range(max(last_ms - count * CANDLE_MS, start_ms + CANDLE_MS), last_ms + 1, CANDLE_MS)
        for store in self.here.stores if deleted and opens else ():
            store.delete(OHLCV_BASE, pair, opens[0], opens[-1] + 1)
        return opens

    def _last_pass(self, store: str) -> float:
        assert self.here.process
        return self.here.process.repairer.last_pass_seconds[store]


class RepairingTwo(Repairing):
    """Two stores: what one has, the other gets."""

    stores = ("main", "second")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """These examples log thousands of warnings."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


TestRepairing = Repairing.TestCase
TestRepairingTwo = RepairingTwo.TestCase
TestRepairingTwo.settings = settings(max_examples=examples(30), stateful_step_count=25)
TestRepairing.settings = settings(max_examples=examples(60), stateful_step_count=25)
