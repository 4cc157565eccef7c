"""The edge to cryptofeed: subscriptions in, events out. One feed per channel, so that no channel hides another's death.

Everything cryptofeed lets through that would drop a connection of 200 streams (a bad frame, an unknown symbol, a
raising callback) is caught and counted here: this is the one place with a broad ``except``.
"""

import asyncio
import logging
import random
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptofeed.connection import WebsocketEndpoint, WSAsyncConn
from cryptofeed.defines import CANDLES as CRYPTOFEED_CANDLES
from cryptofeed.defines import FUNDING as CRYPTOFEED_FUNDING
from cryptofeed.exceptions import UnsupportedSymbol
from cryptofeed.exchanges import BinanceFutures
from cryptofeed.symbols import Symbol, Symbols

from collector.connection import FIRST_FRAME_SECONDS, ConnectionState, SupervisedConnection
from collector.events import CANDLES, MARK_PRICE
from collector.ingest import Ingest
from collector.normalize import Invalid, candle_from_frame, mark_price_from_frame
from collector.pacing import AttemptWindow
from exchange.universe import SymbolInfo

log = logging.getLogger(__name__)

STREAMS_PER_CONNECTION = 200
"""More streams make a URL longer than the 8,004 characters the exchange accepts (research/binance.md 1.2)."""

EXCHANGE_STREAMS = {CANDLES: CRYPTOFEED_CANDLES, MARK_PRICE: CRYPTOFEED_FUNDING}
"""Our channel to cryptofeed's. Its FUNDING is the exchange's markPrice stream, which carries both."""


class _Feed(BinanceFutures):  # type: ignore[misc]  # cryptofeed's classes are untyped
    """cryptofeed's Binance futures feed with a handler that never raises and connections we supervise."""

    per_connection_limit = STREAMS_PER_CONNECTION
    websocket_channels = {**BinanceFutures.websocket_channels, CRYPTOFEED_FUNDING: "markPrice@1s"}  # noqa: RUF012

    def __init__(self, feeds: "Feeds", channel: str, url: str, ssl_context: ssl.SSLContext, symbols: list[str]) -> None:
        self._feeds = feeds
        self._channel = channel
        self._ingest = feeds.ingest
        self._handled = False
        self.websocket_endpoints = [WebsocketEndpoint(url, options={"compression": None, "ssl": ssl_context})]
        stream = EXCHANGE_STREAMS[channel]
        callback = self._on_candle if channel == CANDLES else self._on_mark_price
        super().__init__(
            symbols=symbols,
            channels=[stream],
            callbacks={stream: callback},
            candle_interval="3m",
            candle_closed_only=False,
            retries=-1,  # the supervised connection retries by itself, with a cap
            timeout=-1,  # and watches for silence, also for the silence from the start
            config={"log": {"disabled": True}, "uvloop": False, "ignore_invalid_instruments": False},
        )

    def _wrap_connection(self, conn: WSAsyncConn) -> SupervisedConnection:
        streams = conn.address.count("/", conn.address.index("streams=")) + 1
        state = ConnectionState(self._channel, streams)
        self._feeds.connections.append(state)
        return SupervisedConnection(
            conn,
            state,
            self._feeds.attempts,
            silence_seconds=self._feeds.silence_seconds,
            random=random.random,
        )

    async def message_handler(self, msg: str | bytes, conn: Any, timestamp: float) -> None:
        """Parse one frame through cryptofeed; whatever happens, the connection stays up and the frame is counted."""
        self._ingest.received(self._channel)
        self._handled = False
        try:
            await super().message_handler(msg, conn, timestamp)
            if not self._handled:
                self._ingest.invalid(self._channel, "unknown_event")
        except Invalid as verdict:
            self._ingest.invalid(self._channel, verdict.reason)
        except UnsupportedSymbol:
            self._ingest.invalid(self._channel, "unknown_symbol")
        except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError):
            self._ingest.invalid(self._channel, "malformed")
        except Exception:
            self._ingest.invalid(self._channel, "bug")
            log.exception("frame handler failed channel=%s frame=%.200r", self._channel, msg)

    async def _book(self, msg: Any, pair: str, timestamp: float) -> None:
        """Ignore a book frame that strays in: cryptofeed would fetch a snapshot by REST, outside every budget."""

    async def _on_candle(self, candle: Any, receipt_seconds: float) -> None:
        event = candle_from_frame(candle.raw, self._feeds.pair_of)
        self._handled = True
        self._ingest.on_candle(event, receipt_seconds)

    async def _on_mark_price(self, funding: Any, receipt_seconds: float) -> None:
        # cryptofeed calls the estimated settle price "predicted_rate": only the raw frame is trusted.
        event = mark_price_from_frame(funding.raw, self._feeds.pair_of)
        self._handled = True
        self._ingest.on_mark_price(event, receipt_seconds)


class Feeds:
    """All feeds of a set of symbols. ``connections`` tells their state to the metrics."""

    def __init__(
        self,
        ingest: Ingest,
        symbols: Sequence[SymbolInfo],
        websocket_url: str,
        ca_file: Path | None = None,
        *,
        silence_seconds: float = FIRST_FRAME_SECONDS,
    ) -> None:
        self.ingest = ingest
        self.silence_seconds = silence_seconds
        self.pair_of = {info.symbol: info.pair for info in symbols}
        self.connections: list[ConnectionState] = []
        self.attempts = AttemptWindow()
        logging.getLogger("cryptofeed").setLevel(logging.CRITICAL)  # its errors are ours to tell, once
        names = {Symbol(info.base, info.quote, type="perpetual").normalized: info.symbol for info in symbols}
        # Pre-filled, since cryptofeed would fetch the list without a timeout and choke on TradFi rows.
        Symbols.set(BinanceFutures.id, names, {})
        context = ssl.create_default_context()
        if ca_file is not None:
            context.load_verify_locations(ca_file)
        self._feeds = {
            channel: _Feed(self, channel, websocket_url, context, list(names)) for channel in EXCHANGE_STREAMS
        }

    def feed(self, channel: str) -> _Feed:
        """The feed of one channel."""
        return self._feeds[channel]

    async def run(self) -> None:
        """Stream until cancelled."""
        never = asyncio.Event()  # cryptofeed wants to be told to stop; a cancelled task is told enough
        async with asyncio.TaskGroup() as group:
            for feed in self._feeds.values():
                group.create_task(feed.run(never))
