"""exchangeInfo to the universe of symbols, and the operator's wishes to the pairs collected. Pure.

exchangeInfo lists far more than we collect (2026-10-07: 924 symbols, 789 trading, of those about 217 on stocks, metals
and indices; quarterlies; delisted ones for months). Rows of other kinds may hold anything; a row of ours must be whole.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from marketdata.pairs import InvalidPair, pair_of, symbol_of

PERPETUAL = "PERPETUAL"
TRADING = "TRADING"
QUOTE = "USDT"
COIN = "COIN"
INDEX = "INDEX"


@dataclass(frozen=True, slots=True)
class SymbolInfo:
    """One row of exchangeInfo. `pair` is freqtrade's notation; precisions are decimals of price and of base amounts.

    `begins_ms`: open of the first 3m candle of its present contract. exchangeInfo does not say: it is the row's
    onboardDate until exchange/first_candles.py knows better.
    """

    symbol: str
    pair: str
    base: str
    quote: str
    margin: str
    status: str
    contract_type: str
    underlying_type: str
    price_precision: int
    quantity_precision: int
    onboard_ms: int
    begins_ms: int

    @property
    def ours(self) -> bool:
        """Whether it is a kind we collect, whatever its status: a USDT-margined perpetual on a coin or a coin index."""
        kind = (self.contract_type, self.quote, self.margin)
        return kind == (PERPETUAL, QUOTE, QUOTE) and self.underlying_type in (COIN, INDEX)


@dataclass(frozen=True, slots=True)
class InvalidRow:
    """A row that may be ours and cannot be read. `symbol` is empty where not even that is there."""

    symbol: str
    reason: str


@dataclass(frozen=True, slots=True)
class Universe:
    """Every symbol the exchange lists, by symbol, in the exchange's order; and what could not be read.

    `invalid` are the rows that may be ours, `unread` the symbols of all rows that could not be read, whoever's.
    """

    symbols: dict[str, SymbolInfo]
    invalid: tuple[InvalidRow, ...] = ()
    unread: frozenset[str] = frozenset()

    @property
    def empty(self) -> bool:
        """Whether it lists nothing at all: then it is not known yet."""
        return not self.symbols and not self.unread

    def __contains__(self, symbol: object) -> bool:
        """Whether the exchange lists a symbol, be its row readable or not."""
        return symbol in self.symbols or symbol in self.unread

    def eligible(self, include_index: bool = False) -> list[SymbolInfo]:
        """Return what may be collected, sorted by pair: perpetual, trading, USDT, on a coin (or a coin index)."""
        kinds = (COIN, INDEX) if include_index else (COIN,)
        found = [
            info
            for info in self.symbols.values()
            if info.ours and info.status == TRADING and info.underlying_type in kinds
        ]
        return sorted(found, key=lambda info: info.pair)


@dataclass(frozen=True, slots=True)
class Selection:
    """What the operator's `pairs`, `include` and `exclude` come to.

    `symbols`: collected now. `not_trading`: asked for by name and known, but halted or delisted; worth a warning, not
    a refusal to start. `unmatched`: include and exclude patterns that fit no pair. `unreadable`: pairs asked for by
    name that the exchange lists in a row we cannot read.
    """

    symbols: tuple[SymbolInfo, ...]
    not_trading: tuple[SymbolInfo, ...] = ()
    unmatched: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()


class UnknownPair(ValueError):
    """A pair in the configuration that cannot be collected. `nearest` are real ones that may have been meant."""

    def __init__(self, pair: str, reason: str, nearest: Sequence[str]) -> None:
        hint = f"; nearest: {', '.join(nearest)}" if nearest else ""
        super().__init__(f"pair {pair!r} {reason}{hint}")
        self.pair = pair
        self.nearest = tuple(nearest)


def parse(exchange_info: object) -> Universe:
    """Read the answer of /fapi/v1/exchangeInfo, of 2021 as of 2026. Never raises, whatever it is given."""
    listed = exchange_info.get("symbols") if isinstance(exchange_info, Mapping) else None
    if not isinstance(listed, list):
        return Universe({}, (InvalidRow("", "exchangeInfo has no list of symbols"),))
    symbols: dict[str, SymbolInfo] = {}
    invalid: list[InvalidRow] = []
    unread: set[str] = set()
    for row in listed:
        info = _symbol_info(row)
        if isinstance(info, SymbolInfo):
            symbols[info.symbol] = info
            continue
        if info.symbol:
            unread.add(info.symbol)
        if _may_be_ours(row):
            invalid.append(info)
    return Universe(symbols, tuple(invalid), frozenset(unread))


def select(
    universe: Universe,
    pairs: Literal["all"] | Sequence[str],
    include: Sequence[str] = ("*",),
    exclude: Sequence[str] = (),
    *,
    include_index: bool = False,
) -> Selection:
    """Return the symbols to collect: `pairs` ("all" eligible, or a list), of them `include`, of them not `exclude`.

    Patterns are those of `fits`: ``*/USDT:USDT``, ``1000*``. A pair listed by name that is known but not trading lands
    in `not_trading`. Raises UnknownPair for a name the exchange does not list as a contract we collect.
    """
    eligible = universe.eligible(include_index)
    unreadable: tuple[str, ...] = ()
    if pairs == "all":
        candidates, not_trading = eligible, []
    else:
        unreadable = unreadable_of(universe, pairs)
        named = [_named(universe, pair, include_index) for pair in dict.fromkeys(pairs) if pair not in unreadable]
        candidates = [info for info in named if info.status == TRADING]
        not_trading = [info for info in named if info.status != TRADING]
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
    """Whether a pattern of the configuration names a pair: by its own text, or as fnmatch has it; case counts."""
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


def _named(universe: Universe, pair: str, include_index: bool) -> SymbolInfo:
    found = next((info for info in universe.symbols.values() if info.pair == pair), None)
    if found is None:
        raise UnknownPair(pair, "is not listed on the exchange", _nearest(universe, pair, include_index))
    if not found.ours:
        kind = f"{found.contract_type or 'contract'} on {found.underlying_type}, margin {found.margin}"
        raise UnknownPair(pair, f"is not collected: it is a {kind}", ())
    if found.underlying_type == INDEX and not include_index:
        raise UnknownPair(pair, "is an index, and indices are not collected by default", ())
    return found


def _nearest(universe: Universe, pair: str, include_index: bool) -> list[str]:
    """Up to three eligible pairs: the one meant by another notation (BTCUSDT, btc/usdt), else by spelling."""
    eligible = universe.eligible(include_index)
    key = _letters(pair)
    same = [info.pair for info in eligible if key in (info.symbol, info.base, _letters(info.pair))]
    if same:
        return same[:3]
    by_key = {_letters(info.pair): info.pair for info in eligible}
    return [by_key[close] for close in difflib.get_close_matches(key, by_key, n=3, cutoff=0.7)]


def _letters(text: str) -> str:
    return "".join(character for character in text.upper() if character.isalnum())


def _symbol_info(row: Any) -> SymbolInfo | InvalidRow:
    if not isinstance(row, Mapping):
        return InvalidRow("", "is not an object")
    symbol = row.get("symbol")
    if not isinstance(symbol, str) or not symbol:
        return InvalidRow("", "has no symbol")
    try:
        onboard_ms = _int(row, "onboardDate", 0, 2**53)
        base, quote, margin = _text(row, "baseAsset"), _text(row, "quoteAsset"), _text(row, "marginAsset")
        info = SymbolInfo(
            symbol=symbol,
            pair=_pair_of(base, quote, margin) + _delivery(symbol, base + quote),
            base=base,
            quote=quote,
            margin=margin,
            status=_text(row, "status"),
            contract_type=_text(row, "contractType", may_be_empty=True),
            underlying_type=_text(row, "underlyingType"),
            price_precision=_int(row, "pricePrecision", 0, 20),
            quantity_precision=_int(row, "quantityPrecision", 0, 20),
            onboard_ms=onboard_ms,
            begins_ms=onboard_ms,
        )
    except _Unreadable as error:
        return InvalidRow(symbol, str(error))
    if info.ours and symbol != base + quote:
        return InvalidRow(symbol, f"is not {base}{quote}: its pair would name another symbol")
    return info


def _may_be_ours(row: Any) -> bool:
    """Whether nothing in a row we could not read says that it is of another kind."""
    if not isinstance(row, Mapping):
        return False
    ours: dict[str, tuple[str, ...]] = {
        "contractType": (PERPETUAL,),
        "quoteAsset": (QUOTE,),
        "marginAsset": (QUOTE,),
        "underlyingType": (COIN, INDEX),
    }
    return all(not isinstance(row.get(key), str) or row[key] in values for key, values in ours.items())


def _pair_of(base: str, quote: str, margin: str) -> str:
    try:
        return pair_of(base, quote, margin)
    except InvalidPair:
        raise _Unreadable(f"has a name that makes no pair: {(base, quote, margin)!r:.80}") from None


def _delivery(symbol: str, of: str) -> str:
    """Quarterlies only: ccxt's notation BTC/USDT:USDT-261225, lest they share the perpetual's pair."""
    date = symbol.removeprefix(of + "_")
    return "" if date == symbol else f"-{date}"


class _Unreadable(ValueError):
    """A field of a row is missing, of another type, or nothing we can name or store."""


def _text(row: Mapping[Any, Any], key: str, *, may_be_empty: bool = False) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not (value or may_be_empty):
        raise _Unreadable(f"has no {key}")
    return value


def _int(row: Mapping[Any, Any], key: str, least: int, most: int) -> int:
    value = row.get(key)
    if type(value) is not int or not least <= value <= most:
        raise _Unreadable(f"has no usable {key}: {value!r:.40}")
    return value
