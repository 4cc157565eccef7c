"""The collector's read access to one InfluxDB: InfluxQL for its content, Flux to re-roll. Uses the repair token."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from collector.model.gap import Gap, State
from exchange.again import Again
from marketdata.schema import BUCKET_RAW, EXCHANGE, GAPS, NOT_AT_EXCHANGE, OHLCV_BASE
from service.config_file import ConfigError, read_token

TIMEOUT = aiohttp.ClientTimeout(total=120, connect=5)


class StoreError(Exception):
    """The store did not answer the query; the message gives the reason in one line."""


def token_of(file: Path) -> Callable[[], str]:
    """Return a function that reads the token for each request and raises StoreError if the file cannot be read.

    The token existed at startup, so one that disappears (a rotation, a slow disk) is handled like a store that is
    down: a command that runs for hours waits instead of ending.
    """

    def read() -> str:
        try:
            return read_token(file)
        except ConfigError as error:
            raise StoreError(str(error)) from error

    return read


class StoreReader:
    """Queries one store for one exchange's points. Every method raises StoreError if the query fails."""

    def __init__(
        self, url: str, org: str, token: Callable[[], str], session: aiohttp.ClientSession, *, exchange: str = EXCHANGE
    ) -> None:
        self._url = url
        self._org = org
        self._token = token
        self._session = session
        self._exchange = exchange

    async def check(self) -> None:
        """Return if the store can be queried now."""
        await self.counts(BUCKET_RAW, OHLCV_BASE, "close", 0, 1)

    async def counts(self, bucket: str, measurement: str, field: str, start_ms: int, end_ms: int) -> dict[str, int]:
        """Return the number of points of ``field`` in [start_ms, end_ms) by pair; pairs without any are absent."""
        query = f'SELECT count("{field}") FROM "{measurement}" {_range(start_ms, end_ms)} GROUP BY pair'
        return {pair: int(rows[0][1]) for pair, rows in (await self._influxql(bucket, query, {})).items()}

    async def counts_by_time(
        self, bucket: str, measurement: str, field: str, start_ms: int, end_ms: int, every_ms: int
    ) -> dict[str, dict[int, int]]:
        """Return `counts` for each span of ``every_ms`` (aligned to the epoch), by pair and start of the span.

        Spans without any point are absent.
        """
        stretches = f"GROUP BY pair, time({every_ms}ms) fill(none)"
        query = f'SELECT count("{field}") FROM "{measurement}" {_range(start_ms, end_ms)} {stretches}'
        answer = await self._influxql(bucket, query, {})
        return {pair: {int(time_ms): int(count) for time_ms, count in rows} for pair, rows in answer.items()}

    async def times_ms(
        self, bucket: str, measurement: str, field: str, pair: str, start_ms: int, end_ms: int
    ) -> set[int]:
        """Return the times of the points of one pair in [start_ms, end_ms), UTC milliseconds."""
        query = f'SELECT "{field}" FROM "{measurement}" {_range(start_ms, end_ms)} AND pair = $pair GROUP BY pair'
        series = await self._influxql(bucket, query, {"pair": pair})
        return {int(row[0]) for row in series.get(pair, [])}

    async def rows(
        self, bucket: str, measurement: str, fields: Sequence[str], pair: str, start_ms: int, end_ms: int
    ) -> dict[int, dict[str, float | None]]:
        """Return the points of one pair in [start_ms, end_ms) by time (ms); None if a point lacks the field."""
        columns = ", ".join(f'"{field}"' for field in fields)
        query = f'SELECT {columns} FROM "{measurement}" {_range(start_ms, end_ms)} AND pair = $pair GROUP BY pair'
        series = await self._influxql(bucket, query, {"pair": pair})
        return {int(row[0]): dict(zip(fields, row[1:], strict=True)) for row in series.get(pair, [])}

    async def gaps(self, channel: str, start_ms: int, end_ms: int) -> list[Gap]:
        """Return the gaps of a channel in [start_ms, end_ms) that are not repaired."""
        query = (
            f'SELECT "state", "reason", "since_ms", "asked" FROM "{GAPS}" {_range(start_ms, end_ms)}'
            f" AND channel = $channel AND \"state\" != 'repaired' GROUP BY pair"
        )
        answer = await self._influxql(BUCKET_RAW, query, {"channel": channel})
        return [_gap(pair, *row) for pair, rows in answer.items() for row in rows]

    async def all_times_ms(
        self, bucket: str, measurement: str, field: str, start_ms: int, end_ms: int
    ) -> dict[str, list[int]]:
        """Return the times of the points in [start_ms, end_ms), UTC ms, by pair; for measurements with few points."""
        query = f'SELECT "{field}" FROM "{measurement}" {_range(start_ms, end_ms)} GROUP BY pair'
        series = await self._influxql(bucket, query, {})
        return {pair: [int(row[0]) for row in rows] for pair, rows in series.items()}

    async def flux(self, script: str) -> None:
        """Run a script that writes; its output is only searched for errors, which Flux reports in the stream."""
        headers = {"Accept": "application/csv", "Content-Type": "application/vnd.flux"}
        text = await self._request("POST", "/api/v2/query", {"org": self._org}, headers, script.encode())
        for row in csv.reader(io.StringIO(text)):
            if "error" in row and "reference" in row:
                raise StoreError("the roll-up script failed: " + text.strip().splitlines()[-1][:300])

    async def _influxql(self, bucket: str, query: str, binds: dict[str, str]) -> dict[str, list[list[Any]]]:
        params = {"db": bucket, "q": query, "epoch": "ms", "params": json.dumps({"exchange": self._exchange, **binds})}
        text = await self._request("POST", "/query", {}, {"Accept": "application/json"}, params)
        try:
            result = json.loads(text)["results"][0]
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise StoreError(f"response of {self._url} is not InfluxQL's: {text[:100]!r}") from error
        if "error" in result:
            raise StoreError(f"bucket={bucket}: {result['error']}")
        return {series["tags"]["pair"]: series["values"] for series in result.get("series", [])}

    async def _request(
        self, method: str, path: str, params: dict[str, str], headers: dict[str, str], body: bytes | dict[str, str]
    ) -> str:
        headers = {"Authorization": f"Token {self._token()}", **headers}
        try:
            async with self._session.request(
                method, self._url + path, params=params, headers=headers, data=body, timeout=TIMEOUT
            ) as response:
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise StoreError(f"{self._url} does not respond: {error or type(error).__name__}") from error
        if response.status != 200:
            raise StoreError(f"{self._url}{path} responds with {response.status}: {text.strip()[:200]}")
        return text


def _gap(pair: str, time_ms: int, state: State, reason: str, since_ms: int | None, asked: int | None) -> Gap:
    if state not in NOT_AT_EXCHANGE or since_ms is None or asked is None:
        return Gap(pair, int(time_ms), state, reason)
    return Gap(pair, int(time_ms), state, reason, Again(int(since_ms), int(asked)))


def _range(start_ms: int, end_ms: int) -> str:
    return f"WHERE exchange = $exchange AND time >= {start_ms}ms AND time < {end_ms}ms"
