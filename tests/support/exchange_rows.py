"""Rows of the exchange's answers, for tests that serve them."""

from typing import Any


def symbol_row(onboard_ms: int, symbol: str = "BTCUSDT") -> dict[str, Any]:
    """Return the row of exchangeInfo, in which only the date matters."""
    return {
        "symbol": symbol,
        "contractType": "PERPETUAL",
        "status": "TRADING",
        "baseAsset": symbol.removesuffix("USDT"),
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "underlyingType": "COIN",
        "pricePrecision": 1,
        "quantityPrecision": 0,
        "onboardDate": onboard_ms,
    }
