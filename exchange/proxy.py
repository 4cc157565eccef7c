"""The way to the exchange through a proxy: the configured one (http or socks5) for both REST and WebSocket, or none.

Proxy variables of the environment are ignored: REST and WebSocket read different ones, and a collector whose streams
take another route than its requests only half works. python-socks opens the connections; aiohttp-socks, by the same
author, wraps it as a connector for aiohttp, and websockets uses it on its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from aiohttp_socks import ProxyConnectionError, ProxyConnector, ProxyError, ProxyTimeoutError

if TYPE_CHECKING:
    from aiohttp import BaseConnector

SCHEMES = ("http", "socks5")

PROXY_ERRORS = (ProxyConnectionError, ProxyError, ProxyTimeoutError)
"""Errors that a connection through `connector` raises besides aiohttp's own."""


def checked(proxy: str) -> str:
    """Return `scheme://[user:password@]host:port` without a trailing slash. Raises ValueError."""
    wanted = "must be http://host:port or socks5://host:port, with user:password@ before the host if it requires them"
    try:
        parts = urlsplit(proxy)
        whole = parts.scheme in SCHEMES and parts.hostname and parts.port
    except ValueError:
        raise ValueError(wanted) from None
    if not whole or parts.path not in ("", "/") or parts.query or parts.fragment or not proxy.isascii():
        raise ValueError(wanted)
    if (parts.username is None) != (parts.password is None):
        raise ValueError(wanted)
    return proxy.rstrip("/")


def shown(proxy: str) -> str:
    """Return a proxy as it may be printed: without user and password."""
    parts = urlsplit(proxy)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def connector(proxy: str | None) -> BaseConnector | None:
    """Return aiohttp's connector for the proxy, None for its own. The proxy resolves the exchange's name."""
    return None if proxy is None else ProxyConnector.from_url(proxy, rdns=True)


def for_websockets(proxy: str | None) -> str | None:
    """Return the `proxy` for websockets (whose default is the environment's); the proxy resolves the name."""
    return proxy and proxy.replace("socks5://", "socks5h://", 1)
