"""What a collector requests from any exchange by REST."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

from exchange.budget import Budget, Priority
from exchange.facts import Facts
from exchange.rest import ClientSnapshot
from exchange.rows import FundingInfo, FundingRate, Kline, MarkPriceKline, PremiumIndex
from exchange.universe import Universe


@dataclass(frozen=True, slots=True)
class Listing:
    """The exchange's symbols: parsed, and the response as received."""

    universe: Universe
    answer: dict[str, Any]


class Candles(Protocol):
    """Where candles are requested: of an exchange's client, what confirming and filling need."""

    @property
    def facts(self) -> Facts:
        """The numbers of this exchange."""

    async def klines(self, symbol: str, interval: str, *, limit: int, start_ms: int, priority: Priority) -> list[Kline]:
        """Return up to `limit` candles from `start_ms` on, oldest first. Raises ExchangeError."""

    async def klines_range(
        self, symbol: str, interval: str, start_ms: int, end_ms: int, *, priority: Priority
    ) -> list[Kline]:
        """Return every candle with an open time from `start_ms` to `end_ms`, inclusive. Raises ExchangeError."""


class ExchangeClient(Candles, Protocol):
    """One process's REST client. Every method waits for its turn in the budget and raises only ExchangeError.

    Times are UTC ms, `start_ms` and `end_ms` both inclusive; rows come oldest first.
    """

    @property
    def routes(self) -> tuple[str, ...]:
        """Every route that may be requested, as counted by `snapshot`."""

    @property
    def budget(self) -> Budget:
        """The budget that requests are charged to."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *error: Any) -> None: ...

    async def server_time_ms(self, *, priority: Priority = ...) -> int:
        """Return the exchange's time; the budget's clock follows it."""

    async def listing(self, *, priority: Priority = ...) -> Listing:
        """Return every symbol the exchange lists."""

    async def klines(
        self,
        symbol: str,
        interval: str,
        *,
        limit: int,
        start_ms: int | None = None,
        end_ms: int | None = None,
        priority: Priority = ...,
    ) -> list[Kline]:
        """Return up to `limit` candles by open time: from `start_ms` on, or the latest. The last one may be forming."""

    async def klines_range(
        self,
        symbol: str,
        interval: str,
        start_ms: int,
        end_ms: int,
        *,
        priority: Priority = ...,
        largest_page: int = ...,
    ) -> list[Kline]:
        """Return every candle the exchange has in that range of open times, however many requests it takes."""

    def klines_pages(
        self,
        symbol: str,
        interval: str,
        start_ms: int,
        end_ms: int,
        *,
        priority: Priority = ...,
        largest_page: int = ...,
    ) -> AsyncIterator[list[Kline]]:
        """Yield the result of `klines_range` page by page, for ranges of months."""

    async def mark_price_klines(
        self,
        symbol: str,
        interval: str,
        *,
        limit: int,
        start_ms: int | None = None,
        end_ms: int | None = None,
        priority: Priority = ...,
    ) -> list[MarkPriceKline]:
        """Return candles of the mark price; arguments and order as in `klines`."""

    async def funding_rates(
        self,
        symbol: str | None = None,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = ...,
        priority: Priority = ...,
    ) -> list[FundingRate]:
        """Return settled funding rates, of all symbols if `symbol` is None."""

    async def funding_info(self, *, priority: Priority = ...) -> list[FundingInfo]:
        """Return the funding interval of every symbol that does not have the usual one."""

    async def premium_index(self, symbol: str | None = None, *, priority: Priority = ...) -> list[PremiumIndex]:
        """Return mark price, index price and current funding rate of one symbol, or of all."""

    def rows_of_long_pages(self) -> int:
        """Return the `largest_page` that fetches months of candles fastest at this budget's share."""

    async def raw(self, route: str, params: Mapping[str, str | int], *, priority: Priority = ...) -> bytes:
        """Return the response to a GET of one of `routes`, byte for byte."""

    def snapshot(self) -> ClientSnapshot:
        """Return the counters for metrics."""
