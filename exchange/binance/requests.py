"""Binance's REST requests for market data, one method each."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Self

from exchange.answers import excerpt, malformed
from exchange.binance import limits
from exchange.binance.facts import FACTS
from exchange.binance.rows import (
    read_funding_info,
    read_funding_rates,
    read_klines,
    read_mark_price_klines,
    read_premium_index,
)
from exchange.binance.universe import parse
from exchange.budget import Budget, Priority
from exchange.client import Listing
from exchange.errors import BadRequest, Unavailable
from exchange.rest import ClientSnapshot, Dialect, RestClient
from exchange.rows import FundingInfo, FundingRate, Kline, MalformedRow, MarkPriceKline, PremiumIndex
from marketdata.timeframes import InvalidTimeframe, timeframe_ms


class BinanceClient:
    """The REST client of one process: ``async with BinanceClient(url, Budget(30)) as client``.

    `rest_url` is scheme and host, ``https://fapi.binance.com``; `options` are those of `rest.RestClient`. Methods raise
    ExchangeError and nothing else.
    """

    facts = FACTS
    routes = limits.ROUTES

    def __init__(self, rest_url: str, budget: Budget, **options: Any) -> None:
        self.budget = budget
        self._rest = RestClient(rest_url, budget, DIALECT, **options)

    async def __aenter__(self) -> Self:
        await self._rest.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._rest.__aexit__(kind, error, trace)

    async def ping(self, *, priority: Priority = Priority.UNIVERSE) -> None:
        """Return if the exchange responds."""
        await self._json(limits.PING, {}, priority)

    async def server_time_ms(self, *, priority: Priority = Priority.UNIVERSE) -> int:
        """Return the exchange's time, UTC ms; the budget's clock follows it."""
        answer = await self._json(limits.TIME, {}, priority)
        if not isinstance(answer, dict) or type(answer.get("serverTime")) is not int:
            raise malformed(limits.TIME, "serverTime is missing")
        server_ms: int = answer["serverTime"]
        self.budget.clock.observe(server_ms)
        return server_ms

    async def listing(self, *, priority: Priority = Priority.UNIVERSE) -> Listing:
        """Return the symbols, and exchangeInfo as received: about 1.2 MB of JSON."""
        answer = await self._json(limits.EXCHANGE_INFO, {}, priority)
        if not isinstance(answer, dict):
            raise malformed(limits.EXCHANGE_INFO, "not an object")
        return Listing(parse(answer), answer)

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

        Oldest first: the first ones from `start_ms` if given, else the latest; the last one may still be forming.
        """
        params = _params(symbol=symbol, interval=interval, startTime=start_ms, endTime=end_ms, limit=limit)
        return _read(limits.KLINES, read_klines, await self._json(limits.KLINES, params, priority))

    async def klines_range(
        self,
        symbol: str,
        interval: str,
        start_ms: int,
        end_ms: int,
        *,
        priority: Priority = Priority.HISTORY,
        largest_page: int = limits.BEST_KLINES_LIMIT,
    ) -> list[Kline]:
        """Return every candle the exchange has with an open time from `start_ms` to `end_ms`, inclusive, oldest first.

        Candles it does not have (before the listing, exchange holes) are absent. See `klines_pages`.
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
        largest_page: int = limits.BEST_KLINES_LIMIT,
    ) -> AsyncIterator[list[Kline]]:
        """Yield the result of `klines_range` page by page, for ranges of months; `limits.page_limit` sizes the pages.

        `interval` must be a timeframe of `marketdata.timeframes`.
        """
        try:
            interval_ms = timeframe_ms(interval)
        except InvalidTimeframe as error:
            raise BadRequest(-1120, f"{symbol}: {error}", "correct the interval") from None
        next_ms = start_ms
        while next_ms <= end_ms:
            limit = limits.page_limit((end_ms - next_ms) // interval_ms + 1, largest_page)
            page = await self.klines(symbol, interval, limit=limit, start_ms=next_ms, end_ms=end_ms, priority=priority)
            times = [row.open_time_ms for row in page]
            if any(second <= first for first, second in zip([next_ms - 1, *times], times, strict=False)):
                raise malformed(limits.KLINES, f"{symbol}: rows out of order or before startTime")
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
        answer = await self._json(limits.MARK_PRICE_KLINES, params, priority)
        return _read(limits.MARK_PRICE_KLINES, read_mark_price_klines, answer)

    async def funding_rates(
        self,
        symbol: str | None = None,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = limits.MAX_FUNDING_RATES,
        priority: Priority = Priority.HISTORY,
    ) -> list[FundingRate]:
        """Return settled funding rates from `start_ms` to `end_ms`, inclusive, oldest first; of all symbols if None.

        Costs no weight, but one request of the funding limit.
        """
        params = _params(symbol=symbol, startTime=start_ms, endTime=end_ms, limit=limit)
        answer = await self._json(limits.FUNDING_RATE, params, priority)
        return _read(limits.FUNDING_RATE, read_funding_rates, answer)

    async def funding_info(self, *, priority: Priority = Priority.UNIVERSE) -> list[FundingInfo]:
        """Return the funding interval of every adjusted symbol; the others settle every 8 h.

        Costs no weight, but one request of the funding limit.
        """
        answer = await self._json(limits.FUNDING_INFO, {}, priority)
        return _read(limits.FUNDING_INFO, read_funding_info, answer)

    async def premium_index(
        self, symbol: str | None = None, *, priority: Priority = Priority.UNIVERSE
    ) -> list[PremiumIndex]:
        """Return mark price, index price and current funding rate of one symbol, or of all (weight 10)."""
        answer = await self._json(limits.PREMIUM_INDEX, _params(symbol=symbol), priority)
        return _read(limits.PREMIUM_INDEX, read_premium_index, answer)

    async def raw(self, route: str, params: limits.Params, *, priority: Priority = Priority.UNIVERSE) -> bytes:
        """Return the response to a GET of `route` (one of `limits.ROUTES`) byte for byte, to pass it on: it is JSON.

        Raises ValueError for a route of unknown weight.
        """
        return (await self._rest.get(route, params, priority))[0]

    def rows_of_long_pages(self) -> int:
        """Return the `largest_page` that fetches months of candles fastest at this budget's share."""
        return limits.page_rows(self.budget.snapshot().share)

    def snapshot(self) -> ClientSnapshot:
        """Return the counters for metrics."""
        return self._rest.snapshot()

    async def _json(self, route: str, params: limits.Params, priority: Priority) -> Any:
        return (await self._rest.get(route, params, priority))[1]


def read_answer(status: int, body: bytes, asked: str) -> Any:
    """Return the JSON of a response that is not a refusal; `asked` is the route and parameters, for the message.

    Raises Unavailable for 408, 5xx, redirects and anything but JSON, BadRequest for the other 4xx.
    """
    if status == 200:
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise Unavailable(
                f"{asked} did not return JSON ({excerpt(body)})",
                "check that exchange.rest_url is the exchange and that no proxy or login page responds in its place",
            ) from None
    if status == 408 or status >= 500:
        raise Unavailable(f"{asked} returned {status} ({excerpt(body)})", "wait, and check the exchange's status page")
    if status < 400:
        raise Unavailable(f"{asked} returned {status}, a redirect", "check exchange.rest_url")
    try:
        detail = json.loads(body)
        code, message = int(detail["code"]), str(detail["msg"])
    except (ValueError, TypeError, KeyError, RecursionError):
        code, message = status, excerpt(body)
    action = "the pair is not, or no longer, listed" if code == -1121 else "check exchange.rest_url and the parameters"
    raise BadRequest(code, f"{asked} returned {status}: {code} {message}", action, message)


DIALECT = Dialect(limits.weight, limits.FUNDING_ROUTES, limits.read_limits, read_answer)


def _params(**params: str | int | None) -> dict[str, str | int]:
    return {name: value for name, value in params.items() if value is not None}


def _read[Row](route: str, read: Callable[[Any], list[Row]], answer: Any) -> list[Row]:
    try:
        return read(answer)
    except MalformedRow as error:
        raise malformed(route, str(error)) from None
