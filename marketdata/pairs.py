"""Pairs in freqtrade's notation ``BASE/QUOTE:SETTLE`` (``BTC/USDT:USDT``) and the exchange's symbols (``BTCUSDT``)."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from marketdata.errors import InvalidPair

__all__ = ["InvalidPair", "Pair", "pair_of", "parse_pair", "symbol_of"]


_NOT_IN_A_BASE = "/:\\"


class Pair(NamedTuple):
    """The three currencies of a linear perpetual."""

    base: str
    quote: str
    settle: str


def pair_of(base: str, quote: str, margin: str) -> str:
    """Return the pair for the exchange's ``baseAsset``, ``quoteAsset`` and ``marginAsset``.

    Raises InvalidPair if one of them cannot be part of a pair.
    """
    pair = f"{base}/{quote}:{margin}"
    parse_pair(pair)
    return pair


@lru_cache(maxsize=8192)
def parse_pair(pair: str) -> Pair:
    """Split ``BASE/QUOTE:SETTLE``; raises InvalidPair.

    The base is the exchange's name for the coin: printable text in any script (``币安人生``, ``T$``), except for
    ``/`` and ``:``, which separate the parts of a pair, and the backslash, which line protocol cannot escape.
    Quote and settle are letters and digits of any script and ``_ - .``.
    """
    base, _, rest = pair.partition("/")
    quote, _, settle = rest.partition(":")
    if not (_is_base(base) and _is_currency(quote) and _is_currency(settle)):
        raise InvalidPair(f"{pair!r} is not a pair: write BASE/QUOTE:SETTLE, for example BTC/USDT:USDT")
    return Pair(base, quote, settle)


def symbol_of(pair: str) -> str:
    """Return the symbol of a perpetual: ``BTC/USDT:USDT`` is ``BTCUSDT``. Raises InvalidPair."""
    parsed = parse_pair(pair)
    return parsed.base + parsed.quote


def _is_base(text: str) -> bool:
    return bool(text) and text.isprintable() and not any(character in _NOT_IN_A_BASE for character in text)


def _is_currency(text: str) -> bool:
    return bool(text) and all(character.isalnum() or character in "_-." for character in text)
