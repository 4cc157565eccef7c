"""The symbols an exchange lists, and which pairs the operator wants collected. Pure.

An exchange's adapter parses its response into a `Universe` (Binance: exchange/binance/universe.py).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from marketdata.pairs import InvalidPair, symbol_of

type State = Literal["trading", "halted", "ended"]
"""Whether a symbol trades: now, not at the moment, or never again."""

type Kind = Literal["coin", "index", "other"]
"""The underlying of a linear perpetual: a coin, or an index of coins. Anything else is `other`, and not collected."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """One symbol. `pair` is freqtrade's notation; precisions are decimals of price and of base amounts.

    `status` and `description` (its kind of contract) are the exchange's own words, for the operator.
    `begins_ms`: open time of the first candle of its present contract. The exchange does not report it: it is the
    listing date, `onboard_ms`, until exchange/first_candles.py knows better.
    """

    symbol: str
    pair: str
    base: str
    quote: str
    kind: Kind
    state: State
    status: str
    description: str
    price_precision: int
    quantity_precision: int
    onboard_ms: int
    begins_ms: int

    @property
    def ours(self) -> bool:
        """Whether it is of a kind we collect, trading or not."""
        return self.kind != "other"


@dataclass(frozen=True, slots=True)
class InvalidRow:
    """A row that may be ours and cannot be read. `symbol` is empty if even that is missing."""

    symbol: str
    reason: str


@dataclass(frozen=True, slots=True)
class Universe:
    """Every symbol the exchange lists, by symbol, in the exchange's order; and what could not be read.

    `invalid` are the rows that may be ours, `unread` the symbols of all rows that could not be read, ours or not.
    """

    symbols: dict[str, Instrument]
    invalid: tuple[InvalidRow, ...] = ()
    unread: frozenset[str] = frozenset()

    @property
    def empty(self) -> bool:
        """Whether it lists nothing at all: it is not known yet."""
        return not self.symbols and not self.unread

    def __contains__(self, symbol: object) -> bool:
        """Whether the exchange lists a symbol, even if its row is unreadable."""
        return symbol in self.symbols or symbol in self.unread

    def eligible(self, include_index: bool = False) -> list[Instrument]:
        """Return what may be collected, sorted by pair: trading contracts on a coin (or a coin index)."""
        kinds = ("coin", "index") if include_index else ("coin",)
        found = [info for info in self.symbols.values() if info.state == "trading" and info.kind in kinds]
        return sorted(found, key=lambda info: info.pair)


@dataclass(frozen=True, slots=True)
class Selection:
    """The result of the operator's `pairs`, `include` and `exclude`.

    `symbols`: collected now. `not_trading`: named by the operator and known, but halted or delisted; worth a warning,
    but no reason not to start. `unmatched`: include and exclude patterns that match no pair. `unreadable`: pairs named
    by the operator that the exchange lists in a row we cannot read.
    """

    symbols: tuple[Instrument, ...]
    not_trading: tuple[Instrument, ...] = ()
    unmatched: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()


class UnknownPair(ValueError):
    """A pair in the configuration that cannot be collected. `nearest` are real ones that may have been meant."""

    def __init__(self, pair: str, reason: str, nearest: Sequence[str]) -> None:
        hint = f"; nearest: {', '.join(nearest)}" if nearest else ""
        super().__init__(f"pair {pair!r} {reason}{hint}")
        self.pair = pair
        self.nearest = tuple(nearest)


def select(
    universe: Universe,
    pairs: Literal["all"] | Sequence[str],
    include: Sequence[str] = ("*",),
    exclude: Sequence[str] = (),
    *,
    include_index: bool = False,
) -> Selection:
    """Return the symbols to collect: of `pairs` ("all" eligible, or a list) those in `include` but not in `exclude`.

    `fits` defines the patterns: ``*/USDT:USDT``, ``1000*``. A pair listed by name that is known but not trading ends up
    in `not_trading`. Raises UnknownPair for a name the exchange does not list as a contract we collect.
    """
    eligible = universe.eligible(include_index)
    unreadable: tuple[str, ...] = ()
    if pairs == "all":
        candidates, not_trading = eligible, []
    else:
        unreadable = unreadable_of(universe, pairs)
        named = [_named(universe, pair, include_index) for pair in dict.fromkeys(pairs) if pair not in unreadable]
        candidates = [info for info in named if info.state == "trading"]
        not_trading = [info for info in named if info.state != "trading"]
    return Selection(
        tuple(info for info in candidates if _wanted(info.pair, include, exclude)),
        tuple(info for info in not_trading if _wanted(info.pair, include, exclude)),
        tuple(
            pattern
            for pattern in (*include, *exclude)
            if not any(fits(info.pair, pattern) for info in (*candidates, *not_trading))
        ),
        unreadable,
    )


def fits(pair: str, pattern: str) -> bool:
    """Whether a pattern of the configuration matches a pair: literally, or by fnmatch; case-sensitive."""
    return pair == pattern or fnmatchcase(pair, pattern)


def unreadable_of(universe: Universe, pairs: Iterable[str]) -> tuple[str, ...]:
    """Return those of the pairs, each once, that the exchange lists in a row that may be ours and cannot be read."""
    invalid = {row.symbol for row in universe.invalid} - universe.symbols.keys()
    return tuple(pair for pair in dict.fromkeys(pairs) if _symbol_of(pair) in invalid)


def _wanted(pair: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    return any(fits(pair, pattern) for pattern in include) and not any(fits(pair, pattern) for pattern in exclude)


def _symbol_of(pair: str) -> str | None:
    try:
        return symbol_of(pair)
    except InvalidPair:
        return None


def _named(universe: Universe, pair: str, include_index: bool) -> Instrument:
    found = next((info for info in universe.symbols.values() if info.pair == pair), None)
    if found is None:
        raise UnknownPair(pair, "is not listed on the exchange", _nearest(universe, pair, include_index))
    if not found.ours:
        raise UnknownPair(pair, f"is not collected: it is a {found.description}", ())
    if found.kind == "index" and not include_index:
        raise UnknownPair(pair, "is an index, and indices are not collected by default", ())
    return found


def _nearest(universe: Universe, pair: str, include_index: bool) -> list[str]:
    """Up to three eligible pairs: the one meant in another notation (BTCUSDT, btc/usdt), else the closest spellings."""
    eligible = universe.eligible(include_index)
    key = _letters(pair)
    same = [info.pair for info in eligible if key in (info.symbol, info.base, _letters(info.pair))]
    if same:
        return same[:3]
    by_key = {_letters(info.pair): info.pair for info in eligible}
    return [by_key[close] for close in difflib.get_close_matches(key, by_key, n=3, cutoff=0.7)]


def _letters(text: str) -> str:
    return "".join(character for character in text.upper() if character.isalnum())
