"""Prints how ccxt parses the gateway's responses, in its sync and async classes. Runs in the clients' environment.

    python ccxt_calls.py CONFIG.json PAIR START_MS

CONFIG.json: {"ccxt": what the documented block passes to ccxt, "pairs": [...]}. Prints one JSON object: the result of
each call, for `sync` and `async`.
"""

import asyncio
import inspect
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ccxt
import ccxt.async_support


def calls(exchange: Any, pair: str, start_ms: int) -> dict[str, Callable[[], Any]]:
    """Return the calls by name, in order: each needs the markets loaded by the first."""
    return {
        "load_markets": exchange.load_markets,
        "fetch_time": exchange.fetch_time,
        "fetch_ohlcv": lambda: exchange.fetch_ohlcv(pair, "3m", limit=499),
        "fetch_ohlcv_since": lambda: exchange.fetch_ohlcv(pair, "1h", since=start_ms, limit=20),
        "fetch_mark_ohlcv": lambda: exchange.fetch_mark_ohlcv(pair, "1h", since=start_ms, limit=20),
        "fetch_funding_rate": lambda: exchange.fetch_funding_rate(pair),
        "fetch_funding_rates": exchange.fetch_funding_rates,
        "fetch_funding_rate_history": lambda: exchange.fetch_funding_rate_history(pair, since=start_ms, limit=50),
        "fetch_funding_intervals": exchange.fetch_funding_intervals,
        "fetch_ticker": lambda: exchange.fetch_ticker(pair),
        "fetch_tickers": exchange.fetch_tickers,
        "fetch_bids_asks": exchange.fetch_bids_asks,
        "fetch_order_book": lambda: exchange.fetch_order_book(pair, 5),
    }


async def answers(exchange: Any, pair: str, start_ms: int) -> dict[str, Any]:
    """Return the result of each call; an exception of ccxt as {"error": its class and text}."""
    found: dict[str, Any] = {}
    for name, call in calls(exchange, pair, start_ms).items():
        try:
            answer = call()
            found[name] = await answer if inspect.isawaitable(answer) else answer
        except ccxt.BaseError as error:
            found[name] = {"error": f"{type(error).__name__}: {error}"}
    return found


async def both(config: dict[str, Any], pair: str, start_ms: int) -> dict[str, Any]:
    """Return the results for both classes."""
    found = {"sync": await answers(ccxt.binance(config), pair, start_ms)}
    async with ccxt.async_support.binance(config) as exchange:
        found["async"] = await answers(exchange, pair, start_ms)
    return found


if __name__ == "__main__":
    _config = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print(json.dumps(asyncio.run(both(_config, sys.argv[2], int(sys.argv[3])))))
