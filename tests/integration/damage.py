"""Damages a store as a person with the operator token can, and photographs it, without the collector's code."""

import json
import urllib.request
from datetime import UTC, datetime
from typing import Any

from tests.integration.servers import InfluxStack
from tests.integration.store_truth import stored

BUCKETS = {"3m": "market_data"} | dict.fromkeys(("15m", "1h", "4h", "1d"), "market_data_rollup")


def alter(influx: InfluxStack, pair: str, interval: str, time_ms: int, fields: str) -> None:
    """Write fields (line protocol) over one point."""
    line = f"ohlcv_{interval},exchange=BINANCE_FUTURES,pair={pair} {fields} {time_ms}"
    _post(influx, f"/api/v2/write?org={influx.org}&bucket={BUCKETS[interval]}&precision=ms", line.encode())


def delete(influx: InfluxStack, pair: str, interval: str, time_ms: int) -> None:
    """Delete one point."""
    delete_span(influx, pair, BUCKETS[interval], f"ohlcv_{interval}", time_ms, time_ms)


def delete_span(influx: InfluxStack, pair: str, bucket: str, measurement: str, first_ms: int, last_ms: int) -> None:
    """Delete the points of one pair from `first_ms` to `last_ms`, inclusive."""
    start, stop = (
        datetime.fromtimestamp(at / 1000, UTC).isoformat().replace("+00:00", "Z") for at in (first_ms, last_ms)
    )
    quoted = pair.replace('"', '\\"')
    predicate = f'_measurement="{measurement}" AND pair="{quoted}"'
    body = json.dumps({"start": start, "stop": stop, "predicate": predicate}).encode()
    _post(influx, f"/api/v2/delete?org={influx.org}&bucket={bucket}", body)


def photograph(influx: InfluxStack, pairs: list[str], until_ms: int) -> dict[tuple[str, str, int], dict[str, Any]]:
    """Every stored candle and window that opened before `until_ms`, by pair, interval and time."""
    return {
        (pair, interval, time_ms): row
        for pair in pairs
        for interval, bucket in BUCKETS.items()
        for time_ms, row in stored(influx, bucket, f"ohlcv_{interval}", pair).items()
        if time_ms < until_ms
    }


def _post(influx: InfluxStack, path: str, body: bytes) -> None:
    headers = {"Authorization": f"Token {influx.operator_token}"}
    with urllib.request.urlopen(urllib.request.Request(influx.url + path, body, headers), timeout=30) as answer:
        assert answer.status == 204
