"""What ccxt makes of the gateway's answers, against what it makes of the exchange's own, by both of its classes."""

import time
from typing import Any

import pytest

from tests.clients.conftest import Served
from tools.clients import scripts

pytestmark = pytest.mark.usefixtures("fleet")

PAIR = "BTC/USDT:USDT"
LEVELS = 5
NEAR = 0.01
"""What moves is asked of two servers one after the other."""

type Answers = dict[str, Any]


@pytest.fixture(scope="session")
def answers(served: Served) -> tuple[Answers, Answers]:
    """The gateway's and the exchange's, each by class and call."""
    start_ms = time.time_ns() // 1_000_000 - 86_400_000
    by_address = [
        served.run(
            scripts.ccxt_answers(served.experiment.interpreter, address, PAIR, start_ms, served.folder / f"ccxt-{name}")
        )
        for name, address in (("gateway", served.stack.served), ("exchange", served.stack.exchange))
    ]
    return by_address[0], by_address[1]


BOTH = pytest.mark.parametrize("kind", ["sync", "async"])


@BOTH
@pytest.mark.parametrize(
    "call", ["fetch_ohlcv_since", "fetch_mark_ohlcv", "fetch_funding_rate_history", "fetch_funding_intervals"]
)
def test_what_is_settled_is_equal(answers: tuple[Answers, Answers], kind: str, call: str) -> None:
    given, true = (answer[kind][call] for answer in answers)
    assert true
    assert "error" not in true
    assert given == true


@BOTH
def test_the_markets_are_equal(answers: tuple[Answers, Answers], kind: str) -> None:
    given, true = (answer[kind]["load_markets"] for answer in answers)
    assert PAIR in true
    assert given == true


@BOTH
def test_the_newest_candles_are_equal_but_for_the_forming_one(answers: tuple[Answers, Answers], kind: str) -> None:
    given, true = ({row[0]: row for row in answer[kind]["fetch_ohlcv"][:-1]} for answer in answers)
    common = given.keys() & true.keys()
    assert len(common) >= 496
    assert {at: given[at] for at in common} == {at: true[at] for at in common}


@BOTH
@pytest.mark.parametrize("call", ["fetch_funding_rate", "fetch_ticker"])
def test_what_moves_has_the_same_form(answers: tuple[Answers, Answers], kind: str, call: str) -> None:
    given, true = (answer[kind][call] for answer in answers)
    assert form(given) == form(true)
    for name in ("markPrice", "indexPrice", "last"):
        if isinstance(true.get(name), float):
            assert given[name] == pytest.approx(true[name], rel=NEAR)


@BOTH
@pytest.mark.parametrize("call", ["fetch_funding_rates", "fetch_tickers", "fetch_bids_asks"])
def test_what_moves_is_there_for_every_pair(answers: tuple[Answers, Answers], kind: str, call: str) -> None:
    given, true = (answer[kind][call] for answer in answers)
    assert PAIR in true
    assert given.keys() == true.keys()
    assert {pair: form(row) for pair, row in given.items()} == {pair: form(row) for pair, row in true.items()}


@BOTH
def test_the_order_book_has_its_levels_in_order(answers: tuple[Answers, Answers], kind: str) -> None:
    given, true = (answer[kind]["fetch_order_book"] for answer in answers)
    assert form(given) == form(true)
    bids, asks = ([price for price, _ in given[side]] for side in ("bids", "asks"))
    assert len(bids) == len(asks) == LEVELS
    assert [*reversed(bids), *asks] == sorted({*bids, *asks})


@BOTH
def test_the_time_is_the_exchanges(answers: tuple[Answers, Answers], kind: str) -> None:
    given, true = (answer[kind]["fetch_time"] for answer in answers)
    assert abs(given - true) < 60_000


def form(value: object) -> object:
    """A value without its numbers: keys, and the kind of each."""
    if isinstance(value, dict):
        return {key: form(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [form(value[0])] if value else []
    return "number" if isinstance(value, int | float) else type(value).__name__
