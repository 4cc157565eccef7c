"""Sends requests to an exchange's REST API within the budget, and raises nothing but ExchangeError."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from exchange.answers import no_answer, refused
from exchange.budget import Budget, BudgetSnapshot, Priority
from exchange.errors import ExchangeError
from exchange.gate import PATIENCE_SECONDS, Gate, closed
from exchange.limits import Limits
from exchange.proxy import PROXY_ERRORS, connector
from service.backoff import Backoff

type Params = Mapping[str, str | int]

ATTEMPTS = 4
BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class ClientSnapshot:
    """The client at one moment, for metrics. Totals count since the start."""

    requests_total: dict[str, int]
    """By route; every attempt counts."""
    weight_total: dict[str, int]
    """By route, in the exchange's weight; every attempt counts."""
    failed_total: dict[str, int]
    """Failed attempts by the name of the error, including Refused."""
    retries_total: int
    budget: BudgetSnapshot


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one exchange charges for requests and responds to them."""

    weight: Callable[[str, Params], int]
    """What a GET of a route costs. Raises ValueError for a route of unknown weight: it must not be sent."""
    funding_routes: Collection[str]
    """Routes that count against the limit for funding requests instead."""
    limits: Callable[[int, Mapping[str, str], bytes, int], Limits]
    """Takes status, headers, body and the exchange's time (ms); returns what they report about the limits."""
    answer: Callable[[int, bytes, str], Any]
    """Takes status, body and a description of the request; returns the JSON. Raises ExchangeError for an error."""


class RestClient:
    """One process's connection to one exchange. Open it with ``async with``.

    `rest_url` is scheme and host. `ca_file` (PEM) is trusted besides the system's authorities. `proxy` (see
    `proxy.checked`) is the only one used: the environment's are ignored. A `session` that is passed in is used and left
    open, whatever `proxy` is. On connection errors, timeouts, 408 and 5xx a read is attempted up to 4 times, and each
    attempt is charged to the budget; after a refusal it is never repeated. A request waits for its turn as long as it
    takes: bound it with `asyncio.timeout` where that matters; `timeout_seconds` counts from sending.

    Raises ExchangeError (see `errors`) and nothing else; so does the constructor, for an unreadable `ca_file` or a
    `rest_url` that is not a URL.
    """

    def __init__(
        self,
        rest_url: str,
        budget: Budget,
        dialect: Dialect,
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
        self._dialect = dialect
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

    def snapshot(self) -> ClientSnapshot:
        """Return the counters for metrics."""
        return ClientSnapshot(
            requests_total=dict(self._requests_total),
            weight_total=dict(self._weight_total),
            failed_total=dict(self._failed_total),
            retries_total=self._retries_total,
            budget=self.budget.snapshot(),
        )

    async def get(self, route: str, params: Params, priority: Priority) -> tuple[bytes, Any]:
        """Return the body of the response to a GET, and its JSON. Raises ValueError for an unknown route."""
        backoff = Backoff(self._backoff_seconds, LONGEST_BACKOFF_SECONDS, self._jitter)
        while True:
            try:
                return await self._ask_once(route, params, priority)
            except ExchangeError as error:
                self._failed_total[type(error).__name__] += 1
                if not error.retryable or backoff.failures == ATTEMPTS - 1:
                    raise
            await asyncio.sleep(backoff.next_seconds())
            self._retries_total += 1

    async def _ask_once(self, route: str, params: Params, priority: Priority) -> tuple[bytes, Any]:
        session = self._session
        if session is None:
            raise closed()
        clock = self.budget.clock
        weight = self._dialect.weight(route, params)
        ticket = await self._gate.enter(priority, weight, funding=route in self._dialect.funding_routes)
        limits: Limits | None = None
        try:
            if session.closed:
                raise closed()
            self._requests_total[route] += 1
            self._weight_total[route] += weight
            async with session.get(
                self._rest_url + route,
                params=dict(params),
                headers={"Accept-Encoding": "gzip"},
                ssl=self._ssl,
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                # The headers count even if the body is cut off.
                limits = self._dialect.limits(response.status, response.headers, b"", clock.now_ms())
                body = await response.read()
            limits = self._dialect.limits(response.status, response.headers, body, clock.now_ms())
        except (aiohttp.ClientError, TimeoutError, OSError, *PROXY_ERRORS) as error:
            raise no_answer(error, self._rest_url, self._proxy) from error
        finally:
            self._gate.leave(ticket, limits)
        if limits.refusal is not None:
            raise refused(response.status, self.budget.circuit.wait_ms() / 1000, clock.now_ms())
        return body, self._dialect.answer(response.status, body, f"{route} {params or ''}".strip())


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ExchangeError(
                f"{ca_file} contains no readable certificate ({error})", "set exchange.ca_file to a PEM file"
            ) from None
    return context
