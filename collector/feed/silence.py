"""Detects pairs whose stream is silent while its connection delivers, resubscribes them, and fetches mark prices.

A pair with a silent stream is not stale: closes are confirmed by REST within seconds, mark prices are requested here.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from collector.feed.connections import Feeds
from collector.feed.symbols import LISTED, PairState
from collector.ingest.ingest import Ingest, PairFreshness
from exchange.budget import Priority
from exchange.client import ExchangeClient
from exchange.errors import ExchangeError
from exchange.events import CANDLES, MARK_PRICE, mark_price_from_premium_index
from exchange.rows import PremiumIndex
from exchange.universe import Instrument
from marketdata.thresholds import STALE_MS

log = logging.getLogger(__name__)

CLOSES_UNHEARD = 3
"""A stream is silent after this many candles with trades in a row that only REST delivered, and no frame since."""

MARK_UNSERVED_MS = 20_000
SERVE_SECONDS = 30.0
SERVE_SINGLY = 5
"""Up to this many mark prices are requested one by one (weight 1 each), more all at once (10): 20 a minute at most."""

AGAIN_SECONDS = 3600.0
"""How long until a stream that is still silent is resubscribed; its second connection retries by itself."""

TICK_SECONDS = 5.0
ASLEEP_SECONDS = 15.0
"""A longer pause between two looks means that the process was stopped or starved and must first catch up on frames."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Pairs whose stream fell silent, or delivers again, since the previous verdict."""

    silent: tuple[str, ...] = ()
    delivering: tuple[str, ...] = ()


@dataclass(slots=True)
class SilentStreams:
    """The silent pairs of one channel. Pure. Times are the exchange's, UTC ms.

    A pair falls silent only while subscribed on a connection that delivers; silent connections are detected by the
    connection itself. It delivers again with its next frame.
    """

    channel: str
    silent: dict[str, int] = field(default_factory=dict)
    """When each one's last frame arrived."""

    def judge(self, now_ms: int, pairs: Mapping[str, PairFreshness], subscribed_ms: Mapping[str, int]) -> Verdict:
        """Judge ``pairs``; ``subscribed_ms``: since when each has been subscribed on a connection that delivers."""
        delivering = [
            pair
            for pair, heard_ms in self.silent.items()
            if pair not in pairs or pairs[pair].heard_ms[self.channel] > heard_ms
        ]
        for pair in delivering:
            del self.silent[pair]
        silent = [
            pair
            for pair, fresh in pairs.items()
            if pair in subscribed_ms
            and pair not in self.silent
            and self._is_silent(now_ms, fresh, max(fresh.heard_ms[self.channel], subscribed_ms[pair]))
        ]
        self.silent.update((pair, pairs[pair].heard_ms[self.channel]) for pair in silent)
        return Verdict(tuple(silent), tuple(pair for pair in delivering if pair in pairs))

    def _is_silent(self, now_ms: int, fresh: PairFreshness, quiet_from_ms: int) -> bool:
        if self.channel == MARK_PRICE:
            return now_ms - quiet_from_ms > STALE_MS
        # Quiet pairs send nothing for minutes, but every candle with trades has frames before it closes.
        return sum(open_ms >= quiet_from_ms for open_ms in fresh.rest_closes) >= CLOSES_UNHEARD


@dataclass(slots=True)
class Awake:
    """Since when this process has been looking without a break, in exchange time (ms). Pure.

    Frames missed while the process itself stood still do not make a stream silent.
    """

    since_ms: int = 0
    _looked_seconds: float | None = None

    def look(self, monotonic_seconds: float, now_ms: int) -> None:
        """Note that the process is looking now."""
        if self._looked_seconds is not None and monotonic_seconds - self._looked_seconds > ASLEEP_SECONDS:
            self.since_ms = now_ms
        self._looked_seconds = monotonic_seconds


class SilenceWatch:
    """Judges every 5 s, asks the feeds for second subscriptions, and fetches mark prices by REST meanwhile.

    ``watched`` and ``states`` change while it runs; halted pairs are expected to be silent.
    """

    def __init__(
        self,
        ingest: Ingest,
        client: ExchangeClient,
        feeds: Feeds,
        watched: Mapping[str, Instrument],
        states: Mapping[str, PairState],
    ) -> None:
        self.streams = {channel: SilentStreams(channel) for channel in (CANDLES, MARK_PRICE)}
        self._ingest = ingest
        self._client = client
        self._feeds = feeds
        self._watched = watched
        self._states = states
        self._again_at: dict[tuple[str, str], float] = {}
        self._trouble = False
        self._awake = Awake()

    def is_silent(self, channel: str, pair: str) -> bool:
        """Whether the pair's stream is silent, or all the connections it is on."""
        info = self._watched.get(pair)
        return pair in self.streams[channel].silent or (
            info is not None and self._feeds.is_silent(channel, info.symbol)
        )

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._serve_marks())
            while True:
                self._awake.look(asyncio.get_running_loop().time(), self._ingest.clock.now_ms())
                for channel, streams in self.streams.items():
                    self._judge(channel, streams)
                await asyncio.sleep(TICK_SECONDS)

    def _judge(self, channel: str, streams: SilentStreams) -> None:
        now_ms = self._ingest.clock.now_ms()
        ages_ms = self._feeds.delivering_ages_ms(channel)
        pairs = self._trading()
        symbols = {pair: self._watched[pair].symbol for pair in pairs}
        subscribed_ms = {
            pair: max(now_ms - ages_ms[symbol], self._awake.since_ms)
            for pair, symbol in symbols.items()
            if symbol in ages_ms
        }
        verdict = streams.judge(now_ms, pairs, subscribed_ms)
        if verdict.silent:
            log.warning(
                "stream silent channel=%s pairs=%d first=%s",
                channel,
                len(verdict.silent),
                verdict.silent[0],
            )
        if verdict.delivering:
            log.info("stream delivers again channel=%s pairs=%d first=%s",
                     channel, len(verdict.delivering), verdict.delivering[0])  # fmt: skip
        now = asyncio.get_running_loop().time()
        again = [pair for pair in streams.silent if now >= self._again_at.get((channel, pair), 0.0)]
        for pair in again:
            self._again_at[channel, pair] = now + AGAIN_SECONDS
        if again:
            self._feeds.resubscribe(channel, [symbols[pair] for pair in again])

    def _trading(self) -> dict[str, PairFreshness]:
        return {
            pair: fresh
            for pair, fresh in self._ingest.freshness.items()
            if pair in self._watched and self._states.get(pair) == LISTED
        }

    async def _serve_marks(self) -> None:
        while True:
            await asyncio.sleep(SERVE_SECONDS)
            quiet_ms = self._ingest.clock.now_ms() - MARK_UNSERVED_MS
            pair_of = {
                self._watched[pair].symbol: pair
                for pair, fresh in self._trading().items()
                if fresh.heard_ms[MARK_PRICE] < quiet_ms
            }
            try:
                rows = await self._ask(list(pair_of))
            except ExchangeError as error:
                if not self._trouble:
                    log.warning('mark price request failed error="%s"', error)
                self._trouble = True
                continue
            self._trouble = False
            for row in rows:
                if row.symbol in pair_of:
                    self._ingest.on_rest_mark_price(mark_price_from_premium_index(pair_of[row.symbol], row))

    async def _ask(self, symbols: Sequence[str]) -> Iterable[PremiumIndex]:
        if len(symbols) > SERVE_SINGLY:
            return await self._client.premium_index(priority=Priority.UNIVERSE)
        return [
            row for symbol in symbols for row in await self._client.premium_index(symbol, priority=Priority.UNIVERSE)
        ]
