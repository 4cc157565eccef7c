"""What a route returns: a body with its age, or a refusal in Binance's words."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

type State = Literal["live", "behind", "history", "upstream", "last-good"]
"""Header X-Data-State. `live`: the exchange has nothing newer but the forming frame. `behind`: the newest ended candle
is not final yet and left out. `history`: an old range. `upstream`: from the exchange, just now or within its cache
time. `last-good`: the exchange is in trouble, this is its last response."""

type Query = Mapping[str, str]
"""A request's parameters."""

AGE_LIMIT_MS = 600_000
"""Older data than this is not served (docs/design.md 5.1)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON body. `gzipped` is, or returns, the same body compressed, if the route has that at hand.

    `age_ms`: how long ago the exchange reported the newest part of it.
    """

    body: bytes
    status: int = 200
    age_ms: int | None = None
    state: State | None = None
    gzipped: bytes | Callable[[], bytes] | None = None


class Refused(Exception):
    """Answered as Binance does: `{"code":-1121,"msg":"Invalid symbol."}` with an HTTP status."""

    def __init__(self, status: int, code: int, message: str, retry_after_seconds: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after_seconds = retry_after_seconds

    @property
    def body(self) -> bytes:
        return json_bytes({"code": self.code, "msg": self.message})


def bad_request(code: int, message: str) -> Refused:
    """Return the refusal for a wrong parameter: Binance's code and text, status 400."""
    return Refused(400, code, message)


def not_now(why: str, retry_after_seconds: float) -> Refused:
    """Return the refusal for trouble of ours or the exchange's: 429, the only status that makes bots back off."""
    return Refused(429, -1003, f"marketdata gateway: {why}", max(1, round(retry_after_seconds)))


type Handler = Callable[[Query], Awaitable[Answer]]
"""A route. May raise Refused."""


def json_bytes(value: Any) -> bytes:
    """Return compact UTF-8 JSON, in the exchange's style."""
    return msgspec.json.encode(value)
