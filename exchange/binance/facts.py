"""Binance USDT-M futures in numbers."""

from exchange.binance.limits import BEST_KLINES_LIMIT
from exchange.facts import Facts
from marketdata.schema import EXCHANGE

FACTS = Facts(
    id=EXCHANGE,
    rest_url="https://fapi.binance.com",
    websocket_url="wss://fstream.binance.com",
    # More streams would make the URL longer than the 8,004 characters the exchange accepts (docs/binance.md 1.2).
    streams_per_connection=200,
    # Our part of the 300 attempts an IP is allowed in five minutes: two collectors and a restart stay below it.
    connection_attempts=120,
    # The exchange closes a connection after 24 h (docs/binance.md 1.2).
    connection_life_seconds=23 * 3600 + 50 * 60.0,
    # One row less than the limit that costs a weight of 2 (docs/binance.md 2).
    cheapest_rows=99,
    best_rows=BEST_KLINES_LIMIT,
)
