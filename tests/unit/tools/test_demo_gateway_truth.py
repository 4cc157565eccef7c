"""What the demo says of candles that a gateway serves."""

from tools.demo.compare import Row
from tools.demo.gateway_truth import served_wrong

PAIR = "BTC/USDT:USDT"
STEP_MS = 180_000


def rows(first: int, count: int, close: float = 1.0) -> dict[int, Row]:
    return {n * STEP_MS: {"close": close + n} for n in range(first, first + count)}


def test_the_newest_candles_as_the_exchange_has_them_are_right() -> None:
    assert served_wrong(PAIR, rows(5, 5), rows(0, 10)) == []


def test_a_candle_that_is_newer_than_what_is_due_is_not_judged() -> None:
    assert served_wrong(PAIR, rows(5, 7), rows(0, 10)) == []


def test_a_missing_and_a_differing_candle_are_named() -> None:
    served = rows(5, 5)
    del served[7 * STEP_MS]
    assert str(7 * STEP_MS) in served_wrong(PAIR, served, rows(0, 10))[0]
    assert len(served_wrong(PAIR, rows(5, 5, close=2.0), rows(0, 10))) == 1


def test_where_there_is_no_gateway_nothing_is_wrong() -> None:
    assert served_wrong(PAIR, {}, rows(0, 10)) == []
