"""Reads the exchange by plain REST, for the check only: its time, pairs and candles, at minimal weight."""

import asyncio
import math
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp

from tools.demo.compare import FIELDS, LENGTH_MS, Row

WEIGHT_LIMIT = 2_400
STOP_AT_PERCENT = 80
"""The address is shared with the collector (and with bots, at the real exchange): never use more than this."""

PAGES = ((99, 1), (499, 2))
"""(rows, weight): the two pages that bring the most for their weight; 1,000 rows weigh 5 (research: binance.md 2)."""

MINUTE_MS = 60_000
REQUESTS_A_SECOND = 10
TRIES = 5
TIME_QUESTIONS = 5


class ExchangeFailed(Exception):
    """The exchange did not return what the check needs; the message says what."""


@dataclass(frozen=True)
class ListedPair:
    """A pair to be collected, from exchangeInfo."""

    symbol: str
    pair: str
    quantity_precision: int
    listed_ms: int


def eligible(exchange_info: dict[str, Any]) -> list[ListedPair]:
    """Return the eligible pairs: USDT perpetuals on coins that are trading."""
    wanted = {
        "contractType": "PERPETUAL",
        "status": "TRADING",
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "underlyingType": "COIN",
    }
    return [
        ListedPair(
            row["symbol"],
            f"{row['baseAsset']}/{row['quoteAsset']}:{row['marginAsset']}",
            row["quantityPrecision"],
            row["onboardDate"],
        )
        for row in exchange_info["symbols"]
        if all(row.get(key) == value for key, value in wanted.items())
    ]


def pages(rows: int) -> list[tuple[int, int]]:
    """Split rows into requests, each (limit, weight), at the lowest total weight."""
    (small, small_weight), (large, large_weight) = PAGES
    found = [(large, large_weight)] * (rows // large)
    rest = rows % large
    if rest > small:
        found.append((rest, large_weight))
    elif rest:
        found.append((rest, small_weight))
    return found


class WeightMeter:
    """Keeps the weight of the current UTC minute below the stop, whoever spent it. Pure except for its state."""

    def __init__(self, limit: int = WEIGHT_LIMIT) -> None:
        self.limit = limit
        self._minute = -1
        self._used = 0

    def wait_ms(self, weight: int, now_ms: int) -> int:
        """Return how long to wait before a request of that weight; 0: it is reserved and may be sent."""
        self._turn(now_ms)
        if self._used + weight > self.limit * STOP_AT_PERCENT // 100:
            return (self._minute + 1) * MINUTE_MS + 500 - now_ms
        self._used += weight
        return 0

    def observe(self, used: int, now_ms: int) -> None:
        """Take the weight that the exchange reports for the address in this minute."""
        self._turn(now_ms)
        self._used = max(self._used, used)

    def _turn(self, now_ms: int) -> None:
        if now_ms // MINUTE_MS != self._minute:
            self._minute, self._used = now_ms // MINUTE_MS, 0


class Exchange:
    """Plain REST with the weight meter; temporary errors are retried a few times.

    With truth_url, candles come from there, any number at once: the simulator's control API, which costs no weight.
    """

    def __init__(self, rest_url: str, ca_file: str | None, truth_url: str | None = None) -> None:
        self._url = rest_url
        self._truth_url = truth_url
        trust = ssl.create_default_context(cafile=ca_file) if ca_file else True
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trust), timeout=aiohttp.ClientTimeout(total=20)
        )
        self._meter = WeightMeter()
        self._offset_ms = 0.0
        self._next_at = 0.0
        self._asked = self._answered = 0.0
        self.weight_waited: Callable[[float], None] = lambda _seconds: None
        """Called with the seconds that the exchange's weight limit makes us wait."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        await self._session.close()

    def now_ms(self) -> int:
        """Return the exchange's time, as of the last `time_ms`."""
        return int(time.time() * 1000 + self._offset_ms)

    async def time_ms(self) -> int:
        """Request the exchange's time and follow it from now on.

        It is requested a few times, because the fastest response is the most accurate. The first one opens the
        connection.
        """
        quickest = math.inf
        for _ in range(TIME_QUESTIONS):
            answer = await self._get(f"{self._url}/fapi/v1/time", {}, 1)
            took = self._answered - self._asked
            if took < quickest:
                quickest = took
                self._offset_ms = answer["serverTime"] - (self._asked + took / 2) * 1000
        return self.now_ms()

    async def pairs(self) -> list[ListedPair]:
        """Request the pairs to be collected, and adopt the weight limit that the exchange states."""
        info = await self._get(f"{self._url}/fapi/v1/exchangeInfo", {}, 1)
        for rule in info.get("rateLimits", ()):
            if (rule["rateLimitType"], rule["interval"], rule["intervalNum"]) == ("REQUEST_WEIGHT", "MINUTE", 1):
                self._meter.limit = rule["limit"]
        return eligible(info)

    async def candles(self, symbol: str, interval: str, first_open_ms: int, last_open_ms: int) -> dict[int, Row]:
        """Fetch the candles that open from first_open_ms to last_open_ms, both included."""
        length_ms = LENGTH_MS[interval]
        if self._truth_url is not None:
            span = {"symbol": symbol, "interval": interval, "start": first_open_ms, "end": last_open_ms}
            return {row[0]: candle_of(row) for row in await self._get(self._truth_url, span, weight=0)}
        found: dict[int, Row] = {}
        next_ms = -(-first_open_ms // length_ms) * length_ms
        for limit, weight in pages((last_open_ms - next_ms) // length_ms + 1):
            query = {
                "symbol": symbol,
                "interval": interval,
                "limit": limit,
                "startTime": next_ms,
                "endTime": next_ms + (limit - 1) * length_ms,
            }
            for row in await self._get(f"{self._url}/fapi/v1/klines", query, weight):
                found[row[0]] = candle_of(row)
            next_ms += limit * length_ms
        return found

    async def _get(self, url: str, query: dict[str, Any], weight: int) -> Any:
        reason = ""
        for attempt in range(TRIES):
            if weight:
                await self._may_go(weight)
            self._asked = time.time()
            try:
                async with self._session.get(url, params=query) as answer:
                    self._answered = time.time()
                    if used := answer.headers.get("X-MBX-USED-WEIGHT-1M"):
                        self._meter.observe(int(used), self.now_ms())
                    if answer.status == 200:
                        return await answer.json()
                    reason = f"status {answer.status}: {(await answer.text())[:200]}"
                    if answer.status < 500:
                        break
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                reason = f"{type(error).__name__}: {error}"
            await asyncio.sleep(attempt)
        raise ExchangeFailed(f"{url} {query or ''}: {reason}")

    async def _may_go(self, weight: int) -> None:
        while (wait_ms := self._meter.wait_ms(weight, self.now_ms())) > 0:
            self.weight_waited(wait_ms / 1000)
            await asyncio.sleep(wait_ms / 1000)
        # The exchange's firewall may limit requests per second; nobody knows how many it allows.
        loop = asyncio.get_running_loop()
        at = max(self._next_at, loop.time())
        self._next_at = at + 1 / REQUESTS_A_SECOND
        await asyncio.sleep(at - loop.time())


async def unreachable(rest_url: str, ca_file: str | None = None) -> str | None:
    """Return why the exchange cannot be reached from here, or None if it responds."""
    try:
        async with Exchange(rest_url, ca_file) as exchange:
            await asyncio.wait_for(exchange.time_ms(), 15)
    except ExchangeFailed as failed:
        return str(failed)
    except TimeoutError:
        return f"{rest_url} does not respond"
    return None


def candle_of(row: list[Any]) -> Row:
    """Parse one row of the exchange's klines."""
    # open time, open, high, low, close, volume, close time, quote volume, trades, taker volumes (2), unused
    values = (row[1], row[2], row[3], row[4], row[5], row[7], row[9], row[10], row[8])
    return dict(zip(FIELDS, map(float, values), strict=True))
