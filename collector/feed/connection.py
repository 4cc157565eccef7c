"""One WebSocket connection under our own supervision.

cryptofeed 3.0.1 reconnects 200 times a second after clean closes, never notices a socket that sends nothing, and
doubles its delay without a cap (docs/binance.md 3.2). So a session never raises, and never ends without pacing the
next one: opening retries by itself, and reading ends a connection that stays silent.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from collector.feed.pacing import AttemptWindow, Pacing
from exchange.events import CANDLES

log = logging.getLogger(__name__)

FIRST_FRAME_SECONDS = 30.0
"""A connection that has delivered nothing for this long is silent (docs/design.md 5.1)."""

QUIET_SECONDS = 200.0
"""The same for a connection of few candle streams: quiet pairs may pause from one close to the next, not longer."""

MANY_STREAMS = 20


@dataclass(slots=True)
class ConnectionTotals:
    """Totals of all connections of one channel, including closed ones."""

    opened: int = 0
    ended: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True, eq=False)
class ConnectionState:
    """What the metrics and /readyz read about one connection. Times are monotonic seconds.

    ``retired`` is set by whoever ends it on purpose. ``totals`` outlive it. ``progressed_at`` is the time of its last
    frame or attempt, including failed ones.
    """

    channel: str
    streams: int
    totals: ConnectionTotals = field(default_factory=ConnectionTotals)
    open: bool = False
    silent: bool = False
    retired: bool = False
    opened_at: float = 0.0
    last_frame: float | None = None
    progressed_at: float = 0.0

    @property
    def delivering(self) -> bool:
        """Whether the open session has delivered a frame and is not known to be silent."""
        return self.open and not self.silent and self.last_frame is not None and self.last_frame >= self.opened_at


def silence_limit_seconds(channel: str, streams: int, silence_seconds: float = FIRST_FRAME_SECONDS) -> float:
    """Seconds without a frame after which a connection is silent: mark prices come every second, candles if traded."""
    if channel == CANDLES and streams < MANY_STREAMS:
        return max(QUIET_SECONDS, silence_seconds)
    return silence_seconds


class SupervisedSession:
    """Opens one connection over and over with back-off, and ends it when silent: an `exchange.feed.Session`."""

    def __init__(
        self,
        state: ConnectionState,
        attempts: AttemptWindow,
        *,
        silence_seconds: float,
        random: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state = state
        self._attempts = attempts
        self._pacing = Pacing(random)
        self._monotonic = monotonic
        self._limit_seconds = silence_limit_seconds(state.channel, state.streams, silence_seconds)
        self._reported_failure = False

    async def open(self, dial: Callable[[], Awaitable[ClientConnection]]) -> ClientConnection:
        """Return an open connection; each attempt waits for its turn."""
        while True:
            self.state.progressed_at = self._monotonic()
            await asyncio.sleep(self._pacing.delay_seconds)
            # Others may have taken the free place: check again before the attempt.
            while wait := self._attempts.wait_seconds(self._monotonic()):  # noqa: ASYNC110  # time alone opens it
                await asyncio.sleep(wait)
            self.state.progressed_at = self._monotonic()
            self._attempts.record(self.state.progressed_at)
            try:
                connection = await dial()
            except Exception as error:  # noqa: BLE001 - any error is counted and logged here, and the attempt repeated
                self._failed_to_open(error)
                continue
            self._reported_failure = False
            self.state.open = True
            self.state.opened_at = self._monotonic()
            self.state.totals.opened += 1
            return connection

    async def frames(self, connection: ClientConnection) -> AsyncIterator[str | bytes]:
        """Yield frames until the connection closes or reaches its limit of silence."""
        started = self._monotonic()
        delivered = False
        reason = "closed"
        try:
            while True:
                async with asyncio.timeout(self._limit_seconds):
                    frame = await connection.recv()
                delivered = True
                self._heard()
                yield frame
        except TimeoutError:
            reason = "silent"
            self._fell_silent()
        except ConnectionClosed as error:
            reason = f"closed_{error.rcvd.code}" if error.rcvd else "lost"
        except Exception:
            reason = "bug"
            log.exception("connection read failed channel=%s", self.state.channel)
        finally:
            self.state.open = False
            self._count_end("planned" if self.state.retired else reason)
            self._pacing.ended(self._monotonic() - started, delivered=delivered)

    def _failed_to_open(self, error: Exception) -> None:
        """Count and log a failed attempt: due to the exchange, the network, or something unexpected ("bug")."""
        self._pacing.ended(0, delivered=False)
        expected = isinstance(error, OSError | TimeoutError | WebSocketException)
        refused = isinstance(error, InvalidStatus)
        self._count_end("refused" if refused else "unreachable" if expected else "bug")
        if not self._reported_failure:
            told = f"{error or type(error).__name__}" + (f": {error.__cause__}" if error.__cause__ else "")
            trace = None if expected else error
            log.warning('connect failed channel=%s error="%s"', self.state.channel, told, exc_info=trace)
        self._reported_failure = True

    def _heard(self) -> None:
        self.state.last_frame = self.state.progressed_at = self._monotonic()
        if self.state.silent:
            self.state.silent = False
            log.info("stream delivers again channel=%s streams=%d", self.state.channel, self.state.streams)

    def _fell_silent(self) -> None:
        if not self.state.silent:
            log.warning(
                "stream silent channel=%s streams=%d silent_seconds=%.0f",
                self.state.channel,
                self.state.streams,
                self._limit_seconds,
            )
        self.state.silent = True

    def _count_end(self, reason: str) -> None:
        self.state.totals.ended[reason] += 1
