"""The demo's comparison can fail: each kind of damage is found, and nothing else is."""

from hypothesis import given
from hypothesis import strategies as st

from tools.demo.compare import FIELDS, LENGTH_MS, PRICES, SUMS, Row, Verdict, compare

PAIR = "BTC/USDT:USDT"
HOUR_MS = LENGTH_MS["1h"]
FIRST_MS = 1_795_305_600_000  # 2026-11-22 00:00 UTC
VALUES = (100.1, 101.5, 99.9, 100.7, 12.345, 1234.56789, 6.1, 610.5, 42.0)


def row(**changed: float | None) -> dict[str, float | None]:
    return {**dict(zip(FIELDS, VALUES, strict=True)), **changed}


def rows(interval: str, count: int, **changed: float | None) -> dict[int, Row]:
    return {FIRST_MS + i * LENGTH_MS[interval]: row(**changed) for i in range(count)}


def judge(
    interval: str, stored: dict[int, Row], exchange: dict[int, Row], *, rolled_from_ms: int = FIRST_MS
) -> Verdict:
    return compare(interval, PAIR, stored, exchange, quantity_precision=3, rolled_from_ms=rolled_from_ms)


def test_equal_candles_are_right_and_all_compared() -> None:
    verdict = judge("3m", rows("3m", 5), rows("3m", 5))
    assert (verdict.wrong, verdict.compared, verdict.examples) == (0, 5, [])


@given(st.sampled_from(FIELDS))
def test_any_altered_field_of_a_3m_candle_differs(name: str) -> None:
    stored = rows("3m", 5)
    stored[FIRST_MS] = {**stored[FIRST_MS], name: (stored[FIRST_MS][name] or 0) * (1 + 1e-15) + 1e-13}
    verdict = judge("3m", stored, rows("3m", 5))
    assert (verdict.differing, verdict.wrong) == (1, 1)
    assert PAIR in verdict.examples[0]
    assert name in verdict.examples[0]


def test_a_candle_that_is_not_stored_is_missing() -> None:
    stored = rows("3m", 5)
    del stored[FIRST_MS + LENGTH_MS["3m"]]
    verdict = judge("3m", stored, rows("3m", 5))
    assert (verdict.missing, verdict.wrong) == (1, 1)


def test_a_pair_that_is_not_stored_at_all_misses_every_candle() -> None:
    assert judge("3m", {}, rows("3m", 5)).missing == 5


def test_a_candle_between_the_grid_lines_is_off_grid_even_outside_the_compared_span() -> None:
    stored = rows("3m", 5)
    stored[FIRST_MS - 1] = row()
    assert judge("3m", stored, rows("3m", 5)).off_grid == 1


def test_a_candle_that_the_exchange_does_not_have_differs() -> None:
    exchange = rows("3m", 5)
    del exchange[FIRST_MS + LENGTH_MS["3m"]]
    verdict = judge("3m", rows("3m", 5), exchange)
    assert (verdict.differing, verdict.exchange_holes, verdict.missing) == (1, 1, 0)


def test_a_candle_newer_than_what_is_due_is_not_judged() -> None:
    verdict = judge("3m", rows("3m", 6), rows("3m", 5))
    assert (verdict.wrong, verdict.compared) == (0, 5)


def test_an_untraded_candle_is_right_only_without_open_high_and_low() -> None:
    nothing: dict[str, float | None] = {**dict.fromkeys(SUMS, 0.0), "trades": 0.0}
    same: dict[str, float | None] = dict.fromkeys(PRICES, 100.7)
    exchange = rows("3m", 1, **nothing, **same)
    bare: dict[str, float | None] = {"open": None, "high": None, "low": None, "close": 100.7}
    assert judge("3m", rows("3m", 1, **nothing, **bare), exchange).wrong == 0
    assert judge("3m", rows("3m", 1, **nothing, **same), exchange).differing == 1


def test_a_rolled_window_may_differ_in_sums_by_half_of_the_last_decimal_and_not_more() -> None:
    exchange = rows("1h", 1)
    assert judge("1h", rows("1h", 1, candles=20.0, volume=12.345 + 0.0004), exchange).wrong == 0
    assert judge("1h", rows("1h", 1, candles=20.0, volume=12.345 + 0.0006), exchange).differing == 1


@given(st.sampled_from((*PRICES, "trades")))
def test_a_rolled_window_may_not_differ_in_prices_nor_in_trades(name: str) -> None:
    stored = rows("1h", 1, candles=20.0)
    stored[FIRST_MS] = {**stored[FIRST_MS], name: (stored[FIRST_MS][name] or 0) + 0.0001}
    assert judge("1h", stored, rows("1h", 1)).differing == 1


def test_a_fetched_window_must_be_the_exchange_s_candle_to_the_last_digit() -> None:
    stored = rows("1h", 1, candles=0.0, volume=12.345 + 0.0004)
    assert judge("1h", stored, rows("1h", 1), rolled_from_ms=FIRST_MS + HOUR_MS).differing == 1


def test_a_window_of_some_of_its_candles_differs() -> None:
    assert judge("1h", rows("1h", 1, candles=19.0), rows("1h", 1)).differing == 1


def test_only_rolled_windows_count_as_compared_and_fetched_ones_as_fetched() -> None:
    stored = rows("1h", 4, candles=20.0)
    stored[FIRST_MS] = row(candles=0.0)
    verdict = judge("1h", stored, rows("1h", 4), rolled_from_ms=FIRST_MS + 1)
    assert (verdict.compared, verdict.windows_fetched, verdict.wrong) == (3, 1, 0)


def test_a_window_fetched_although_its_candles_are_stored_is_wrong() -> None:
    stored = rows("1h", 4, candles=20.0)
    stored[FIRST_MS + HOUR_MS] = row(candles=0.0)
    verdict = judge("1h", stored, rows("1h", 4))
    assert (verdict.not_rolled, verdict.wrong) == (1, 1)


def test_a_window_without_trades_is_right_with_and_without_its_three_prices() -> None:
    nothing: dict[str, float | None] = {**dict.fromkeys(SUMS, 0.0), "trades": 0.0}
    same: dict[str, float | None] = dict.fromkeys(PRICES, 100.7)
    bare: dict[str, float | None] = {"open": None, "high": None, "low": None, "close": 100.7}
    exchange = rows("1h", 1, **nothing, **same)
    assert judge("1h", rows("1h", 1, candles=20.0, **nothing, **same), exchange).wrong == 0
    assert judge("1h", rows("1h", 1, candles=0.0, **nothing, **bare), exchange, rolled_from_ms=FIRST_MS + 1).wrong == 0


def test_verdicts_of_pairs_add_up_and_keep_a_few_examples() -> None:
    total = Verdict()
    for _ in range(3):
        total.add(judge("3m", {}, rows("3m", 2)))
    assert total.missing == 6
    assert len(total.examples) == 3
