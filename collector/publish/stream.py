"""GET /stream: every event as it happens, for readers that join and leave as they like. The protocol: docs/stream.md.

    ingest --> recent (what a joining reader receives)
      '------> one line, encoded once --> each reader's backlog --> its socket

A joining reader receives one pair after the other, as fast as it reads; a pair's events follow once its ``pair`` line
has been sent. So a long snapshot puts no reader behind, and nothing is lost or sent twice between snapshot and live.
"""

import asyncio
import logging
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from typing import Any

from aiohttp import web

from collector.model.clock import ExchangeClock
from collector.publish import lines
from collector.publish.recent import Final, Recent
from exchange.events import Candle, MarkPrice
from marketdata.schema import BUCKET_RAW, EXCHANGE

log = logging.getLogger(__name__)

MOST_BEHIND_BYTES = 1 << 20
"""A reader with a larger backlog is cut off: its data would be old, and its backlog occupies our memory."""

WRITE_BYTES = 64 << 10
"""Written to a socket at once; also the buffer requested from the kernel, so that little data is hidden there."""

HEARTBEAT_SECONDS = 1.0


class Backlog:
    """The lines waiting for one reader, at most ``most_bytes`` of events; ``cut`` is called if there are more."""

    def __init__(self, untold: Iterable[str], most_bytes: int, cut: Callable[[], None]) -> None:
        self.untold = dict.fromkeys(untold)  # in order: pairs whose ``pair`` line is still to come
        self.is_cut = False
        self.ended = False
        self._most_bytes = most_bytes
        self._cut = cut
        self._lines: deque[tuple[bytes, int]] = deque()
        self._bytes = 0
        self._arrived = asyncio.Event()

    def add(self, line: bytes, *, counts: bool = True) -> None:
        """Queue a line. One that does not count (exchangeInfo alone is 1.2 MB) does not put a reader behind."""
        if self.is_cut:
            return
        size = len(line) if counts else 0
        self._lines.append((line, size))
        self._bytes += size
        if self._bytes > self._most_bytes:
            self.is_cut = True
            self._lines.clear()
            self._cut()
        self._arrived.set()

    def end(self) -> None:
        """End after the lines that are waiting."""
        self.ended = True
        self._arrived.set()

    def take(self) -> tuple[bytes, int]:
        """Return the next lines in one piece, and by how much ``sent`` will shorten the backlog."""
        taken, size, counted = [], 0, 0
        while self._lines and size < WRITE_BYTES:
            line, counts = self._lines.popleft()
            taken.append(line)
            size += len(line)
            counted += counts
        return b"".join(taken), counted

    def sent(self, counted: int) -> None:
        """The socket has accepted them."""
        self._bytes -= counted

    async def wait(self) -> None:
        """Return once there are lines, or the end is reached."""
        if not self._lines and not self.ended and not self.is_cut:
            self._arrived.clear()
            await self._arrived.wait()


class Stream:
    """Receives every event (as a listener of ``ingest``), remembers the newest, and sends them to all readers.

    Readers are refused with 503 before ``exchange_info_answered`` and after ``close``.
    """

    def __init__(
        self,
        collector: str,
        boot_id: str,
        clock: ExchangeClock,
        *,
        exchange: str = EXCHANGE,
        recent: Recent | None = None,
        most_behind_bytes: int = MOST_BEHIND_BYTES,
    ) -> None:
        self.recent = recent or Recent()
        self.events_sent = 0
        self.readers_cut_off = 0
        self._collector = collector
        self._boot_id = boot_id
        self._exchange = exchange
        self._clock = clock
        self._most_behind_bytes = most_behind_bytes
        self._exchange_info: dict[str, Any] = {}
        self._seq = 0
        self._readers: set[Backlog] = set()
        self._closed = False

    @property
    def readers(self) -> int:
        """The number of connected readers."""
        return len(self._readers)

    async def restore(self, spooled: AsyncIterator[list[tuple[Candle, str]]]) -> None:
        """Take in what an earlier process left in the spool, before the pairs are watched."""
        async for candles in spooled:
            for candle, line in candles:
                self.recent.add_unwatched(candle, line)

    def on_watch(self, pair: str, next_open_ms: int) -> None:
        """A pair is collected from now on."""
        if self.recent.watch(pair, next_open_ms):
            self._tell(lambda seq: lines.pair(seq, pair, self.recent.pairs[pair]))

    def on_unwatch(self, pair: str) -> None:
        """A pair is no longer collected."""
        if self.recent.unwatch(pair):
            self._tell(lambda seq: lines.left(seq, pair), pair)
            for reader in self._readers:
                reader.untold.pop(pair, None)

    def on_open(self, candle: Candle) -> None:
        """A frame of a forming candle."""
        if self._believed(max(candle.open_time_ms, candle.event_time_ms)) and self.recent.add_open(candle):
            self._tell(lambda seq: lines.open_candle(seq, candle), candle.pair)

    def on_final(self, candle: Candle, line: str, next_open_ms: int) -> None:
        """A final candle went to the writer as ``line``; the pair's first that is not final is ``next_open_ms``."""
        self._tell_finals(self.recent.add_final(candle, line, next_open_ms))

    def on_absent(self, pair: str, open_time_ms: int, next_open_ms: int, *, invalid: bool) -> None:
        """The exchange has no such candle, or, if ``invalid``, only an impossible row."""
        if self.recent.add_absent(pair, open_time_ms, next_open_ms, invalid=invalid):
            self._tell(lambda seq: lines.absent(seq, pair, open_time_ms, invalid=invalid), pair)
        self._tell_finals(self.recent.advance(pair, next_open_ms))

    def on_mark_price(self, event: MarkPrice) -> None:
        """A frame of mark price and funding."""
        if self._believed(event.event_time_ms) and self.recent.add_mark_price(event):
            self._tell(lambda seq: lines.mark_price(seq, event), event.pair)

    def on_delivered(self, bucket: str, delivered: Sequence[str]) -> None:
        """A store has these lines."""
        if bucket == BUCKET_RAW:
            self.recent.acknowledge(delivered)

    def exchange_info_answered(self, answer: dict[str, Any]) -> None:
        """The exchange returned its symbols: send them to readers if anything but the server time has changed."""
        if {**answer, "serverTime": 0} == {**self._exchange_info, "serverTime": 0}:
            return
        self._exchange_info = answer
        self._tell(lambda seq: lines.exchange_info(seq, answer), counts=False)

    async def run(self) -> None:
        """Send a heartbeat with the exchange's time to every reader each second, until cancelled."""
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            if self._readers:
                line = lines.heartbeat(self._seq, self._clock.now_ms())
                for reader in self._readers:
                    reader.add(line)

    def close(self) -> None:
        """End every response in an orderly way and refuse new readers."""
        self._closed = True
        for reader in self._readers:
            reader.end()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer GET /stream."""
        since = request.query.get("since_ms", "0")
        if not (since.isascii() and since.isdigit() and len(since) <= 15):
            return web.Response(status=400, text=f"since_ms={since[:40]}: must be a UTC time in milliseconds\n")
        if self._closed or not self._exchange_info:
            what = "stopping" if self._closed else "starting: the pairs are not known yet"
            return web.Response(status=503, headers={"Retry-After": "1"}, text=f"{what}\n")
        transport = request.transport
        if transport is None:  # the client disconnected before we responded
            return web.Response(status=503)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, WRITE_BYTES)
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson", "Cache-Control": "no-store"})
        reader = Backlog(self.recent.pairs, self._most_behind_bytes, transport.abort)
        self._readers.add(reader)
        log.info("stream reader joined peer=%s since_ms=%s", request.remote, since)
        try:
            await response.prepare(request)
            await self._snapshot(reader, response, int(since))
            while await self._send(reader, response) or not (reader.ended or reader.is_cut):
                await reader.wait()
        except ConnectionError:
            pass  # it disconnected, or was cut off while being written to
        finally:
            self._readers.discard(reader)
            self.readers_cut_off += reader.is_cut
            if reader.is_cut:
                log.warning("stream reader cut off most_behind_bytes=%d peer=%s",
                            self._most_behind_bytes, request.remote)  # fmt: skip
            else:
                log.info("stream reader left peer=%s", request.remote)
        return response

    async def _snapshot(self, reader: Backlog, response: web.StreamResponse, since_ms: int) -> None:
        hello = lines.hello(self._collector, self._exchange, self._boot_id, self._clock.now_ms())
        await response.write(hello + lines.exchange_info(self._seq, self._exchange_info))
        while reader.untold and not (reader.ended or reader.is_cut):
            await self._send(reader, response)  # older lines first, so that seq only grows
            pair = next(iter(reader.untold))
            del reader.untold[pair]
            await response.write(lines.pair(self._seq, pair, self.recent.pairs[pair], since_ms))
        if not reader.untold:
            reader.add(lines.live(self._seq, self._clock.now_ms()))

    @staticmethod
    async def _send(reader: Backlog, response: web.StreamResponse) -> bool:
        """Write what is waiting; return False if nothing was."""
        some = False
        while (taken := reader.take())[0]:
            some = True
            await response.write(taken[0])
            reader.sent(taken[1])
        return some

    def _believed(self, time_ms: int) -> bool:
        """Whether a frame's time is plausible: one from the future would hide every true frame until then."""
        return time_ms <= self._clock.now_ms()

    def _tell_finals(self, finals: Iterable[Final]) -> None:
        for final in finals:
            self._tell(partial(lines.final_candle, final=final), final.candle.pair)

    def _tell(self, line_of: Callable[[int], bytes], pair: str | None = None, *, counts: bool = True) -> None:
        self._seq += 1
        if not self._readers:
            return
        line = line_of(self._seq)
        for reader in self._readers:
            if pair not in reader.untold:
                reader.add(line, counts=counts)
                self.events_sent += 1
