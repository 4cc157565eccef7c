"""The store compared with the simulator's truth, by plain InfluxQL and plain REST, without the collector's code."""

import json
import urllib.parse
import urllib.request
from typing import Any

from tests.integration.servers import InfluxStack, Simulator

CANDLE_MS = 180_000
INTERVAL_MS = {"3m": CANDLE_MS, "15m": 900_000, "1h": 3_600_000, "4h": 14_400_000, "1d": 86_400_000}
FIELDS = (
    "open",
    "high",
    "low",
    "close",
    "volume",
    "quote_volume",
    "taker_buy_volume",
    "taker_buy_quote_volume",
    "trades",
)
COLUMNS = (1, 2, 3, 4, 5, 7, 9, 10, 8)
"""Where Binance's kline row holds these fields."""


def stored(influx: InfluxStack, bucket: str, measurement: str, pair: str) -> dict[int, dict[str, Any]]:
    """Every point of one series, by time (ms)."""
    query = f'SELECT * FROM "{measurement}" WHERE pair = $pair'
    parameters = {"db": bucket, "q": query, "epoch": "ms", "params": json.dumps({"pair": pair})}
    request = urllib.request.Request(
        f"{influx.url}/query",
        urllib.parse.urlencode(parameters).encode(),
        {"Authorization": f"Token {influx.token('reader', 'probe')}"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        result = json.load(answer)["results"][0]
    assert "error" not in result, result
    series = result.get("series", [])
    assert len(series) <= 1
    return {
        row[0]: dict(zip(series[0]["columns"], row, strict=True)) for row in (series[0]["values"] if series else [])
    }


def truth(simulator: Simulator, symbol: str, interval: str, start_ms: int, end_ms: int) -> dict[int, list[Any]]:
    """The exchange's own rows with open times in [start_ms, end_ms), by open time."""
    query = urllib.parse.urlencode({"symbol": symbol, "interval": interval, "start": start_ms, "end": end_ms - 1})
    return {row[0]: row for row in simulator.fetch(f"/_control/truth?{query}")}


def differences(
    influx: InfluxStack, simulator: Simulator, pair: str, interval: str, start_ms: int, end_ms: int
) -> list[str]:
    """What differs between store and exchange in [start_ms, end_ms): missing, surplus, off the grid, wrong values."""
    symbol = pair.replace("/USDT:USDT", "USDT")
    bucket = "market_data" if interval == "3m" else "market_data_rollup"
    has = {t: row for t, row in stored(influx, bucket, f"ohlcv_{interval}", pair).items() if start_ms <= t < end_ms}
    should = truth(simulator, symbol, interval, start_ms, end_ms)
    found = [f"{pair} {interval} missing {t}" for t in sorted(should.keys() - has.keys())]
    found += [f"{pair} {interval} surplus {t}" for t in sorted(has.keys() - should.keys())]
    found += [f"{pair} {interval} off the grid {t}" for t in has if t % INTERVAL_MS[interval]]
    for t in sorted(should.keys() & has.keys()):
        found += [f"{pair} {interval} {t} {problem}" for problem in _wrong(has[t], should[t])]
    return found


def _wrong(has: dict[str, Any], should: list[Any]) -> list[str]:
    problems = []
    quantity_digits = len(str(should[5]).partition(".")[2])
    tolerance = 0.5 * 10.0**-quantity_digits  # of every sum, as the schema promises; prices are equal
    for name, column in zip(FIELDS, COLUMNS, strict=True):
        value = has[name]
        if name in ("open", "high", "low") and not should[8]:
            if value is not None:
                problems.append(f"{name} is stored for a candle without trades")
            continue
        allowed = tolerance if "volume" in name else 0.0
        if value is None or abs(float(value) - float(should[column])) > allowed:
            problems.append(f"{name} is {value}, the exchange says {should[column]}")
    return problems
