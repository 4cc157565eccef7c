"""Reads one InfluxDB with InfluxQL over HTTP. The reader token is read from its file for each request."""

from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from marketdata.errors import StoreUnavailable, Unauthorized
from marketdata.influxql import HEADERS, Query, Series, parse
from marketdata.schema import BUCKET_RAW, BUCKET_ROLLUP
from marketdata.stores import Store

CONNECT_SECONDS = 3.0


class _Bucket(msgspec.Struct, frozen=True):
    id: str
    name: str


class _Buckets(msgspec.Struct, frozen=True):
    buckets: list[_Bucket]


class StoreReader:
    """Queries to one store. Every method raises a MarketDataError if the store gives no usable answer."""

    def __init__(self, url: str, token_file: Path, session: aiohttp.ClientSession, *, timeout_seconds: float) -> None:
        self._store = Store(url, token_file=token_file)
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=CONNECT_SECONDS)

    async def ask(self, query: Query) -> list[Series]:
        """Return the series of all statements in the query, in order."""
        status, content_type, body = await self._request("POST", "/query", data=query.form(), headers=HEADERS)
        return parse(self._store.url, status, content_type, body)

    async def buckets(self) -> dict[str, str]:
        """Return the name of each bucket the token may read, by id. Raises Unauthorized if one that we need is missing.

        This is checked separately because InfluxDB 2.7 answers several statements with "not executed" if a bucket is
        missing, without giving the cause.
        """
        status, _, body = await self._request("GET", "/api/v2/buckets", params={"limit": "100"}, headers={})
        if status in (401, 403):
            raise Unauthorized(f"store {self._store.url} rejected the token ({status}): write a valid one to its file")
        try:
            buckets = {bucket.id: bucket.name for bucket in msgspec.json.decode(body, type=_Buckets).buckets}
        except msgspec.DecodeError as error:
            raise StoreUnavailable(f"store {self._store.url} answered {status} when listing buckets") from error
        for bucket in (BUCKET_RAW, BUCKET_ROLLUP):
            if bucket not in buckets.values():
                raise Unauthorized(f"store {self._store.url}: bucket {bucket} is missing or the token may not read it")
        return buckets

    async def _request(self, method: str, path: str, *, headers: dict[str, str], **rest: Any) -> tuple[int, str, bytes]:
        url = self._store.url
        headers = {"Authorization": f"Token {self._store.read_token()}", **headers}
        try:
            async with self._session.request(
                method, url + path, headers=headers, timeout=self._timeout, allow_redirects=False, **rest
            ) as response:
                return response.status, response.headers.get("Content-Type", ""), await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            cause = str(error) or f"no answer ({type(error).__name__})"
            raise StoreUnavailable(f"store {url} cannot be reached: {cause}; is InfluxDB running?") from error
