"""Reads one collector's GET /stream (docs/stream.md) into memory, forever: reconnects, checks `seq`, needs a pulse."""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable

import aiohttp

from gateway.memory import stream_lines
from gateway.memory.memory import Memory
from gateway.memory.stream_lines import Heartbeat, Hello, Live, MalformedLine
from marketdata.schema import EXCHANGE
from service.backoff import Backoff

log = logging.getLogger(__name__)

SILENCE_SECONDS = 5.0
"""If no line arrives for this long, the connection or the collector is dead."""

FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 10.0

CHUNK_SECONDS = 0.004
"""How long lines are read without a break; requests get a turn in between."""


class _Broken(Exception):
    """The response cannot be read any further; the argument is the reason, from a fixed set."""


class CollectorStream:
    """One collector. `run` never returns; nothing a collector sends or fails to send ends it."""

    def __init__(
        self,
        name: str,
        url: str,
        memory: Memory,
        session: aiohttp.ClientSession,
        *,
        on_live: Callable[[], None] = lambda: None,
        jitter: Callable[[], float] = random.random,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.live = False
        """Whether the snapshot is complete and lines keep arriving."""
        self.lines_total = 0
        self.broken_total: Counter[str] = Counter()
        self._url = f"{url}/stream"
        self._memory = memory
        self._session = session
        self._on_live = on_live
        self._jitter = jitter
        self._monotonic = monotonic
        self._seq = 0

    async def run(self) -> None:
        """Read until cancelled."""
        backoff = Backoff(FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS, self._jitter)
        while True:
            try:
                await self._read()
                reason = "ended"
            except _Broken as error:
                reason = str(error.args[0])
            except TimeoutError:
                reason = "silent"
            except (aiohttp.ClientError, OSError):
                reason = "unreachable"
            if self.live:
                self.live = False
                backoff.reset()
            self.broken_total[reason] += 1
            delay = backoff.next_seconds()
            if backoff.failures == 1:
                log.warning("collector lost name=%s reason=%s retry_seconds=%.1f", self.name, reason, delay)
            await asyncio.sleep(delay)

    async def _read(self) -> None:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=SILENCE_SECONDS, sock_read=SILENCE_SECONDS)
        async with self._session.get(self._url, timeout=timeout, allow_redirects=False) as response:
            if response.status != 200:
                raise _Broken("refused")
            rest = b""
            async for chunk in response.content.iter_any():
                lines = (rest + chunk).split(b"\n")
                rest = lines.pop()
                await self._take(lines)

    async def _take(self, lines: list[bytes]) -> None:
        began = self._monotonic()
        for line in lines:
            try:
                self._line(line)
            except MalformedLine as error:
                log.warning('malformed collector line name=%s error="%s"', self.name, error)
                raise _Broken("malformed") from error
            if self._monotonic() - began > CHUNK_SECONDS:
                await asyncio.sleep(0)
                began = self._monotonic()

    def _line(self, text: bytes) -> None:
        line = stream_lines.parse(text)
        self.lines_total += 1
        match line:
            case None:
                return
            case Hello():
                if line.protocol != stream_lines.PROTOCOL:
                    raise _Broken("protocol")
                if line.exchange != EXCHANGE:
                    raise _Broken("exchange")
                self._memory.clock.observe(line.exchange_time_ms)
                self._memory.begin(self.name)
            case Live():
                self._memory.clock.observe(line.exchange_time_ms)
                self._memory.end_of_snapshot(self.name)
                self._seq = line.seq
                self.live = True
                log.info("collector live name=%s pairs=%d", self.name, len(self._memory.pairs))
                self._on_live()
            case Heartbeat():
                self._memory.clock.observe(line.exchange_time_ms)
                if self.live and line.seq != self._seq:
                    raise _Broken("gap")
            case _:
                if self.live and line.seq != self._seq + 1:
                    raise _Broken("gap")
                self._seq = line.seq
                self._memory.apply(self.name, line)
