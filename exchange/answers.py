"""Explains a refusal, a malformed response or a missing one to the operator. Pure."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

import aiohttp

from exchange.errors import ExchangeError, Refused, Unavailable, Unreachable, Untrusted
from exchange.proxy import PROXY_ERRORS, shown

_REFUSED_ACTIONS = {
    403: "the exchange's firewall blocks this address: look for other programs behind it that send too many requests",
    418: "this address is banned for continuing after 429: find what else behind it ignores the limits",
    429: "the address is over its limit: lower exchange.weight_share_percent here or the load of others behind it",
    451: "the exchange does not serve this location: run from a host in a country it serves",
}


def refused(status: int, seconds: float, now_ms: int) -> Refused:
    """Return the error for a refusal that lasts `seconds` more; `now_ms` is the exchange's time."""
    until = datetime.fromtimestamp(now_ms / 1000 + seconds, UTC)
    message = f"the exchange refused with {status}, nothing is sent before {until:%Y-%m-%d %H:%M:%S} UTC"
    return Refused(status, seconds, message, _REFUSED_ACTIONS[status])


def malformed(route: str, reason: str) -> Unavailable:
    """Return the error for a response that is JSON but not what the exchange documents."""
    return Unavailable(f"{route}: {reason}", "the exchange changed its response, or something else responds for it")


def no_answer(error: Exception, rest_url: str, proxy: str | None = None) -> ExchangeError:
    """Return the error for a request that aiohttp could not complete."""
    if proxy is not None and isinstance(error, PROXY_ERRORS):
        return Unreachable(
            f"the proxy {shown(proxy)} cannot connect to {rest_url} ({excerpt(str(error).encode())})",
            "check exchange.proxy, whether the proxy is running, and whether it accepts this host",
        )
    untrusted = isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError)
    if untrusted or isinstance(error.__cause__, ssl.SSLCertVerificationError):  # the latter through a proxy
        return Untrusted(
            f"no trusted TLS connection to {rest_url} ({excerpt(str(error).encode())})",
            "set exchange.ca_file to the authority that signed its certificate, and check the host's clock",
        )
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return Unreachable(
            f"{rest_url} cannot be reached ({excerpt(str(error).encode())})",
            "check exchange.rest_url, DNS, routing and firewall of this host",
        )
    reason = "timed out" if isinstance(error, TimeoutError) else f"broke off ({type(error).__name__})"
    return Unavailable(f"a request to {rest_url} {reason}", "check this host's network and the exchange's status page")


def excerpt(body: bytes) -> str:
    """Return the start of a response on one line, for an error message."""
    return " ".join(body[:160].decode(errors="replace").split()) or "empty"
