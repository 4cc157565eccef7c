"""How the witness's file is judged."""

import json

from tools.clients import witness_log
from tools.clients.witness_log import Judgement, Witnessed

MINUTE_MS = 60_000
LENGTH_MS = {"3m": 180_000, "1h": 3_600_000}
OPEN_MS = 1_791_383_580_000 // 180_000 * 180_000
CLOSE_MS = OPEN_MS + 180_000


def row(open_ms: int, close: float = 100.0) -> list[float]:
    return [open_ms, 99.0, 101.0, 98.0, close, 7.0]


def truth(*opens: int, close: float = 100.0) -> dict[int, dict[str, float]]:
    return {at: dict(zip(witness_log.COLUMNS, row(at, close)[1:], strict=True)) for at in opens}


def written(*entries: object) -> Witnessed:
    return witness_log.parse(json.dumps(entry) for entry in entries)


def seen(seen_ms: int, *rows: list[float], timeframe: str = "3m", pair: str = "BTC/USDT:USDT") -> dict[str, object]:
    return {"seen_ms": seen_ms, "pair": pair, "timeframe": timeframe, "rows": list(rows)}


def judged(witnessed: Witnessed, true: dict[int, dict[str, float]], timeframe: str = "3m") -> Judgement:
    return witness_log.judge(witnessed, {("BTC/USDT:USDT", timeframe): true}, LENGTH_MS, base="3m")


def one_close(*, at_ms: int, close: float = 100.0) -> Witnessed:
    return written(
        {"loop_ms": CLOSE_MS - MINUTE_MS},
        seen(CLOSE_MS - MINUTE_MS, row(OPEN_MS - 360_000), row(OPEN_MS - 180_000)),
        {"loop_ms": at_ms},
        seen(at_ms, row(OPEN_MS - 180_000), row(OPEN_MS, close)),
        {"loop_ms": CLOSE_MS + MINUTE_MS},
    )


TRUE = truth(OPEN_MS - 360_000, OPEN_MS - 180_000, OPEN_MS)


def test_a_candle_is_timed_from_its_close_to_the_loop_that_had_it_first() -> None:
    judgement = judged(one_close(at_ms=CLOSE_MS + 2_500), TRUE)
    assert (judgement.delays, judgement.wrong, judgement.missed) == ([2.5], 0, 0)
    assert (judgement.within(6), judgement.within(2), judgement.quantile(0.99)) == (1.0, 0.0, 2.5)


def test_a_candle_that_was_not_final_when_the_bot_had_it_is_wrong() -> None:
    judgement = judged(one_close(at_ms=CLOSE_MS + 1_000, close=100.5), TRUE)
    assert judgement.wrong == 1
    assert "100.5" in judgement.examples[0]


def test_a_candle_that_the_exchange_does_not_have_is_wrong() -> None:
    assert judged(one_close(at_ms=CLOSE_MS + 1_000), truth(OPEN_MS - 360_000, OPEN_MS - 180_000)).wrong == 1


def test_a_pair_that_was_not_given_a_candle_has_missed_it() -> None:
    witnessed = written(
        {"loop_ms": CLOSE_MS - MINUTE_MS},
        seen(CLOSE_MS - MINUTE_MS, row(OPEN_MS - 180_000)),
        {"loop_ms": CLOSE_MS + MINUTE_MS},
    )
    judgement = judged(witnessed, TRUE)
    assert (judgement.missed, judgement.delays) == (1, [])


def test_closes_before_the_first_loop_and_too_near_to_the_end_are_not_timed() -> None:
    assert witness_log.closes([CLOSE_MS + 1, CLOSE_MS + 180_000 + 14_000], 180_000, 15_000) == []
    assert witness_log.closes([CLOSE_MS - 1, CLOSE_MS + 15_000], 180_000, 15_000) == [CLOSE_MS]


def test_a_longer_timeframe_counts_for_its_values_alone() -> None:
    hour_ms = OPEN_MS // 3_600_000 * 3_600_000
    witnessed = written({"loop_ms": 0}, seen(CLOSE_MS, row(hour_ms), timeframe="1h"), {"loop_ms": 1})
    judgement = judged(witnessed, truth(hour_ms), "1h")
    assert (judgement.candles, judgement.wrong, judgement.delays) == (1, 0, [])


def test_the_spans_of_what_was_seen_name_the_truth_that_is_needed() -> None:
    assert witness_log.keys(one_close(at_ms=CLOSE_MS)) == {("BTC/USDT:USDT", "3m"): (OPEN_MS - 360_000, OPEN_MS)}


def test_without_a_close_nothing_was_in_time() -> None:
    assert Judgement().within(6) == 0.0
