"""Deletes single points from one store, each identified by measurement, pair and time. Uses the ingest token.

InfluxDB lets any token that may write to a bucket delete in it. Only `audit --fix` does, and only the points it names.
API: https://docs.influxdata.com/influxdb/v2/api/#operation/PostDelete (the time range includes both ends).
"""

from collections.abc import Callable
from datetime import UTC, datetime

import aiohttp

from collector.store.query import TIMEOUT, StoreError
from marketdata.schema import EXCHANGE


class Eraser:
    """Deletes one exchange's points in one store. `token` is called for each request."""

    def __init__(
        self, url: str, org: str, token: Callable[[], str], session: aiohttp.ClientSession, *, exchange: str = EXCHANGE
    ) -> None:
        self._url = f"{url}/api/v2/delete"
        self._org = org
        self._token = token
        self._session = session
        self._exchange = exchange

    async def erase(self, bucket: str, measurement: str, pair: str, time_ms: int) -> None:
        """Delete one point with all its fields; no-op if it does not exist. Raises StoreError."""
        moment = datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        quoted = pair.replace("\\", "\\\\").replace('"', '\\"')
        predicate = f'_measurement="{measurement}" AND exchange="{self._exchange}" AND pair="{quoted}"'
        try:
            async with self._session.post(
                self._url,
                params={"org": self._org, "bucket": bucket},
                headers={"Authorization": f"Token {self._token()}"},
                json={"start": moment, "stop": moment, "predicate": predicate},
                timeout=TIMEOUT,
                allow_redirects=False,
            ) as response:
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise StoreError(f"{self._url} does not respond: {error or type(error).__name__}") from error
        if response.status != 204:
            raise StoreError(f"{self._url} responds with {response.status}: {text.strip()[:200]}")
