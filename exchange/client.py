"""What a collector asks of an exchange by REST, whichever it is."""

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
    """The exchange's symbols: as read, and its answer as it came."""

    universe: Universe
    answer: dict[str, Any]


class ExchangeClient(Protocol):
    """One process's REST client. Every method waits for its turn in the budget, and raises ExchangeError alone.

    Times are UTC ms, `start_ms` and `end_ms` both inclusive; rows come oldest first.
    """

    @property
    def facts(self) -> Facts:
        """The numbers of this exchange."""

    @property
    def routes(self) -> tuple[str, ...]:
        """Every route that may be asked, as `snapshot` counts them."""

    @property
    def budget(self) -> Budget:
        """The books of what was asked."""

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
        """Return up to `limit` candles by open time: from `start_ms` on, else the latest. The last may be forming."""

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
        """Return every candle the exchange has of that range of open times, however many requests it takes."""

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
        """Yield what `klines_range` returns page by page, for ranges of months."""

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
        """Return settled funding rates; of all symbols if `symbol` is None."""

    async def funding_info(self, *, priority: Priority = ...) -> list[FundingInfo]:
        """Return the funding interval of every symbol that has not the usual one."""

    async def premium_index(self, symbol: str | None = None, *, priority: Priority = ...) -> list[PremiumIndex]:
        """Return mark price, index price and running funding rate of one symbol, or of all."""

    def rows_of_long_pages(self) -> int:
        """Return the `largest_page` with which months of candles come soonest at this budget's share."""

    async def raw(self, route: str, params: Mapping[str, str | int], *, priority: Priority = ...) -> bytes:
        """Return the answer to a GET of one of `routes` byte by byte."""

    def snapshot(self) -> ClientSnapshot:
        """Return the counters for metrics."""
