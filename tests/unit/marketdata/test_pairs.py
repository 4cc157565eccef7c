"""Pairs and symbols."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata.errors import MarketDataError
from marketdata.pairs import InvalidPair, Pair, pair_of, parse_pair, symbol_of

# Possible names of coins: printable, except for the separators of a pair and the backslash.
bases = st.text(
    st.characters(codec="utf-8", exclude_characters="/:\\").filter(str.isprintable), min_size=1, max_size=12
)
currencies = st.text(st.characters(categories=("Lu", "Ll", "Lo", "Nd"), include_characters="_-."), min_size=1)


@given(bases, currencies, currencies)
def test_a_pair_is_parsed_into_its_three_currencies(base: str, quote: str, margin: str) -> None:
    assert parse_pair(pair_of(base, quote, margin)) == Pair(base, quote, margin)


@pytest.mark.parametrize(
    ("pair", "symbol"),
    [
        ("BTC/USDT:USDT", "BTCUSDT"),
        ("1000SHIB/USDT:USDT", "1000SHIBUSDT"),
        ("币安人生/USDT:USDT", "币安人生USDT"),
        ("BTC/USDC:USDC", "BTCUSDC"),
        ("T$/USDT:USDT", "T$USDT"),
        ('A B,C="D"/USDT:USDT', 'A B,C="D"USDT'),
    ],
)
def test_the_symbol_is_base_and_quote(pair: str, symbol: str) -> None:
    assert symbol_of(pair) == symbol


@pytest.mark.parametrize(
    "text",
    [
        "",
        "BTCUSDT",
        "BTC/USDT",
        "/USDT:USDT",
        "BTC/:USDT",
        "BTC/USDT:",
        "BTC/USDT:USDT:USDT",
        "BTC/USDT:USDT ",
        "BTC/US DT:USDT",
        "BTC/USDT:US$",
        "BTC/US,DT:USDT",
    ]
    + [f"B{character}C/USDT:USDT" for character in "\n\t\r\\/:\u2028\u202e\ud800\x00"],
)
def test_an_invalid_pair_is_refused_with_the_expected_notation(text: str) -> None:
    with pytest.raises(InvalidPair, match="BASE/QUOTE:SETTLE") as refused:
        parse_pair(text)
    assert isinstance(refused.value, ValueError)
    assert isinstance(refused.value, MarketDataError)
