"""Symbols with any coin name are collected or reported, and nothing is lost on the way."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.publish.spooled import candle_of
from exchange.binance.universe import parse
from exchange.universe import InvalidRow, Universe, fits, select
from marketdata.candle_values import CandleValues
from marketdata.influxql import Query
from marketdata.ohlcv import where
from marketdata.pairs import parse_pair, symbol_of
from marketdata.serializer import candle_line, gap_line, mark_price_line
from tests.support.line_protocol import parse_line
from tests.unit.exchange.test_universe import BTC, coin, listing

OPEN_MS = 1_789_948_800_000
CANDLE = CandleValues("2", "3", "1", "2", "5", "10", "1", "2", 4)

# Anything that JSON can contain: control characters, lone surrogates, marks that change the writing direction.
anything = st.text(max_size=12)
likely = st.text(st.sampled_from("T$ ,=\"'\\/:;#%&+?@[]{}()*!^`|~<>.-_x9é币🚀\u200d\u202e"), max_size=8)


def lines_of(pair: str) -> list[str]:
    return [
        candle_line("ohlcv_3m", pair, OPEN_MS, CANDLE, now_ms=OPEN_MS),
        mark_price_line(pair, OPEN_MS, "1", "1", now_ms=OPEN_MS),
        gap_line(pair, OPEN_MS, "open", "no frame", "candles_3m", now_ms=OPEN_MS),
    ]


@given(anything | likely)
def test_a_symbol_with_any_coin_name_is_collected_under_that_name_or_reported(base: str) -> None:
    universe = listing(coin(base), BTC)
    assert f"{base}USDT" in universe
    collected = [info for info in universe.eligible() if info.symbol == f"{base}USDT"]
    named = [row.symbol for row in universe.invalid]
    assert len(collected) + len(named) == 1
    for info in collected:
        assert parse_pair(info.pair).base == base
        assert symbol_of(info.pair) == info.symbol
        lines = lines_of(info.pair)
        assert [parse_line(line)[1]["pair"] for line in lines] == [info.pair] * len(lines)
        candle = candle_of(lines[0])
        assert candle is not None
        assert candle.pair == info.pair
        assert info.pair in Query("market_data", *where([info.pair], 0, 1)).params.values()
        assert fits(info.pair, info.pair)
        assert select(universe, [info.pair]).symbols == (info,)


@pytest.mark.parametrize(
    "base", ["T$", "A_B", "A B", "A,B", "A=B", 'A"B', "A'B", "A#B", "A+B", "A%41", "[A]", "A&B", "🚀", "é"]
)
def test_a_name_that_can_be_stored_is_collected(base: str) -> None:
    universe = listing(coin(base))
    assert [info.pair for info in universe.eligible()] == [f"{base}/USDT:USDT"]
    assert universe.invalid == ()


@pytest.mark.parametrize("base", ["A\\B", "A/B", "A:B", "A\nB", "A\u202eB", "\ud800"])
def test_a_name_that_cannot_be_stored_is_reported_in_one_printable_line(base: str) -> None:
    (row,) = listing(coin(base)).invalid
    assert row.symbol == f"{base}USDT"
    assert row.reason.startswith("has a name that cannot form a pair")
    assert row.reason.isprintable()


def test_a_symbol_of_unknown_kind_is_listed_but_not_collected() -> None:
    stock_or_coin = {name: value for name, value in coin("ABC").items() if name != "underlyingType"}
    universe = listing(stock_or_coin)
    assert universe == Universe({}, (InvalidRow("ABCUSDT", "has no underlyingType"),), frozenset({"ABCUSDT"}))
    assert not universe.empty
    assert "ABCUSDT" in universe
    assert "ABDUSDT" not in universe


def test_a_damaged_row_of_another_kind_is_listed_without_a_warning() -> None:
    universe = listing({"symbol": "XAUUSDT", "contractType": "TRADIFI_PERPETUAL"})
    assert universe.invalid == ()
    assert "XAUUSDT" in universe


json_values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)


@given(st.lists(st.dictionaries(st.sampled_from(sorted(BTC)), json_values), max_size=5))
def test_every_row_with_a_symbol_is_in_the_universe(rows: list[dict[str, Any]]) -> None:
    universe = parse({"symbols": rows})
    for row in rows:
        symbol = row.get("symbol")
        if isinstance(symbol, str) and symbol:
            assert symbol in universe
            assert symbol not in universe.symbols or symbol not in universe.unread or len(rows) > 1


@pytest.mark.parametrize("pair", ["[A]/USDT:USDT", "A*B/USDT:USDT", "A?/USDT:USDT"])
def test_a_pair_with_any_characters_can_be_excluded_by_its_exact_name(pair: str) -> None:
    universe = listing(BTC, coin(parse_pair(pair).base))
    assert [info.pair for info in select(universe, "all", exclude=[pair]).symbols] == ["BTC/USDT:USDT"]
    assert select(universe, "all", include=[pair]).unmatched == ()
