"""Read candles, funding rates and mark prices from the store: `MarketData`, and `AsyncMarketData` for asyncio.

    with MarketData(Store("http://127.0.0.1:8086", token_file="reader.token")) as market:
        candles = market.get_ohlcv("BTC/USDT:USDT", "1h", limit=500)

Both have the same methods and share all decisions: `marketdata.ohlcv` and `marketdata.funding` yield queries and
receive the results; this module sends them over HTTP. In addition to the errors it lists, every method may raise
Unauthorized, StoreUnavailable and EmptyStore. All of them are MarketDataErrors.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, get_args

import httpx
import pandas as pd

from marketdata import funding, ohlcv
from marketdata.connections import AsyncConnections, Connections
from marketdata.errors import InvalidRequest, MarketDataError, StoreUnavailable, Unauthorized
from marketdata.funding import FundingRate, MarkPrice
from marketdata.influxql import Query, Series, parse
from marketdata.ohlcv import Contract, Steps
from marketdata.schema import EXCHANGE, OHLCV_BASE
from marketdata.stores import Ranking, Store, all_failed, stores_from_env, stores_from_file
from marketdata.times import Time, span_ms, time_ms

__all__ = ["AsyncMarketData", "FundingRate", "MarkPrice", "MarketData", "Store", "Time"]

T = TypeVar("T")


def _system_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class MarketData:
    """Reads from one store or several; for scripts, notebooks and bots. Thread-safe."""

    def __init__(
        self,
        stores: Store | Sequence[Store],
        *,
        exchange: str = EXCHANGE,
        clock_ms: Callable[[], int] = _system_clock_ms,
        timeout_seconds: float = 10.0,
    ) -> None:
        """Take one store or several. The first fresh one answers, or if none is fresh, the one with the newest candle.

        `exchange` is the exchange whose pairs are read. `clock_ms` returns the current time in ms; it determines which
        windows have closed and how old a sample is. A pickle or deep copy contains only these arguments: each process
        opens its own connections on first use, including after a fork. Raises InvalidRequest.
        """
        self._stores = _listed(stores)
        self._ranking = Ranking(self._stores)
        self._exchange = exchange
        self._clock_ms = clock_ms
        self._connections = Connections(self._stores, timeout_seconds)
        self._connections.check()

    @classmethod
    def from_env(cls) -> Self:
        """Read MARKETDATA_URL, MARKETDATA_TOKEN_FILE or MARKETDATA_TOKEN, MARKETDATA_CA_FILE. Raises InvalidRequest."""
        return cls(stores_from_env(os.environ))

    @classmethod
    def from_file(cls, path: Path | str) -> Self:
        """Read a TOML file: a `[[store]]` with `url`, `token_file` and, for TLS, `ca_file`. Raises InvalidRequest."""
        return cls(stores_from_file(path))

    def get_ohlcv(
        self,
        pair: str,
        timeframe: str,
        *,
        limit: int | None = None,
        start: Time | None = None,
        end: Time | None = None,
        contract: Contract = "present",
    ) -> pd.DataFrame:
        """Return a pair's candles: the newest `limit`, or all that open in [start, end) (default `end`: now).

        `timeframe` is a multiple of 3m up to 1d, or 1w (from Monday). Columns: `date` (the window's open, UTC), open,
        high, low, close (quote currency), volume (base currency); ascending. A window is returned only if all its 3m
        candles are final and stored: never the forming one, and never one with a hole (see `gaps`). There may be fewer
        rows than `limit`, or none. If the ticker belonged to another coin before, the result starts with the present
        contract; `contract="previous"` and a `start` read what traded before it. Raises UnknownPair, InvalidPair,
        InvalidTimeframe, InvalidRequest.
        """
        many = self.get_ohlcv_many([pair], timeframe, limit=limit, start=start, end=end, contract=contract)
        return many[pair]

    def get_ohlcv_many(
        self,
        pairs: Iterable[str],
        timeframe: str,
        *,
        limit: int | None = None,
        start: Time | None = None,
        end: Time | None = None,
        contract: Contract = "present",
    ) -> dict[str, pd.DataFrame]:
        """Like `get_ohlcv`, for several pairs in a few queries. UnknownPair lists all unknown pairs."""
        return self._run(_candles(pairs, timeframe, limit, start, end, contract, _now_ms(self._clock_ms)))

    def gaps(self, pair: str, *, start: Time | None = None, end: Time | None = None) -> pd.DataFrame:
        """Return the holes between a pair's stored 3m candles that open in [start, end), by default in all of them.

        Columns: `start` (open of the first missing candle, UTC), `end` (open of the next stored one), `candles` (number
        missing), `exchange_holes` (how many of them the exchange does not have, or only as an impossible row). Candles
        missing before the first or after the last stored one are not holes. Raises UnknownPair, InvalidPair,
        InvalidRequest.
        """
        return self._run(_holes(pair, start, end, _now_ms(self._clock_ms)))

    def get_funding_rate(self, pair: str) -> FundingRate:
        """Return the newest estimate for a pair's current funding period. Raises UnknownPair, InvalidPair."""
        return self._run(partial(funding.newest_rate, pair, _now_ms(self._clock_ms)))

    def get_all_pairs_funding_rates(self) -> dict[str, FundingRate]:
        """Return the newest estimate within the last 30 days for every pair that has one; check `age_seconds`."""
        return self._run(partial(funding.newest_rates, _now_ms(self._clock_ms)))

    def get_funding_history(
        self, pair: str, start: Time, end: Time | None = None, *, contract: Contract = "present"
    ) -> pd.DataFrame:
        """Return a pair's settled funding in [start, end) (default `end`: now), ascending.

        Columns: `date` (UTC; the exchange's own time, a few ms off the hour), `rate`, `mark_price` (NaN if the exchange
        has none). Raises UnknownPair, InvalidPair, InvalidRequest.
        """
        return self._run(_settled(pair, start, end, contract, _now_ms(self._clock_ms)))

    def get_mark_price(self, pair: str) -> MarkPrice:
        """Return the newest mark and index price of a pair. Raises UnknownPair, InvalidPair."""
        return self._run(partial(funding.newest_mark, pair, _now_ms(self._clock_ms)))

    def query(self, query: Query) -> list[Series]:
        """Run an InfluxQL query, for anything that has no method here. Values are floats, times are in ms."""
        return self._run(partial(ohlcv.answer, query))

    def pairs(self) -> list[str]:
        """Return the pairs that have 3m candles in the store, sorted."""
        return self._run(partial(ohlcv.known_pairs, OHLCV_BASE))

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def _run(self, request: Callable[[], Steps[T]]) -> T:
        now_ms = int(self._clock_ms())
        for index in self._ranking.due(now_ms):
            self._ranking.note(index, self._newest_candle_ms(index, now_ms), now_ms)
        failures: list[MarketDataError] = []
        for index in self._ranking.order(now_ms):
            try:
                return self._drive(index, request())
            except (StoreUnavailable, Unauthorized) as e:
                self._ranking.note(index, None, now_ms)
                failures.append(e)
        raise all_failed(failures)

    def _newest_candle_ms(self, index: int, now_ms: int) -> int | None:
        try:
            return self._drive(index, ohlcv.newest_candle_ms(now_ms))
        except MarketDataError:
            return None

    def _drive(self, index: int, steps: Steps[T]) -> T:
        try:
            query = next(steps)
            while True:
                query = steps.send(self._ask(self._stores[index], query))
        except StopIteration as done:
            result: T = done.value
            return result

    def _ask(self, store: Store, query: Query) -> list[Series]:
        try:
            response = self._connections.client().post(
                _address(store), data=query.form(self._exchange), headers=_authorization(store)
            )
        except (httpx.HTTPError, httpx.InvalidURL) as e:
            raise _unreachable(store, e) from e
        return _answer(store, response)


class AsyncMarketData:
    """`MarketData` for asyncio: the same methods with the same results, as coroutines."""

    def __init__(
        self,
        stores: Store | Sequence[Store],
        *,
        exchange: str = EXCHANGE,
        clock_ms: Callable[[], int] = _system_clock_ms,
        timeout_seconds: float = 10.0,
    ) -> None:
        """See MarketData. Each event loop has its own connections."""
        self._stores = _listed(stores)
        self._ranking = Ranking(self._stores)
        self._exchange = exchange
        self._clock_ms = clock_ms
        self._connections = AsyncConnections(self._stores, timeout_seconds)
        self._connections.check()

    @classmethod
    def from_env(cls) -> Self:
        """See MarketData."""
        return cls(stores_from_env(os.environ))

    @classmethod
    def from_file(cls, path: Path | str) -> Self:
        """See MarketData."""
        return cls(stores_from_file(path))

    async def get_ohlcv(
        self,
        pair: str,
        timeframe: str,
        *,
        limit: int | None = None,
        start: Time | None = None,
        end: Time | None = None,
        contract: Contract = "present",
    ) -> pd.DataFrame:
        """See MarketData."""
        many = await self.get_ohlcv_many([pair], timeframe, limit=limit, start=start, end=end, contract=contract)
        return many[pair]

    async def get_ohlcv_many(
        self,
        pairs: Iterable[str],
        timeframe: str,
        *,
        limit: int | None = None,
        start: Time | None = None,
        end: Time | None = None,
        contract: Contract = "present",
    ) -> dict[str, pd.DataFrame]:
        """See MarketData."""
        return await self._run(_candles(pairs, timeframe, limit, start, end, contract, _now_ms(self._clock_ms)))

    async def gaps(self, pair: str, *, start: Time | None = None, end: Time | None = None) -> pd.DataFrame:
        """See MarketData."""
        return await self._run(_holes(pair, start, end, _now_ms(self._clock_ms)))

    async def get_funding_rate(self, pair: str) -> FundingRate:
        """See MarketData."""
        return await self._run(partial(funding.newest_rate, pair, _now_ms(self._clock_ms)))

    async def get_all_pairs_funding_rates(self) -> dict[str, FundingRate]:
        """See MarketData."""
        return await self._run(partial(funding.newest_rates, _now_ms(self._clock_ms)))

    async def get_funding_history(
        self, pair: str, start: Time, end: Time | None = None, *, contract: Contract = "present"
    ) -> pd.DataFrame:
        """See MarketData."""
        return await self._run(_settled(pair, start, end, contract, _now_ms(self._clock_ms)))

    async def get_mark_price(self, pair: str) -> MarkPrice:
        """See MarketData."""
        return await self._run(partial(funding.newest_mark, pair, _now_ms(self._clock_ms)))

    async def query(self, query: Query) -> list[Series]:
        """See MarketData."""
        return await self._run(partial(ohlcv.answer, query))

    async def pairs(self) -> list[str]:
        """See MarketData."""
        return await self._run(partial(ohlcv.known_pairs, OHLCV_BASE))

    async def close(self) -> None:
        """Close the connections."""
        await self._connections.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        await self.close()

    async def _run(self, request: Callable[[], Steps[T]]) -> T:
        now_ms = int(self._clock_ms())
        due = self._ranking.due(now_ms)
        newest = await asyncio.gather(*(self._newest_candle_ms(index, now_ms) for index in due))
        for index, newest_ms in zip(due, newest, strict=True):
            self._ranking.note(index, newest_ms, now_ms)
        failures: list[MarketDataError] = []
        for index in self._ranking.order(now_ms):
            try:
                return await self._drive(index, request())
            except (StoreUnavailable, Unauthorized) as e:
                self._ranking.note(index, None, now_ms)
                failures.append(e)
        raise all_failed(failures)

    async def _newest_candle_ms(self, index: int, now_ms: int) -> int | None:
        try:
            return await self._drive(index, ohlcv.newest_candle_ms(now_ms))
        except MarketDataError:
            return None

    async def _drive(self, index: int, steps: Steps[T]) -> T:
        try:
            query = next(steps)
            while True:
                query = steps.send(await self._ask(self._stores[index], query))
        except StopIteration as done:
            result: T = done.value
            return result

    async def _ask(self, store: Store, query: Query) -> list[Series]:
        try:
            response = await self._connections.client().post(
                _address(store), data=query.form(self._exchange), headers=_authorization(store)
            )
        except (httpx.HTTPError, httpx.InvalidURL) as e:
            raise _unreachable(store, e) from e
        return _answer(store, response)


def _listed(stores: Store | Sequence[Store]) -> list[Store]:
    listed = [stores] if isinstance(stores, Store) else list(stores)
    if not listed:
        raise InvalidRequest("name at least one store")
    return listed


def _address(store: Store) -> str:
    return store.url.rstrip("/") + "/query"


def _authorization(store: Store) -> dict[str, str]:
    return {"Authorization": f"Token {store.read_token()}"}


def _answer(store: Store, response: httpx.Response) -> list[Series]:
    content_type = response.headers.get("Content-Type", "")
    return parse(store.url, response.status_code, content_type, response.content)


def _unreachable(store: Store, error: Exception) -> StoreUnavailable:
    cause = str(error) or type(error).__name__
    return StoreUnavailable(f"store {store.url} cannot be reached: {cause}; check that InfluxDB runs and the address")


def _now_ms(clock_ms: Callable[[], int]) -> int:
    return time_ms(int(clock_ms()), "clock_ms")


def _candles(
    pairs: Iterable[str],
    timeframe: str,
    limit: int | None,
    start: Time | None,
    end: Time | None,
    contract: Contract,
    now_ms: int,
) -> Callable[[], Steps[dict[str, pd.DataFrame]]]:
    names = list(dict.fromkeys(pairs))
    if (limit is None) == (start is None) or (limit is not None and end is not None):
        raise InvalidRequest("give either limit, or start and, if wanted, end")
    if contract not in get_args(Contract) or (limit is not None and contract != "present"):
        raise InvalidRequest(f"contract {contract!r} is neither 'present' nor, with a start, 'previous'")
    if limit is not None:
        return partial(ohlcv.newest, names, timeframe, limit, now_ms)
    return partial(ohlcv.between, names, timeframe, *span_ms(start, end, now_ms), now_ms, contract)


def _holes(pair: str, start: Time | None, end: Time | None, now_ms: int) -> Callable[[], Steps[pd.DataFrame]]:
    return partial(ohlcv.holes, pair, *span_ms(start, end, now_ms), now_ms)


def _settled(
    pair: str, start: Time, end: Time | None, contract: Contract, now_ms: int
) -> Callable[[], Steps[pd.DataFrame]]:
    if contract not in get_args(Contract):
        raise InvalidRequest(f"contract {contract!r} is neither 'present' nor 'previous'")
    return partial(funding.settled, pair, *span_ms(start, end, now_ms), now_ms, contract)
