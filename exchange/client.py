"""Asks Binance's USDT-M futures REST API for market data, within the budget, and raises nothing but ExchangeError."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from exchange import weights
from exchange.answers import malformed, no_answer, read_json, refused
from exchange.budget import Budget, BudgetSnapshot, Priority
from exchange.errors import BadRequest, ExchangeError
from exchange.gate import PATIENCE_SECONDS, Gate, closed
from exchange.limits import Limits, read_limits
from exchange.proxy import PROXY_ERRORS, connector
from exchange.rows import (
    FundingInfo,
    FundingRate,
    Kline,
    MalformedRow,
    MarkPriceKline,
    PremiumIndex,
    read_funding_info,
    read_funding_rates,
    read_klines,
    read_mark_price_klines,
    read_premium_index,
)
from marketdata.timeframes import InvalidTimeframe, timeframe_ms

__all__ = ["ClientSnapshot", "ExchangeClient", "FundingInfo", "FundingRate", "Kline", "MarkPriceKline", "PremiumIndex"]

ATTEMPTS = 4
BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class ClientSnapshot:
    """The client at one moment, for metrics. Totals count since the start."""

    requests_total: dict[str, int]
    """By route; every attempt counts."""
    weight_total: dict[str, int]
    """By route, as `weights.weight` has it; every attempt counts."""
    failed_total: dict[str, int]
    """Failed attempts by the name of the error, Refused among them."""
    retries_total: int
    budget: BudgetSnapshot


class ExchangeClient:
    """One process's REST client. Use as ``async with ExchangeClient(url, Budget(30)) as client``.

    `rest_url` is scheme and host, ``https://fapi.binance.com``. `ca_file` (PEM) is trusted besides the system's
    authorities. `proxy` (see `proxy.checked`) is the only one: the environment's are ignored. A `session` passed in is
    used and left open, whatever `proxy` says. Reads are repeated up to 4 times on connection errors,
    timeouts, 408 and 5xx, each repetition paid from the budget again; never after a refusal. A request waits for its
    turn as long as it takes: bound it with `asyncio.timeout` where that matters; `timeout_seconds` runs from sending.

    Every method raises ExchangeError (see `errors`) and nothing else. The constructor does so for an unreadable
    `ca_file` or a `rest_url` that is none.
    """

    def __init__(
        self,
        rest_url: str,
        budget: Budget,
        *,
        ca_file: Path | None = None,
        proxy: str | None = None,
        timeout_seconds: float = 10,
        session: aiohttp.ClientSession | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
        backoff_seconds: float = BACKOFF_SECONDS,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        if not rest_url.startswith(("https://", "http://")):
            raise ExchangeError(f"{rest_url!r} is not a URL", "set exchange.rest_url to https://host")
        self._rest_url = rest_url.rstrip("/")
        self.budget = budget
        self._gate = Gate(budget, patience_seconds)
        self._ssl = _trust(ca_file) if rest_url.startswith("https://") else True
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._proxy = proxy
        self._session = session
        self._owns_session = session is None
        self._backoff_seconds = backoff_seconds
        self._jitter = jitter
        self._requests_total: Counter[str] = Counter()
        self._weight_total: Counter[str] = Counter()
        self._failed_total: Counter[str] = Counter()
        self._retries_total = 0

    async def __aenter__(self) -> Self:
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=connector(self._proxy), trust_env=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gate.close()
        if self._owns_session and self._session is not None:
            await self._session.close()
            self._session = None

    async def ping(self, *, priority: Priority = Priority.UNIVERSE) -> None:
        """Return if the exchange answers."""
        await self._get(weights.PING, {}, priority)

    async def server_time_ms(self, *, priority: Priority = Priority.UNIVERSE) -> int:
        """Return the exchange's time, UTC ms; the budget's clock follows it."""
        answer = await self._get(weights.TIME, {}, priority)
        if not isinstance(answer, dict) or type(answer.get("serverTime")) is not int:
            raise malformed(weights.TIME, "serverTime is missing")
        server_ms: int = answer["serverTime"]
        self.budget.clock.observe(server_ms)
        return server_ms

    async def exchange_info(self, *, priority: Priority = Priority.UNIVERSE) -> dict[str, Any]:
        """Return exchangeInfo as it came, about 1.2 MB of JSON; `universe.parse` reads it."""
        answer = await self._get(weights.EXCHANGE_INFO, {}, priority)
        if not isinstance(answer, dict):
            raise malformed(weights.EXCHANGE_INFO, "not an object")
        return answer

    async def klines(
        self,
        symbol: str,
        interval: str,
        *,
        limit: int,
        start_ms: int | None = None,
        end_ms: int | None = None,
        priority: Priority = Priority.HISTORY,
    ) -> list[Kline]:
        """Return up to `limit` (1500 at most) candles with open times from `start_ms` to `end_ms`, both inclusive.

        Oldest first. From `start_ms` on if it is given, else the latest; the last may be the one still forming.
        """
        params = _params(symbol=symbol, interval=interval, startTime=start_ms, endTime=end_ms, limit=limit)
        return _read(weights.KLINES, read_klines, await self._get(weights.KLINES, params, priority))

    async def klines_range(
        self,
        symbol: str,
        interval: str,
        start_ms: int,
        end_ms: int,
        *,
        priority: Priority = Priority.HISTORY,
        largest_page: int = weights.BEST_KLINES_LIMIT,
    ) -> list[Kline]:
        """Return every candle the exchange has with an open time from `start_ms` to `end_ms`, inclusive, oldest first.

        Candles it does not have (before the listing, its own holes) are absent. See `klines_pages`.
        """
        pages = self.klines_pages(symbol, interval, start_ms, end_ms, priority=priority, largest_page=largest_page)
        return [row async for page in pages for row in page]

    async def klines_pages(
        self,
        symbol: str,
        interval: str,
        start_ms: int,
        end_ms: int,
        *,
        priority: Priority = Priority.HISTORY,
        largest_page: int = weights.BEST_KLINES_LIMIT,
    ) -> AsyncIterator[list[Kline]]:
        """Yield what `klines_range` returns page by page, for ranges of months; `weights.page_limit` sizes the pages.

        `interval` must be a timeframe of `marketdata.timeframes`.
        """
        try:
            interval_ms = timeframe_ms(interval)
        except InvalidTimeframe as error:
            raise BadRequest(-1120, f"{symbol}: {error}", "correct the interval") from None
        next_ms = start_ms
        while next_ms <= end_ms:
            limit = weights.page_limit((end_ms - next_ms) // interval_ms + 1, largest_page)
            page = await self.klines(symbol, interval, limit=limit, start_ms=next_ms, end_ms=end_ms, priority=priority)
            times = [row.open_time_ms for row in page]
            if any(second <= first for first, second in zip([next_ms - 1, *times], times, strict=False)):
                raise malformed(weights.KLINES, f"{symbol}: rows out of order or before startTime")
            yield [row for row in page if row.open_time_ms <= end_ms]
            if len(page) < limit:
                return
            next_ms = times[-1] + interval_ms

    async def mark_price_klines(
        self,
        symbol: str,
        interval: str,
        *,
        limit: int,
        start_ms: int | None = None,
        end_ms: int | None = None,
        priority: Priority = Priority.HISTORY,
    ) -> list[MarkPriceKline]:
        """Return candles of the mark price; arguments and order as in `klines`."""
        params = _params(symbol=symbol, interval=interval, startTime=start_ms, endTime=end_ms, limit=limit)
        answer = await self._get(weights.MARK_PRICE_KLINES, params, priority)
        return _read(weights.MARK_PRICE_KLINES, read_mark_price_klines, answer)

    async def funding_rates(
        self,
        symbol: str | None = None,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = weights.MAX_FUNDING_RATES,
        priority: Priority = Priority.HISTORY,
    ) -> list[FundingRate]:
        """Return settled funding rates from `start_ms` to `end_ms`, inclusive, oldest first; of all symbols if None.

        Costs no weight and one of the funding bucket's requests.
        """
        params = _params(symbol=symbol, startTime=start_ms, endTime=end_ms, limit=limit)
        answer = await self._get(weights.FUNDING_RATE, params, priority)
        return _read(weights.FUNDING_RATE, read_funding_rates, answer)

    async def funding_info(self, *, priority: Priority = Priority.UNIVERSE) -> list[FundingInfo]:
        """Return the funding interval of every adjusted symbol; the others pay each 8 h.

        Costs no weight and one of the funding bucket's requests.
        """
        answer = await self._get(weights.FUNDING_INFO, {}, priority)
        return _read(weights.FUNDING_INFO, read_funding_info, answer)

    async def premium_index(
        self, symbol: str | None = None, *, priority: Priority = Priority.UNIVERSE
    ) -> list[PremiumIndex]:
        """Return mark price, index price and running funding rate of one symbol, or of all (weight 10)."""
        answer = await self._get(weights.PREMIUM_INDEX, _params(symbol=symbol), priority)
        return _read(weights.PREMIUM_INDEX, read_premium_index, answer)

    async def raw(self, route: str, params: weights.Params, *, priority: Priority = Priority.UNIVERSE) -> bytes:
        """Return the answer to a GET of `route` (one of `weights.ROUTES`) byte by byte, for passing it on: it is JSON.

        Raises ValueError for a route of unknown weight.
        """
        return (await self._ask(route, dict(params), priority))[0]

    def snapshot(self) -> ClientSnapshot:
        """Return the counters for metrics."""
        return ClientSnapshot(
            requests_total=dict(self._requests_total),
            weight_total=dict(self._weight_total),
            failed_total=dict(self._failed_total),
            retries_total=self._retries_total,
            budget=self.budget.snapshot(),
        )

    async def _get(self, route: str, params: dict[str, str | int], priority: Priority) -> Any:
        return (await self._ask(route, params, priority))[1]

    async def _ask(self, route: str, params: dict[str, str | int], priority: Priority) -> tuple[bytes, Any]:
        """Return the answer's body and the JSON in it."""
        attempt = 1
        while True:
            try:
                return await self._ask_once(route, params, priority)
            except ExchangeError as error:
                self._failed_total[type(error).__name__] += 1
                if not error.retryable or attempt == ATTEMPTS:
                    raise
            delay_seconds = min(self._backoff_seconds * 2 ** (attempt - 1), LONGEST_BACKOFF_SECONDS)
            await asyncio.sleep(delay_seconds * (0.5 + 0.5 * self._jitter()))
            attempt += 1
            self._retries_total += 1

    async def _ask_once(self, route: str, params: dict[str, str | int], priority: Priority) -> tuple[bytes, Any]:
        session = self._session
        if session is None:
            raise closed()
        clock = self.budget.clock
        weight = weights.weight(route, params)
        ticket = await self._gate.enter(priority, weight, funding=route in weights.FUNDING_ROUTES)
        limits: Limits | None = None
        try:
            if session.closed:
                raise closed()
            self._requests_total[route] += 1
            self._weight_total[route] += weight
            async with session.get(
                self._rest_url + route,
                params=params,
                headers={"Accept-Encoding": "gzip"},
                ssl=self._ssl,
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                # The headers count even if the body breaks off.
                limits = read_limits(response.status, response.headers, b"", clock.now_ms())
                body = await response.read()
            limits = read_limits(response.status, response.headers, body, clock.now_ms())
        except (aiohttp.ClientError, TimeoutError, OSError, *PROXY_ERRORS) as error:
            raise no_answer(error, self._rest_url, self._proxy) from error
        finally:
            self._gate.leave(ticket, limits)
        if limits.refusal is not None:
            raise refused(response.status, self.budget.circuit.wait_ms() / 1000, clock.now_ms())
        return body, read_json(response.status, body, f"{route} {params or ''}".strip())


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ExchangeError(
                f"{ca_file} holds no readable certificate ({error})", "set exchange.ca_file to a PEM file"
            ) from None
    return context


def _params(**params: str | int | None) -> dict[str, str | int]:
    return {name: value for name, value in params.items() if value is not None}


def _read[Row](route: str, read: Callable[[Any], list[Row]], answer: Any) -> list[Row]:
    try:
        return read(answer)
    except MalformedRow as error:
        raise malformed(route, str(error)) from None
