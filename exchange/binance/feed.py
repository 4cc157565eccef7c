"""The edge to cryptofeed: one feed for one channel, subscriptions in, events out.

Whatever would escape from cryptofeed and drop a connection with 200 streams (a bad frame, an unknown symbol, a callback
that raises) is caught and counted here: this is the only place with a broad ``except``.
"""

import logging
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote

from cryptofeed.connection import WebsocketEndpoint, WSAsyncConn
from cryptofeed.defines import CANDLES as CRYPTOFEED_CANDLES
from cryptofeed.defines import FUNDING as CRYPTOFEED_FUNDING
from cryptofeed.exceptions import UnsupportedSymbol
from cryptofeed.exchanges import BinanceFutures
from cryptofeed.symbols import Symbol, Symbols
from websockets.asyncio.client import connect

from exchange.binance.facts import FACTS
from exchange.binance.frames import candle_from_frame, mark_price_from_frame
from exchange.events import CANDLES, MARK_PRICE, Invalid
from exchange.feed import Session, Sink, Streams
from exchange.proxy import for_websockets
from exchange.universe import Instrument
from marketdata.timeframes import BASE_TIMEFRAME

log = logging.getLogger(__name__)
logging.getLogger("cryptofeed").setLevel(logging.WARNING)  # we log its info events ourselves; no exception is muted

_CRYPTOFEED_CHANNELS = {CANDLES: CRYPTOFEED_CANDLES, MARK_PRICE: CRYPTOFEED_FUNDING}
"""Maps our channels to cryptofeed's. Its FUNDING is the exchange's markPrice stream, which carries both."""

_STREAMS = {CANDLES: f"kline_{BASE_TIMEFRAME}", MARK_PRICE: "markPrice@1s"}


def stream_address(websocket_url: str) -> str:
    """Return the address of a stream that always exists."""
    return f"{websocket_url}/market/stream?streams=btcusdt@{_STREAMS[CANDLES]}"


def _name(info: Instrument) -> str:
    """Return cryptofeed's name for a symbol."""
    name: str = Symbol(info.base, info.quote, type="perpetual").normalized
    return name


class _Connection(WSAsyncConn):  # type: ignore[misc]  # cryptofeed's classes are untyped
    """A cryptofeed connection that the session opens and reads: cryptofeed neither retries nor watches for silence."""

    def __init__(self, wrapped: WSAsyncConn, session: Session) -> None:
        super().__init__(wrapped.address, wrapped.id, subscription=wrapped.subscription, **wrapped.ws_kwargs)
        self._session = session

    async def _open(self) -> None:
        self.conn = await self._session.open(lambda: connect(self.address, **self.ws_kwargs))
        self._reset_counters()

    async def read(self) -> AsyncIterator[str | bytes]:
        if self.conn is not None:
            async for frame in self._session.frames(self.conn):
                self.received += 1
                self.last_message = time.time()
                yield frame


class ChannelFeed(BinanceFutures):  # type: ignore[misc]  # cryptofeed's classes are untyped
    """cryptofeed's Binance futures feed with a handler that never raises and a connection supervised by `session`.

    It takes at most `streams_per_connection` instruments, so that it has a single connection.
    """

    per_connection_limit = FACTS.streams_per_connection
    websocket_channels = {**BinanceFutures.websocket_channels, CRYPTOFEED_FUNDING: _STREAMS[MARK_PRICE]}  # noqa: RUF012

    def __init__(self, streams: Streams, sink: Sink, pair_of: Mapping[str, str], session: Session) -> None:
        self._channel = streams.channel
        self._sink = sink
        self._pair_of = pair_of
        self._session = session
        self._handled = False
        options = {"compression": None, "ssl": streams.tls, "proxy": for_websockets(streams.proxy)}
        self.websocket_endpoints = [WebsocketEndpoint(streams.url, options=options)]
        channel = _CRYPTOFEED_CHANNELS[streams.channel]
        callback = self._on_candle if streams.channel == CANDLES else self._on_mark_price
        names = {_name(info): info.symbol for info in streams.instruments}
        # cryptofeed copies this list of symbols when it is built. Without it, it would fetch one without a timeout and
        # fail on rows of stocks.
        Symbols.set(BinanceFutures.id, names, {})
        super().__init__(
            symbols=list(names),
            channels=[channel],
            callbacks={channel: callback},
            candle_interval=BASE_TIMEFRAME,
            candle_closed_only=False,
            retries=-1,  # the session itself retries, with a cap
            timeout=-1,  # and watches for silence, also right after the start
            config={"log": {"disabled": True}, "uvloop": False, "ignore_invalid_instruments": False},
        )

    def _stream_names(self) -> list[str]:
        """Return each stream's name as part of a URL: a symbol may contain characters that separate names or end a URL.

        cryptofeed would insert symbols unchanged, and takes one that begins with a lower-case p for a premium index.
        """
        symbols = [symbol for subscribed in self.subscription.values() for symbol in subscribed]
        return [f"{quote(symbol.lower(), safe='')}@{_STREAMS[self._channel]}" for symbol in symbols]

    def _wrap_connection(self, conn: WSAsyncConn) -> _Connection:
        return _Connection(conn, self._session)

    async def message_handler(self, msg: str | bytes, conn: Any, timestamp: float) -> None:
        """Parse one frame through cryptofeed; whatever happens, the connection stays up and the frame is counted."""
        self._sink.received(self._channel)
        self._handled = False
        try:
            await super().message_handler(msg, conn, timestamp)
            if not self._handled:
                self._sink.invalid(self._channel, "unknown_event")
        except Invalid as verdict:
            self._sink.invalid(self._channel, verdict.reason)
        except UnsupportedSymbol:
            self._sink.invalid(self._channel, "unknown_symbol")
        except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError):
            self._sink.invalid(self._channel, "malformed")
        except Exception:
            self._sink.invalid(self._channel, "bug")
            log.exception("frame handler failed channel=%s frame=%.200r", self._channel, msg)

    async def _book(self, msg: Any, pair: str, timestamp: float) -> None:
        """Ignore a stray book frame: cryptofeed would fetch a snapshot by REST, outside every budget."""

    async def _on_candle(self, candle: Any, receipt_seconds: float) -> None:
        event = candle_from_frame(candle.raw, self._pair_of)
        self._handled = True
        self._sink.on_candle(event, receipt_seconds)

    async def _on_mark_price(self, funding: Any, receipt_seconds: float) -> None:
        # cryptofeed calls the estimated settle price "predicted_rate": only the raw frame is trusted.
        event = mark_price_from_frame(funding.raw, self._pair_of)
        self._handled = True
        self._sink.on_mark_price(event, receipt_seconds)
