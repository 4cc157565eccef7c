"""HTTP connections to stores, opened where they are used; never shared between processes or event loops."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Sequence
from typing import Any

import httpx

from marketdata.influxql import HEADERS
from marketdata.stores import Store, trust

_CONNECT_SECONDS = 3.0


class _Settings:
    """The settings for connections. Only these are pickled, so that a copy opens its own connections."""

    def __init__(self, stores: Sequence[Store], timeout_seconds: float) -> None:
        self._stores = stores
        self._timeout_seconds = timeout_seconds
        self._trusted: dict[int, ssl.SSLContext] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._stores, self._timeout_seconds)

    def check(self) -> None:
        """Raise InvalidRequest if a certificate file cannot be used."""
        self._trusted[os.getpid()] = trust(store.ca_file for store in self._stores)

    def _options(self) -> dict[str, Any]:
        """Options for both kinds of client. Stores are on our own network, so the environment's proxies are ignored."""
        if os.getpid() not in self._trusted:
            self.check()
        return {
            "headers": HEADERS,
            "timeout": httpx.Timeout(self._timeout_seconds, connect=min(self._timeout_seconds, _CONNECT_SECONDS)),
            "verify": self._trusted[os.getpid()],
        }


class Connections(_Settings):
    """One client per process. A child process never uses its parent's: sockets are shared and a lock may be held."""

    def __init__(self, stores: Sequence[Store], timeout_seconds: float) -> None:
        super().__init__(stores, timeout_seconds)
        self._clients: dict[int, httpx.Client] = {}

    def client(self) -> httpx.Client:
        """Return this process's client. Thread-safe. Raises InvalidRequest."""
        process = os.getpid()
        client = self._clients.get(process)
        if client is None:
            made = httpx.Client(trust_env=False, **self._options())
            client = self._clients.setdefault(process, made)  # if two threads race, the first one's
            if client is not made:
                made.close()
        return client

    def close(self) -> None:
        """Close this process's client, if there is one."""
        client = self._clients.get(os.getpid())
        if client is not None:
            client.close()


class AsyncConnections(_Settings):
    """One client per event loop of a process."""

    def __init__(self, stores: Sequence[Store], timeout_seconds: float) -> None:
        super().__init__(stores, timeout_seconds)
        self._clients: dict[tuple[int, asyncio.AbstractEventLoop], httpx.AsyncClient] = {}

    def client(self) -> httpx.AsyncClient:
        """Return the running loop's client. Raises InvalidRequest."""
        here = os.getpid(), asyncio.get_running_loop()
        client = self._clients.get(here)
        if client is None:
            process = here[0]
            kept = {at: old for at, old in self._clients.items() if at[0] != process or not at[1].is_closed()}
            client = httpx.AsyncClient(trust_env=False, **self._options())
            self._clients = {**kept, here: client}
        return client

    async def close(self) -> None:
        """Close the running loop's client, if there is one."""
        client = self._clients.get((os.getpid(), asyncio.get_running_loop()))
        if client is not None:
            await client.aclose()
