"""What lies between an exchange's WebSocket library and the collector: who receives events, who supervises."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from ssl import SSLContext
from typing import Protocol

from websockets.asyncio.client import ClientConnection

from exchange.events import Candle, MarkPrice, Reason
from exchange.universe import Instrument


class Sink(Protocol):
    """Receives the frames of a feed: each one is reported as received, then as an event or as invalid."""

    def received(self, channel: str) -> None:
        """A frame arrived."""

    def invalid(self, channel: str, reason: Reason) -> None:
        """It was not an event."""

    def on_candle(self, candle: Candle, receipt_seconds: float) -> None:
        """It was a candle; `receipt_seconds` is when it arrived, by the wall clock."""

    def on_mark_price(self, event: MarkPrice, receipt_seconds: float) -> None:
        """It was a mark price."""


class Session(Protocol):
    """The life of one connection, session after session."""

    async def open(self, dial: Callable[[], Awaitable[ClientConnection]]) -> ClientConnection:
        """Return an open connection, however many attempts it takes."""

    def frames(self, connection: ClientConnection) -> AsyncIterator[str | bytes]:
        """Yield its frames until it closes or goes silent."""


@dataclass(frozen=True, slots=True)
class Streams:
    """What one feed subscribes to: one channel of these instruments, on one connection."""

    channel: str
    instruments: Sequence[Instrument]
    url: str
    tls: SSLContext
    proxy: str | None


class ExchangeFeed(Protocol):
    """The streams of one connection."""

    async def run(self, stop: asyncio.Event) -> None:
        """Stream until cancelled."""


type FeedFactory = Callable[[Streams, Sink, Mapping[str, str], Session], ExchangeFeed]
"""Builds the feed for some streams; the mapping is symbol to pair. It does not connect before it runs."""
