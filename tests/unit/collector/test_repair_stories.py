"""Cases that the state machine of repair has found, or rarely finds, step by step."""

from exchange.events import CANDLE_MS
from marketdata.schema import OHLCV_BASE
from tests.support.repairing import FIRST, PAIRS
from tests.unit.collector.test_repair_interleavings import LEAPS_MS, Repairing, RepairingTwo, quiet

quiet = quiet


def test_a_window_with_another_hole_is_fetched_again_when_one_of_its_candles_arrives_late() -> None:
    machine = Repairing()
    machine.begin(onboard_early=0, comes=False)
    try:
        machine.rows_are_missing(pair=FIRST, back=12, count=4, deleted=True, then_seconds=400.0)
        machine.the_oldest_rows_that_are_not_there_come(pair=FIRST, count=1, then_seconds=0.0)
        machine.a_long_time_passes(leap_ms=LEAPS_MS[0], rolled=True, then_seconds=400.0)
    finally:
        machine.teardown()


def test_a_response_that_proves_nothing_still_counts_and_the_next_request_waits_for_its_time() -> None:
    machine = Repairing()
    machine.begin(onboard_early=0, comes=False)
    try:
        machine.rows_are_missing(pair=FIRST, back=8, count=2, deleted=True, then_seconds=400.0)
        machine.the_newest_rows_are_late(rows=20, then_seconds=0.0)
        machine.a_long_time_passes(leap_ms=LEAPS_MS[0], rolled=True, then_seconds=400.0)
        machine.what_was_due_to_be_asked_again_was_asked_by_the_last_pass()
    finally:
        machine.teardown()


def test_a_missing_row_before_a_known_hole_is_a_hole_too_and_not_open_forever() -> None:
    machine = Repairing()
    machine.begin(onboard_early=0, comes=False)
    try:
        machine.a_long_time_passes(leap_ms=LEAPS_MS[0], rolled=False, then_seconds=5.0)
        machine.rows_are_missing(pair=FIRST, back=36, count=5, deleted=True, then_seconds=0.0)
        machine.a_long_time_passes(leap_ms=LEAPS_MS[2], rolled=False, then_seconds=0.0)
    finally:
        machine.teardown()


def test_an_impossible_row_that_vanishes_before_another_missing_one_is_a_hole() -> None:
    machine = Repairing()
    machine.begin(onboard_early=0, comes=False)
    try:
        machine.rows_are_impossible(pair=FIRST, back=0, count=1, deleted=False, then_seconds=0.65)
        machine.rows_are_missing(pair=FIRST, back=0, count=1, deleted=False, then_seconds=0.0)
    finally:
        machine.teardown()


def test_a_candle_that_one_store_lost_and_the_exchange_no_longer_has_is_copied_from_the_other_store() -> None:
    machine = RepairingTwo()
    machine.begin(onboard_early=0, comes=False)
    here = machine.here
    try:
        machine.candles_close(count=3, lost=set(), confirmed=True, then_seconds=400.0)
        (open_ms,) = (here.exchange.forming_ms() - 3 * CANDLE_MS,)
        here.exchange.hide(PAIRS[FIRST], open_ms, known=True)
        here.ever_lacked.add((FIRST, open_ms))
        here.stores[0].delete(OHLCV_BASE, FIRST, open_ms, open_ms + CANDLE_MS)
        here.pass_time(400)
        for store in here.stores:
            assert store.get(OHLCV_BASE, FIRST, open_ms)
            assert [gap.state for gap in store.noted(open_ms, open_ms + 1)] == ["repaired"]
        assert here.process
        assert [repair.ledger.gaps_open + repair.ledger.exchange_holes for repair in here.process.repairs] == [0, 0]
    finally:
        machine.teardown()
