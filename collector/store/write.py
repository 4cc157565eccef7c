"""InfluxDB's write API: one request, and what its response means for the points in it."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import aiohttp

RetryReason = Literal[
    "connection",
    "timeout",
    "unauthorized",
    "forbidden",
    "not_found",
    "too_many_requests",
    "server_error",
    "bad_request",
    "unexpected_status",
    "token_unreadable",
    "local_disk",
]
RETRY_REASONS: tuple[RetryReason, ...] = get_args(RetryReason)

_BAD_LINE = "unable to parse"
"""How every 400 that is about the data begins; others ("queue length exceeded", "invalid precision", "Please provide
either orgID or org", a proxy's page) are not about it (measured on InfluxDB 2.7.12)."""

_DROPPED = re.compile(r"\bdropped=(\d+)")


@dataclass(frozen=True, slots=True)
class Written:
    """The store has every point."""


@dataclass(frozen=True, slots=True)
class Partial:
    """The store will never accept at least `dropped` of the points (None: it does not report how many)."""

    dropped: int | None
    message: str


@dataclass(frozen=True, slots=True)
class BadRequest:
    """The store accepted no point: it cannot parse at least one of the lines."""

    message: str


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The store accepted no point, or a proxy in front of it refused the request: the body is too large."""

    message: str


@dataclass(frozen=True, slots=True)
class Retry:
    """Not the data's fault: keep it and retry, no earlier than `retry_after_seconds` if the response names a time."""

    reason: RetryReason
    message: str
    retry_after_seconds: float | None = None


type Outcome = Written | Partial | BadRequest | TooLarge | Retry


def classify(status: int, headers: Mapping[str, str], body: bytes) -> Outcome:
    """Return what a response to POST /api/v2/write means. Pure.

    Data is given up only if the store itself reports that the data is bad.
    """
    if 200 <= status < 300:
        return Written()
    spoken = _message(body)
    message = f"{status} {spoken or body[:200].decode(errors='replace').strip()}".strip()
    if status == 413:
        return TooLarge(message)
    if status == 422:
        dropped = _DROPPED.search(message)
        return Partial(int(dropped[1]) if dropped else None, message)
    if status == 400 and spoken is not None and spoken.startswith(_BAD_LINE):
        return BadRequest(message)
    return Retry(_retry_reason(status), message, _retry_after_seconds(headers))


def _message(body: bytes) -> str | None:
    """Return the message of InfluxDB's error document; None if the body is not one."""
    try:
        document = json.loads(body)
    except ValueError:
        return None
    message = document.get("message") if isinstance(document, dict) else None
    return message if isinstance(message, str) else None


def _retry_reason(status: int) -> RetryReason:
    named: dict[int, RetryReason] = {
        400: "bad_request",
        401: "unauthorized",
        403: "forbidden",
        404: "not_found",
        408: "timeout",
        429: "too_many_requests",
    }
    return named.get(status, "server_error" if status >= 500 else "unexpected_status")


def _retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Parse Retry-After (RFC 9110, 10.2.3) in seconds; proxies in front of a store send no dates."""
    text = headers.get("Retry-After", "").strip()
    return float(text) if text.isdecimal() else None


class WriteClient:
    """Writes to one store. `token` is called for each request, so a replaced token takes effect at once.

    `token` returns the token's text and may raise OSError. The session belongs to the caller.
    """

    def __init__(
        self,
        url: str,
        org: str,
        token: Callable[[], str],
        session: aiohttp.ClientSession,
        *,
        timeout_seconds: float = 30,
    ) -> None:
        self._url = url.rstrip("/") + "/api/v2/write"
        self._org = org
        self._token = token
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=5)

    async def write(self, bucket: str, compressed: bytes) -> Outcome:
        """POST a body of gzipped line protocol with times in ms. Never raises on errors of a server or the network."""
        try:
            token = self._token().strip()
        except (OSError, UnicodeDecodeError) as error:
            return Retry("token_unreadable", f"the token cannot be read: {error}")
        if not token or not token.isascii() or not token.isprintable():
            return Retry("token_unreadable", "the token file must contain the token in one line and nothing else")
        try:
            async with self._session.post(
                self._url,
                params={"org": self._org, "bucket": bucket, "precision": "ms"},
                headers={
                    "Authorization": f"Token {token}",
                    "Content-Encoding": "gzip",
                    "Content-Type": "text/plain; charset=utf-8",
                },
                data=compressed,
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                return classify(response.status, response.headers, await response.read())
        except TimeoutError:
            return Retry("timeout", f"no response from {self._url} within {self._timeout.total:g} s")
        except aiohttp.ClientError as error:
            return Retry("connection", f"{self._url}: {error or type(error).__name__}")
