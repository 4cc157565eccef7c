"""Parses Binance's exchangeInfo into the universe of symbols. Pure.

exchangeInfo lists far more than we collect (2026-10-07: 924 symbols, 789 trading, about 217 of those on stocks, metals
and indices; quarterlies; delisted ones for months). Rows of other kinds may contain anything; ours must be complete.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exchange.universe import Instrument, InvalidRow, Kind, Universe
from marketdata.pairs import InvalidPair, pair_of

PERPETUAL = "PERPETUAL"
TRADING = "TRADING"
QUOTE = "USDT"
COIN = "COIN"
INDEX = "INDEX"

ENDED = frozenset({"DELIVERING", "DELIVERED", "SETTLING", "CLOSE"})
"""Statuses of symbols that will never trade again (docs/binance.md 2); any other than TRADING is a halt."""

_KINDS: dict[tuple[str, str, str, str], Kind] = {
    (PERPETUAL, QUOTE, QUOTE, COIN): "coin",
    (PERPETUAL, QUOTE, QUOTE, INDEX): "index",
}
"""What we collect, by contract type, quote, margin and underlying type: USDT-margined perpetuals."""


def parse(exchange_info: object) -> Universe:
    """Read the response of /fapi/v1/exchangeInfo, as in 2021 and as in 2026. Never raises, whatever the input."""
    listed = exchange_info.get("symbols") if isinstance(exchange_info, Mapping) else None
    if not isinstance(listed, list):
        return Universe({}, (InvalidRow("", "exchangeInfo has no list of symbols"),))
    symbols: dict[str, Instrument] = {}
    invalid: list[InvalidRow] = []
    unread: set[str] = set()
    for row in listed:
        info = _symbol_info(row)
        if isinstance(info, Instrument):
            symbols[info.symbol] = info
            continue
        if info.symbol:
            unread.add(info.symbol)
        if _may_be_ours(row):
            invalid.append(info)
    return Universe(symbols, tuple(invalid), frozenset(unread))


def _symbol_info(row: Any) -> Instrument | InvalidRow:
    if not isinstance(row, Mapping):
        return InvalidRow("", "is not an object")
    symbol = row.get("symbol")
    if not isinstance(symbol, str) or not symbol:
        return InvalidRow("", "has no symbol")
    try:
        onboard_ms = _int(row, "onboardDate", 0, 2**53)
        base, quote, margin = _text(row, "baseAsset"), _text(row, "quoteAsset"), _text(row, "marginAsset")
        status, contract_type = _text(row, "status"), _text(row, "contractType", may_be_empty=True)
        underlying_type = _text(row, "underlyingType")
        info = Instrument(
            symbol=symbol,
            pair=_pair_of(base, quote, margin) + _delivery(symbol, base + quote),
            base=base,
            quote=quote,
            kind=_KINDS.get((contract_type, quote, margin, underlying_type), "other"),
            state="trading" if status == TRADING else "ended" if status in ENDED else "halted",
            status=status,
            description=f"{contract_type or 'contract'} on {underlying_type}, margin {margin}",
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
    """Whether nothing in a row we could not read shows that it is of another kind."""
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
        raise _Unreadable(f"has a name that cannot form a pair: {(base, quote, margin)!r:.80}") from None


def _delivery(symbol: str, of: str) -> str:
    """For quarterlies only: ccxt's notation BTC/USDT:USDT-261225, so that they do not share the perpetual's pair."""
    date = symbol.removeprefix(of + "_")
    return "" if date == symbol else f"-{date}"


class _Unreadable(ValueError):
    """A field of a row is missing, has the wrong type, or cannot be named or stored."""


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
