"""What lies between an exchange's WebSocket library and the collector: who gets the events, who supervises."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from ssl import SSLContext
from typing import Protocol

from websockets.asyncio.client import ClientConnection

from exchange.events import Candle, MarkPrice, Reason
from exchange.universe import Instrument


class Sink(Protocol):
    """Takes what the frames of a feed come to: every frame is received, and then an event or invalid."""

    def received(self, channel: str) -> None:
        """A frame came."""

    def invalid(self, channel: str, reason: Reason) -> None:
        """It was no event."""

    def on_candle(self, candle: Candle, receipt_seconds: float) -> None:
        """It was a candle; `receipt_seconds` is when it came, by the wall clock."""

    def on_mark_price(self, event: MarkPrice, receipt_seconds: float) -> None:
        """It was a mark price."""


class Session(Protocol):
    """The life of one connection, session after session."""

    async def open(self, dial: Callable[[], Awaitable[ClientConnection]]) -> ClientConnection:
        """Return an open connection, however many attempts it takes."""

    def frames(self, connection: ClientConnection) -> AsyncIterator[str | bytes]:
        """Yield its frames until it closes or falls silent."""


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
"""Builds the feed of some streams; the mapping is symbol to pair. Nothing connects before it runs."""
