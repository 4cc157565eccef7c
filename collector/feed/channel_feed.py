"""The edge to cryptofeed: one feed of one channel, subscriptions in, events out.

Everything cryptofeed lets through that would drop a connection of 200 streams (a bad frame, an unknown symbol, a
raising callback) is caught and counted here: this is the one place with a broad ``except``.
"""

import logging
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from cryptofeed.connection import WebsocketEndpoint, WSAsyncConn
from cryptofeed.defines import CANDLES as CRYPTOFEED_CANDLES
from cryptofeed.defines import FUNDING as CRYPTOFEED_FUNDING
from cryptofeed.exceptions import UnsupportedSymbol
from cryptofeed.exchanges import BinanceFutures
from cryptofeed.symbols import Symbol, Symbols

from collector.feed.connection import SupervisedConnection
from collector.feed.plan import STREAMS_PER_CONNECTION
from collector.ingest.ingest import Ingest
from collector.model.events import CANDLES, MARK_PRICE
from collector.model.normalize import Invalid, candle_from_frame, mark_price_from_frame
from exchange.proxy import for_websockets
from exchange.universe import SymbolInfo

log = logging.getLogger(__name__)

EXCHANGE_STREAMS = {CANDLES: CRYPTOFEED_CANDLES, MARK_PRICE: CRYPTOFEED_FUNDING}
"""Our channel to cryptofeed's. Its FUNDING is the exchange's markPrice stream, which carries both."""


def cryptofeed_name(info: SymbolInfo) -> str:
    """Return cryptofeed's name of a symbol."""
    name: str = Symbol(info.base, info.quote, type="perpetual").normalized
    return name


def know_symbols(symbols: Mapping[str, str]) -> None:
    """Tell cryptofeed every symbol (its name to the exchange's): feeds built later may subscribe to them.

    Its list is one a process; it would fetch it without a timeout and choke on TradFi rows.
    """
    Symbols.set(BinanceFutures.id, dict(symbols), {})


class ChannelFeed(BinanceFutures):  # type: ignore[misc]  # cryptofeed's classes are untyped
    """cryptofeed's Binance futures feed with a handler that never raises and a connection we supervise.

    At most STREAMS_PER_CONNECTION ``symbols`` (cryptofeed's names): then it has one connection, which ``supervise``
    is called with.
    """

    per_connection_limit = STREAMS_PER_CONNECTION
    websocket_channels = {**BinanceFutures.websocket_channels, CRYPTOFEED_FUNDING: "markPrice@1s"}  # noqa: RUF012

    def __init__(
        self,
        channel: str,
        symbols: Sequence[str],
        ingest: Ingest,
        pair_of: Mapping[str, str],
        *,
        url: str,
        ssl_context: ssl.SSLContext,
        proxy: str | None,
        supervise: Callable[[WSAsyncConn], SupervisedConnection],
    ) -> None:
        self._channel = channel
        self._ingest = ingest
        self._pair_of = pair_of
        self._supervise = supervise
        self._handled = False
        options = {"compression": None, "ssl": ssl_context, "proxy": for_websockets(proxy)}
        self.websocket_endpoints = [WebsocketEndpoint(url, options=options)]
        stream = EXCHANGE_STREAMS[channel]
        callback = self._on_candle if channel == CANDLES else self._on_mark_price
        super().__init__(
            symbols=list(symbols),
            channels=[stream],
            callbacks={stream: callback},
            candle_interval="3m",
            candle_closed_only=False,
            retries=-1,  # the supervised connection retries by itself, with a cap
            timeout=-1,  # and watches for silence, also for the silence from the start
            config={"log": {"disabled": True}, "uvloop": False, "ignore_invalid_instruments": False},
        )

    def _stream_names(self) -> list[str]:
        """Every stream as it stands in an address: a symbol may hold what parts the names, or ends an address.

        cryptofeed writes it as it is, and takes one that begins with a small p for a premium index.
        """
        stream = "kline_3m" if self._channel == CANDLES else "markPrice@1s"
        symbols = [symbol for subscribed in self.subscription.values() for symbol in subscribed]
        return [f"{quote(symbol.lower(), safe='')}@{stream}" for symbol in symbols]

    def _wrap_connection(self, conn: WSAsyncConn) -> SupervisedConnection:
        return self._supervise(conn)

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
        event = candle_from_frame(candle.raw, self._pair_of)
        self._handled = True
        self._ingest.on_candle(event, receipt_seconds)

    async def _on_mark_price(self, funding: Any, receipt_seconds: float) -> None:
        # cryptofeed calls the estimated settle price "predicted_rate": only the raw frame is trusted.
        event = mark_price_from_frame(funding.raw, self._pair_of)
        self._handled = True
        self._ingest.on_mark_price(event, receipt_seconds)
