"""Builds the collector, runs it, and stops it in an orderly way. Data flows one way:

exchange --wss--> feeds --> ingest --> writer --> spool --> deliverer (one per store) --> InfluxDB
    '-----https--> confirmer, fill ---^ '--> stream: readers   '--> rollups: dirty windows re-rolled
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack

import aiohttp
from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector

from collector.config import Config, read_tokens
from collector.feed.connections import Feeds
from collector.feed.known_pairs import KnownPairs, states_at_start, without_gone
from collector.feed.silence import SilenceWatch
from collector.feed.symbols import PairState, UniverseWatch, first_watched_open_ms
from collector.history.funding import SettledFunding
from collector.history.marks import MarkCandles
from collector.ingest.confirm import Confirmer
from collector.model.clock import ExchangeClock
from collector.observe import health
from collector.observe.metrics import Exposition, Histograms, Parts, Watching
from collector.pipeline import Pipeline, client_of
from collector.publish.spooled import spooled_candles
from collector.publish.stream import Stream
from collector.repair.contracts import Contracts
from collector.repair.coverage import Coverage
from collector.repair.elsewhere import Elsewhere
from collector.repair.fill import Fill
from collector.repair.repair import StoreRepair
from collector.repair.repairer import Repairer
from collector.repair.windows import OwnWindows
from collector.store.session import open_session
from collector.verify.late import LateDelivery
from collector.verify.sweep import Sweep
from exchange.adapters import ADAPTERS
from exchange.client import ExchangeClient, Listing
from exchange.errors import ExchangeError
from exchange.first_candles import FirstCandles
from exchange.universe import Instrument, Universe, select
from marketdata.timeframes import timeframe_ms
from service.config_file import ConfigError
from service.http import Server, application
from service.retry import patiently
from service.run import Service, run_service

log = logging.getLogger(__name__)

START_PATIENCE_SECONDS = 30.0
"""How long a start waits for a frame before the collector counts as started anyway, as the exchange may be down."""

STOP_DELIVERY_SECONDS = 5.0
"""How long a stop waits for the stores to accept spooled points; the rest is delivered at the next start."""

HEARTBEAT_SECONDS = 1.0


async def run(config: Config) -> None:
    """Run the collector until SIGTERM or SIGINT. Raises ConfigError or UnknownPair at startup."""

    async def build(stack: AsyncExitStack) -> Service:
        app = await _App.build(config, stack)
        return Service(
            app.work,
            close=app.close,
            started=app.is_delivering,
            not_ready=app.not_ready,
            stuck=app.stuck,
            start_patience_seconds=START_PATIENCE_SECONDS,
        )

    await run_service(build)


class _App:
    """The built parts. ``work`` runs them, ``close`` writes everything accepted to disk."""

    def __init__(self, config: Config, session: aiohttp.ClientSession, client: ExchangeClient) -> None:
        self._config = config
        self._client = client
        self._registry = CollectorRegistry()
        clock = ExchangeClock(time.monotonic_ns)
        self._stream = Stream(config.collector.name, uuid.uuid4().hex, clock, exchange=client.facts.id)
        histograms = Histograms(self._registry, client.facts.id)
        self._pipeline = Pipeline(
            config,
            session,
            clock,
            listeners=[self._stream],
            observe_receive=histograms.observe_receive,
            observe_write=histograms.observe_write,
            on_delivered=self._delivered,
        )
        self._clock, self._ingest, self._writer = clock, self._pipeline.ingest, self._pipeline.writer
        self._late = {name: self._late_delivery(name) for name in self._pipeline.stores}
        self._parts = Parts(client, self._pipeline, self._stream, major=config.exchange.major)
        self._registry.register(Exposition(self._parts))
        ProcessCollector(registry=self._registry)
        self._server = Server(
            application(
                self._registry,
                web.get("/status", self._status),
                web.get("/stream", self._stream.handle, allow_head=False),
                not_ready=self.not_ready,
            ),
            "collector",
            config.collector,
        )

    @classmethod
    async def build(cls, config: Config, stack: AsyncExitStack) -> "_App":
        """Open the sessions, take over the spool and start listening; nothing streams yet."""
        read_tokens(config)
        client = client_of(config.exchange, config.exchange.weight_share_percent)
        await stack.enter_async_context(client)
        session = await stack.enter_async_context(open_session(config))
        app = cls(config, session, client)
        state_dir = config.collector.state_dir
        try:
            found = await asyncio.to_thread(app._pipeline.spool.recover)
        except OSError as error:
            raise ConfigError(f"collector.state_dir = {state_dir}: cannot be used: {error}") from error
        stack.callback(app._pipeline.spool.close)
        for name, recovered in found.items():
            if recovered.points:
                log.info("spool recovered store=%s points=%d", name, recovered.points)
        await stack.enter_async_context(app._server)
        return app

    async def work(self) -> None:
        """Deliver what is spooled, learn the universe, then stream, confirm and fill until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._heartbeat())
            group.create_task(self._stream.run())
            group.create_task(self._writer.run())
            # Before any of it is delivered.
            await self._stream.restore(spooled_candles(self._pipeline.spool, time.time()))
            for store in self._pipeline.stores.values():
                group.create_task(store.deliverer.run())
                group.create_task(store.rollups.run())
            known = KnownPairs(self._config.collector.state_dir)
            symbols, other_states = await self._learn_universe(known)
            self._watch(symbols)
            firsts = FirstCandles(self._client, self._config.collector.state_dir)
            watched = {info.pair: firsts.told(info) for info in symbols}
            confirmer = Confirmer(self._ingest, self._client, watched, self._clock, self._pipeline.quarantine)
            exchange = self._config.exchange
            feeds = Feeds(
                ADAPTERS[exchange.id],
                self._ingest,
                symbols,
                exchange.websocket_url,
                exchange.ca_file,
                proxy=exchange.proxy,
            )
            repairer = self._repairer(watched, Contracts(firsts, self._ingest, watched))

            def listed(infos: Sequence[Instrument]) -> None:
                known.add(infos)
                repairer.look_soon()

            universe = UniverseWatch(
                self._ingest,
                self._client,
                feeds,
                watched,
                self._wanted,
                unreadable=self._parts.unreadable,
                on_answer=self._stream.exchange_info_answered,
                on_listed=listed,
            )
            universe.members.states.update(other_states)
            silence = SilenceWatch(self._ingest, self._client, feeds, watched, universe.members.states)
            readers = self._pipeline.readers
            sweep = Sweep(self._ingest, self._client, readers, self._late, lambda: list(watched.values()))
            funding, marks = self._history(watched, lambda: repairer.state.done)
            self._parts.pair_states = universe.members.states
            self._parts.watching = Watching(feeds, silence, confirmer, repairer, sweep, funding, marks)
            group.create_task(feeds.run())
            group.create_task(universe.run())
            group.create_task(silence.run())
            group.create_task(confirmer.run())
            group.create_task(repairer.run())
            group.create_task(sweep.run())
            group.create_task(funding.run())
            group.create_task(marks.run())

    async def close(self) -> None:
        """Write everything accepted to disk, and give the stores a moment to accept it."""
        self._stream.close()
        await self._writer.close()
        delivery = [asyncio.create_task(store.deliverer.run()) for store in self._pipeline.stores.values()]
        drained = [asyncio.create_task(self._writer.drained(name)) for name in self._pipeline.stores]
        await asyncio.wait(drained, timeout=STOP_DELIVERY_SECONDS)
        for task in (*drained, *delivery):
            task.cancel()
        await asyncio.wait((*drained, *delivery))
        for store, counters in self._pipeline.points.items():
            log.info("spool kept for next start store=%s points=%d", store, counters.snapshot().in_spool)

    def is_delivering(self) -> bool:
        """Whether any frame has arrived."""
        return any(counts.received for counts in self._ingest.frames.values())

    def not_ready(self) -> list[str]:
        """Return the reasons why /readyz refuses."""
        return health.not_ready(self._parts, time.time())

    def stuck(self) -> list[str]:
        """Return what has stopped making progress."""
        return health.stuck(self._writer, self._parts.connections, time.monotonic())

    async def _status(self, _request: web.Request) -> web.Response:
        return web.json_response(health.status(self._parts, self._config.collector.name, time.time()))

    def _delivered(self, store: str, bucket: str, lines: Sequence[str]) -> None:
        self._late[store].on_delivered(bucket, lines)
        self._stream.on_delivered(bucket, lines)

    def _late_delivery(self, store: str) -> LateDelivery:
        spool = self._pipeline.spool
        path = self._config.collector.state_dir / f"late-{store}.json"
        return LateDelivery(path, lambda: spool.level(store).oldest_written_seconds, wall_seconds=time.time)

    def _repairer(self, symbols: Mapping[str, Instrument], contracts: Contracts) -> Repairer:
        config = self._config
        watched_from_ms = min(self._ingest.finality.next_open_ms(pair) for pair in symbols)
        fill = Fill(self._client, self._clock, self._pipeline.history)
        windows = OwnWindows(self._clock, fill, most=config.fill.rollup_windows)
        elsewhere = Elsewhere(self._pipeline.readers, self._ingest, self._writer)
        stores = []
        for name, store in self._pipeline.stores.items():
            try:
                coverage = Coverage(config.collector.state_dir, name, configured_start_ms=config.ledger.start_ms)
            except ValueError as error:
                raise ConfigError(str(error)) from error
            coverage.begin(watched_from_ms - config.fill.hours * timeframe_ms("1h"))
            stores.append(
                StoreRepair(
                    name,
                    store.reader,
                    store.rollups,
                    coverage,
                    self._ingest,
                    self._writer,
                    fill,
                    windows,
                    elsewhere,
                    watched_from_ms=watched_from_ms,
                    again_after_ms=[seconds * 1000 for seconds in config.ledger.ask_again_seconds],
                )
            )
        return Repairer(stores, symbols, contracts, every_seconds=config.ledger.check_seconds, wall_seconds=time.time)

    def _history(
        self, watched: Mapping[str, Instrument], filled: Callable[[], bool]
    ) -> tuple[SettledFunding, MarkCandles]:
        """Build what keeps data available only by REST complete, for the longer of the two configured histories."""
        hours = max(self._config.fill.hours, self._config.funding.history_days * 24)
        parts = (self._ingest, self._client, self._writer, self._pipeline.readers, watched)
        return SettledFunding(*parts, hours=hours), MarkCandles(*parts, hours=hours, filled=filled)

    async def _learn_universe(self, known: KnownPairs) -> tuple[Sequence[Instrument], dict[str, PairState]]:
        """Ask the exchange for its time and symbols until it responds; the states are those of uncollected pairs.

        Raises UnknownPair for a name that was never known.
        """

        async def ask() -> Listing:
            self._clock.observe(await self._client.server_time_ms())
            return await self._client.listing()

        exchange = self._config.exchange
        listing = await patiently("startup", ask, ExchangeError)
        universe = listing.universe
        pairs, gone = without_gone(universe, exchange.pairs, known.pairs)
        selection = select(
            universe,
            pairs,
            exchange.include,
            exchange.exclude,
            include_index=exchange.include_index,
        )
        log.info("universe known symbols=%d watched=%d", len(universe.symbols), len(selection.symbols))
        for pair in gone:
            log.warning('pair no longer at exchange pair=%s hint="remove it from exchange.pairs"', pair)
        for info in selection.not_trading:
            log.warning("pair not trading pair=%s status=%s", info.pair, info.status)
        for pattern in selection.unmatched:
            log.warning("pattern matches no pair pattern=%s", pattern)
        self._parts.unreadable.learn(universe.invalid)
        if not selection.symbols:
            raise ConfigError("exchange: no pair is left: extend pairs or include, or shorten exclude")
        self._stream.exchange_info_answered(listing.answer)
        await asyncio.to_thread(known.add, (*selection.symbols, *selection.not_trading))
        return selection.symbols, states_at_start(selection, gone)

    def _wanted(self, universe: Universe) -> Sequence[Instrument]:
        """Select the configured pairs among those that trade now; a pair in the configuration may be gone by now."""
        exchange = self._config.exchange
        found = select(universe, "all", exchange.include, exchange.exclude, include_index=exchange.include_index)
        return [info for info in found.symbols if exchange.pairs == "all" or info.pair in exchange.pairs]

    def _watch(self, symbols: Sequence[Instrument]) -> None:
        from_open_ms = first_watched_open_ms(self._clock.now_ms())
        for info in symbols:
            self._ingest.watch(info.pair, from_open_ms)

    async def _heartbeat(self) -> None:
        while True:
            self._parts.heartbeat_seconds = time.time()
            await asyncio.sleep(HEARTBEAT_SECONDS)
