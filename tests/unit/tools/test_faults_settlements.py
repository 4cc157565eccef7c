"""What the fault table counts of settled funding."""

from tools.faults.settlements import Settlements

HOUR_MS = 3_600_000
TRUTH = {HOUR_MS + 2: (0.0001, 50.0), 5 * HOUR_MS: (-0.0002, 51.0), 9 * HOUR_MS + 1: (0.0003, 52.0)}


def judged(stored: dict[int, tuple[float, float | None]]) -> tuple[int, int, int]:
    found = Settlements()
    found.add("A/USDT:USDT", stored, TRUTH)
    assert found.expected == len(TRUTH)
    assert bool(found.examples) == bool(found.lost or found.wrong)
    return found.lost, found.doubled, found.wrong


def test_what_is_stored_as_it_settled_is_right() -> None:
    assert judged(dict(TRUTH)) == (0, 0, 0)


def test_a_settlement_that_is_not_stored_is_lost() -> None:
    assert judged({at: paid for at, paid in TRUTH.items() if at != 5 * HOUR_MS}) == (1, 0, 0)


def test_a_settlement_that_is_stored_under_two_milliseconds_is_doubled() -> None:
    assert judged({**TRUTH, 5 * HOUR_MS + 3: (-0.0002, 51.0)}) == (0, 1, 0)


def test_another_rate_or_mark_price_or_time_is_wrong() -> None:
    assert judged({**TRUTH, 5 * HOUR_MS: (-0.0003, 51.0)}) == (0, 0, 1)
    assert judged({**TRUTH, 5 * HOUR_MS: (-0.0002, None)}) == (0, 0, 1)
    assert judged({**TRUTH, 13 * HOUR_MS: (-0.0002, 51.0)}) == (0, 0, 1)
