"""The store compared with the simulator's truth by the demo's comparison, without the collector's code."""

import json
import urllib.parse
import urllib.request
from typing import Any

from tests.integration.servers import InfluxStack, Simulator
from tools.demo.compare import BASE, LENGTH_MS, compare
from tools.demo.exchange_truth import candle_of

CANDLE_MS = 180_000
INTERVAL_MS = LENGTH_MS


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
    """Examples of what differs between store and exchange in [start_ms, end_ms): missing, surplus, off the grid, wrong.

    The demo's comparison decides. Windows may be rolled from our candles or be the exchange's own.
    """
    bucket = "market_data" if interval == BASE else "market_data_rollup"
    has = {t: row for t, row in stored(influx, bucket, f"ohlcv_{interval}", pair).items() if start_ms <= t < end_ms}
    rows = truth(simulator, pair.replace("/USDT:USDT", "USDT"), interval, start_ms, end_ms)
    should = {t: candle_of(row) for t, row in rows.items()}
    digits = max((len(str(row[5]).partition(".")[2]) for row in rows.values()), default=0)
    verdict = compare(interval, pair, has, should, quantity_precision=digits, rolled_from_ms=end_ms)
    return verdict.examples + [f"{pair} {interval} surplus {t}" for t in sorted(has.keys() - should.keys())]
