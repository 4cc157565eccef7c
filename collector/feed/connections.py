"""All feeds: each channel has its own connections, so that none hides that another has failed; they change at runtime.

``add``, ``leave`` and ``resubscribe`` state what is wanted; ``run`` takes the steps of `plan` that lead there. A
connection is replaced before the exchange closes it (24 h): the new one delivers before the old one ends, and frames
that arrive twice meanwhile are filtered as duplicates.
"""

import asyncio
import logging
import random
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from collector.feed.connection import (
    FIRST_FRAME_SECONDS,
    ConnectionState,
    ConnectionTotals,
    SupervisedSession,
    silence_limit_seconds,
)
from collector.feed.pacing import AttemptWindow
from collector.feed.plan import Group, Step, plan
from collector.ingest.ingest import Ingest
from exchange.adapters import Adapter
from exchange.events import CANDLES, MARK_PRICE
from exchange.feed import ExchangeFeed, Streams
from exchange.universe import Instrument

log = logging.getLogger(__name__)

CHANNELS = (CANDLES, MARK_PRICE)
"""The streamed channels, each on its own connections."""

LIFE_SPREAD = 0.02
"""Each connection is replaced earlier by a random share up to this one, so that they are not all replaced at once."""

AGAIN_LIFE_SECONDS = 3600.0
"""How long until a second subscription of silent streams is merged with the others."""

AGAIN_MOST = 3
"""Maximum number of connections per channel for second subscriptions; other silent streams wait until these merge."""

TICK_SECONDS = 0.5
NEXT_REPLACEMENT_SECONDS = 300.0
"""If a new connection does not deliver, the old one is kept, and the next replacement is tried after this time."""


@dataclass(slots=True, eq=False)
class _Line:
    """One group with its running feed. The lines it ``replaces`` end once it delivers."""

    id: int
    symbols: tuple[str, ...]
    state: ConnectionState
    task: asyncio.Task[None]
    life_seconds: float
    started_at: float
    again: bool
    replaces: tuple["_Line", ...] = ()


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """Return the context that verifies the exchange's streams: the system's authorities plus `ca_file`."""
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


class Feeds:
    """The connections of a changing set of symbols. Metrics read ``connections`` and ``totals``."""

    def __init__(
        self,
        adapter: Adapter,
        ingest: Ingest,
        symbols: Sequence[Instrument],
        websocket_url: str,
        ca_file: Path | None = None,
        *,
        proxy: str | None = None,
        silence_seconds: float = FIRST_FRAME_SECONDS,
        life_seconds: float | None = None,
        again_life_seconds: float = AGAIN_LIFE_SECONDS,
        random: Callable[[], float] = random.random,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        facts = adapter.facts
        self.connections: list[ConnectionState] = []
        self.totals = {channel: ConnectionTotals() for channel in CHANNELS}
        self._feed_of = adapter.feed
        self._streams_per_connection = facts.streams_per_connection
        self._ingest = ingest
        self._url = websocket_url
        self._proxy = proxy
        self._silence_seconds = silence_seconds
        self._life_seconds = facts.connection_life_seconds if life_seconds is None else life_seconds
        self._again_life_seconds = min(self._life_seconds, again_life_seconds)
        self._random = random
        self._monotonic = monotonic
        self._attempts = AttemptWindow(facts.connection_attempts)
        self._context = trusting(ca_file)
        self._wanted: dict[str, Instrument] = {}
        self._known: dict[str, Instrument] = {}
        self._pair_of: dict[str, str] = {}
        self._again: dict[str, set[str]] = {channel: set() for channel in CHANNELS}
        self._lines: dict[str, list[_Line]] = {channel: [] for channel in CHANNELS}
        self._not_before = dict.fromkeys(CHANNELS, 0.0)
        self._ids = 0
        self.add(symbols)

    def add(self, symbols: Iterable[Instrument]) -> None:
        """Stream these symbols too, on their own connections until the next replacement."""
        for info in symbols:
            self._wanted[info.symbol] = self._known[info.symbol] = info
            self._pair_of[info.symbol] = info.pair

    def leave(self, symbols: Iterable[str]) -> None:
        """Stop streaming these symbols: their connections are replaced by ones without them."""
        for symbol in symbols:
            self._wanted.pop(symbol, None)

    def resubscribe(self, channel: str, symbols: Iterable[str]) -> None:
        """Subscribe to these silent streams once more, on a separate connection."""
        self._again[channel].update(self._wanted.keys() & set(symbols))

    def delivering_ages_ms(self, channel: str) -> dict[str, int]:
        """Return how long each symbol has been subscribed on a connection that delivers; other symbols are absent."""
        ages: dict[str, int] = {}
        now = self._monotonic()
        for line in self._lines[channel]:
            if line.state.delivering:
                age_ms = int((now - line.state.opened_at) * 1000)
                ages.update((symbol, max(age_ms, ages.get(symbol, 0))) for symbol in line.symbols)
        return ages

    def is_silent(self, channel: str, symbol: str) -> bool:
        """Whether all connections of a symbol are silent."""
        silent = [line.state.silent for line in self._lines[channel] if symbol in line.symbols]
        return bool(silent) and all(silent)

    def feed(self, channel: str, symbols: Sequence[str], state: ConnectionState) -> ExchangeFeed:
        """Build a feed of these symbols; nothing connects until it runs."""
        session = SupervisedSession(state, self._attempts, silence_seconds=self._silence_seconds, random=self._random)
        instruments = [self._known[symbol] for symbol in symbols]
        streams = Streams(channel, instruments, self._url, self._context, self._proxy)
        return self._feed_of(streams, self._ingest, self._pair_of, session)

    async def run(self) -> None:
        """Stream until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                for channel in CHANNELS:
                    self._finish_replacements(channel)
                    for step in self._plan(channel):
                        self._take(channel, step, group)
                await asyncio.sleep(TICK_SECONDS)

    def _plan(self, channel: str) -> list[Step]:
        now = self._monotonic()
        lines = self._lines[channel]
        busy = {line.id for new in lines if new.replaces for line in (new, *new.replaces)}
        groups = [Group(line.id, line.symbols, self._is_due(line, now), line.id in busy) for line in lines]
        may = self._attempts.has_room(now) and now >= self._not_before[channel]
        again = self._again[channel] if may and sum(line.again for line in lines) < AGAIN_MOST else set()
        steps = plan(list(self._wanted), groups, again=again, may_replace=may, limit=self._streams_per_connection)
        if again:
            self._again[channel] = set()
        return steps

    def _is_due(self, line: _Line, now: float) -> bool:
        if line.again:  # its sessions end while it is silent, so its own age counts, not theirs
            return now - line.started_at >= line.life_seconds
        return line.state.open and now - line.state.opened_at >= line.life_seconds

    def _take(self, channel: str, step: Step, group: asyncio.TaskGroup) -> None:
        lines = self._lines[channel]
        old = tuple(line for line in lines if line.id in step.replaces)
        if not step.symbols:
            self._retire(channel, old)
            return
        again = not old and any(symbol in line.symbols for line in lines for symbol in step.symbols)
        state = ConnectionState(channel, len(step.symbols), self.totals[channel], progressed_at=self._monotonic())
        life = self._again_life_seconds if again else self._life_seconds
        life *= 1 - LIFE_SPREAD * self._random()
        self._ids += 1
        never = asyncio.Event()  # a feed stops when it is cancelled
        task = group.create_task(self.feed(channel, step.symbols, state).run(never))
        lines.append(_Line(self._ids, step.symbols, state, task, life, self._monotonic(), again, old))
        self.connections.append(state)
        log.info("connecting channel=%s streams=%d replaces=%d first=%s",
                 channel, len(step.symbols), len(old), step.symbols[0])  # fmt: skip

    def _finish_replacements(self, channel: str) -> None:
        """Close what a delivering connection replaces; close a new connection that does not deliver."""
        now = self._monotonic()
        for line in [line for line in self._lines[channel] if line.replaces]:
            patience = 2 * silence_limit_seconds(channel, len(line.symbols), self._silence_seconds)
            if line.state.delivering:
                self._retire(channel, line.replaces)
                line.replaces = ()
            elif now - line.started_at > patience:
                log.warning("replacement connection silent channel=%s", channel)
                self._retire(channel, (line,))
                self._not_before[channel] = now + NEXT_REPLACEMENT_SECONDS

    def _retire(self, channel: str, lines: Iterable[_Line]) -> None:
        for line in lines:
            line.state.retired = True
            line.task.cancel()
            self._lines[channel].remove(line)
            self.connections.remove(line.state)
