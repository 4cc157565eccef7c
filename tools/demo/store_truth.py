"""Reads the store by plain InfluxQL over HTTP with a read-only token; for check, probe and screen."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from tools.demo.compare import BASE, CANDLES, FIELDS, Row

RAW, ROLLUP, SAMPLES = "market_data", "market_data_rollup", "market_data_samples"
TAGS = ("exchange", "pair")


class StoreFailed(Exception):
    """The store did not answer a query; the message says why."""


@dataclass(frozen=True)
class Sample:
    """The newest value of a field of one pair, with its time."""

    time_ms: int
    value: float


@dataclass(frozen=True)
class Stored:
    """All candles of one pair and interval by open time. doubled: additional rows with the same open time."""

    rows: dict[int, Row]
    doubled: int


def bucket(interval: str) -> str:
    """Return the bucket of an interval."""
    return RAW if interval == BASE else ROLLUP


class Store:
    """InfluxQL queries; times are in ms."""

    def __init__(self, url: str, token_file: str) -> None:
        token = Path(token_file).read_text(encoding="utf-8").strip()
        self._url = url
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Token {token}"}, timeout=aiohttp.ClientTimeout(total=30)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        await self._session.close()

    async def newest(self, database: str, measurement: str, field: str, since: str) -> dict[str, Sample]:
        """Return the newest value of every pair; since is how far to look back, in InfluxQL's notation: 5m."""
        query = f'SELECT last("{field}") FROM "{measurement}" WHERE time > now() - {since} GROUP BY "pair"'
        return {
            series["tags"]["pair"]: Sample(*series["values"][-1][:2]) for series in await self._query(database, query)
        }

    async def candles(self, pair: str, interval: str, since_ms: int = 0) -> Stored:
        """Return everything the store has for one pair and interval that opens at since_ms or later."""
        fields = ", ".join(f'"{name}"' for name in self._fields(interval))
        query = f'SELECT {fields} FROM "ohlcv_{interval}" WHERE "pair" = $pair AND time >= {since_ms}ms'
        answer = await self._query(bucket(interval), query, {"pair": pair})
        values = [row for series in answer for row in series["values"]]
        rows: dict[int, Row] = {row[0]: dict(zip(self._fields(interval), row[1:], strict=True)) for row in values}
        return Stored(rows, len(values) - len(rows))

    async def settlements(self, pair: str) -> dict[int, tuple[float, float | None]]:
        """Return the settled funding of one pair: rate and mark price by funding time."""
        query = 'SELECT "rate", "mark_price" FROM "funding_settled" WHERE "pair" = $pair'
        answer = await self._query(RAW, query, {"pair": pair})
        return {row[0]: (row[1], row[2]) for series in answer for row in series["values"]}

    async def series(self, interval: str) -> list[dict[str, str]]:
        """Return the tags of every series of an interval."""
        answer = await self._query(bucket(interval), f'SHOW SERIES FROM "ohlcv_{interval}"')
        return [tags_of(row[0]) for series in answer for row in series["values"]]

    @staticmethod
    def _fields(interval: str) -> Sequence[str]:
        return FIELDS if interval == BASE else (*FIELDS, CANDLES)

    async def _query(self, database: str, query: str, params: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        form = {"db": database, "epoch": "ms", "q": query, "params": json.dumps(params or {})}
        try:
            async with self._session.post(f"{self._url}/query", data=form) as answer:
                body = await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise StoreFailed(f"{self._url}: {type(error).__name__}: {error}") from error
        result = (body.get("results") or [{}])[0]
        if problem := body.get("error") or body.get("message") or result.get("error"):
            raise StoreFailed(f"{self._url}: {problem}")
        series: list[dict[str, Any]] = result.get("series", [])
        return series


def tags_of(key: str) -> dict[str, str]:
    """Parse the tags in a series' key: `ohlcv_3m,exchange=BINANCE_FUTURES,pair=BTC/USDT:USDT`."""
    parts = re.split(r"(?<!\\),", key)[1:]
    pairs = (re.split(r"(?<!\\)=", part, maxsplit=1) for part in parts)
    return {name: re.sub(r"\\([,= ])", r"\1", value) for name, value in pairs}
