"""Builds the collector, runs it, and stops it in order. Data flows one way:

exchange --wss--> feeds --> ingest --> writer --> spool --> deliverer (one a store) --> InfluxDB
    '-----https--> confirmer, fill ---^ '--> stream: readers   '--> rollups: dirty windows rolled again
"""

import asyncio
import logging
import os
import signal
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack

import aiohttp
from prometheus_client import CollectorRegistry, ProcessCollector

from collector.config import Config, StoreSection, read_tokens
from collector.delivery.batch import Batcher
from collector.delivery.deliver import Deliverer
from collector.delivery.points import PointCounters
from collector.delivery.quarantine import Quarantine
from collector.delivery.spool import Spool
from collector.delivery.writer import Writer
from collector.feed.connections import Feeds
from collector.feed.known_pairs import KnownPairs, states_at_start, without_gone
from collector.feed.silence import SilenceWatch
from collector.feed.symbols import PairState, UniverseWatch, first_watched_open_ms
from collector.history.funding import SettledFunding
from collector.history.marks import MarkCandles
from collector.ingest.confirm import Confirmer
from collector.ingest.history import History
from collector.ingest.ingest import Ingest
from collector.model.clock import ExchangeClock
from collector.observe import health, supervision, web
from collector.observe.metrics import Exposition, Histograms, Parts
from collector.observe.supervision import Supervisor
from collector.publish.spooled import spooled_candles
from collector.publish.stream import Stream
from collector.repair.contracts import Contracts
from collector.repair.coverage import Coverage
from collector.repair.fill import Fill
from collector.repair.repair import StoreRepair
from collector.repair.repairer import Repairer
from collector.repair.windows import OwnWindows
from collector.store.dirty import DirtyWindows
from collector.store.query import StoreReader, token_of
from collector.store.rollups import RollupRepairer
from collector.store.session import open_session
from collector.store.write import Outcome, WriteClient
from collector.verify.late import LateDelivery
from collector.verify.sweep import Sweep
from exchange.budget import Budget
from exchange.client import ExchangeClient
from exchange.errors import ExchangeError
from exchange.first_candles import FirstCandles
from exchange.universe import SymbolInfo, Universe, parse, select
from marketdata.schema import ROLLUP_TIMEFRAMES
from marketdata.timeframes import timeframe_ms
from service.config_file import ConfigError
from service.systemd import Notifier

log = logging.getLogger(__name__)

STOP_DELIVERY_SECONDS = 5.0
"""How long a stop waits for the stores to take what is spooled; the rest is delivered at the next start."""

HEARTBEAT_SECONDS = 1.0


async def run(config: Config) -> None:
    """Run the collector until SIGTERM or SIGINT. Raises ConfigError or UnknownPair at the start."""
    notifier = Notifier(os.environ)
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with AsyncExitStack() as stack:
        app = await _App.build(config, notifier, stack)
        work = asyncio.create_task(app.work())
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait((work, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if work.done():
            work.result()  # an unexpected end: raise what ended it, systemd starts us again
            raise RuntimeError("the collector's tasks ended by themselves")
        notifier.tell("STOPPING=1", "STATUS=stopping: bringing what is accepted to the disk")
        log.info("stopping: closing streams, then the spool")
        work.cancel()
        await asyncio.wait((work,))
        await app.close()
    log.info("stopped")


class _App:
    """The built parts. ``work`` runs them, ``close`` brings what is accepted to the disk."""

    def __init__(
        self, config: Config, notifier: Notifier, session: aiohttp.ClientSession, client: ExchangeClient
    ) -> None:
        self._config = config
        self._session = session
        self._client = client
        state_dir = config.collector.state_dir
        self._registry = CollectorRegistry()
        self._histograms = Histograms(self._registry)
        points = {store.name: PointCounters() for store in config.store}
        self._spool = Spool(
            state_dir / "spool", points, max_bytes=config.spool.max_bytes, max_files=config.spool.max_files
        )
        self._quarantine = Quarantine(self._spool.rejected)
        self._writer = Writer(Batcher(), self._spool, points, wake=self._wake)
        self._clock = ExchangeClock(time.monotonic_ns)
        self._stream = Stream(config.collector.name, uuid.uuid4().hex, self._clock)
        self._ingest = Ingest(
            self._clock,
            self._writer,
            wall_seconds=time.time,
            observe_latency=self._histograms.observe_receive,
            listeners=[self._stream],
        )
        self._parts = Parts(self._ingest, client, points, self._spool, self._stream, major=config.exchange.major)
        self._readers: dict[str, StoreReader] = {}
        self._late: dict[str, LateDelivery] = {}
        self._deliverers: list[Deliverer] = []
        for store in config.store:
            self._add_store(store)
        self._registry.register(Exposition(self._parts))
        ProcessCollector(registry=self._registry)
        self._supervisor = Supervisor(
            notifier,
            delivering=lambda: any(counts.received for counts in self._ingest.frames.values()),
            not_ready=lambda: health.not_ready(self._parts, time.time()),
            stuck=lambda: supervision.stuck(self._writer, self._parts.connections, time.monotonic()),
        )
        self._server = web.Server(
            web.create(
                self._registry,
                lambda: health.not_ready(self._parts, time.time()),
                lambda: health.status(self._parts, config.collector.name, time.time()),
                self._stream.handle,
            ),
            config.collector.listen_host,
            config.collector.listen_port,
        )

    @classmethod
    async def build(cls, config: Config, notifier: Notifier, stack: AsyncExitStack) -> "_App":
        """Open the sessions, take over the spool and start listening; nothing streams yet."""
        read_tokens(config)
        budget = Budget(share_percent=config.exchange.weight_share_percent)
        try:
            client = ExchangeClient(
                config.exchange.rest_url, budget, ca_file=config.exchange.ca_file, proxy=config.exchange.proxy
            )
        except ExchangeError as error:
            raise ConfigError(str(error)) from error
        await stack.enter_async_context(client)
        session = await stack.enter_async_context(open_session(config))
        app = cls(config, notifier, session, client)
        state_dir = config.collector.state_dir
        try:
            found = await asyncio.to_thread(app._spool.recover)
        except OSError as error:
            raise ConfigError(f"collector.state_dir = {state_dir}: cannot be used: {error}") from error
        stack.callback(app._spool.close)
        for name, recovered in found.items():
            if recovered.points:
                log.info("spool taken over store=%s points=%d", name, recovered.points)
        try:
            await app._server.start()
        except OSError as error:
            raise ConfigError(f"collector.listen = {config.collector.listen}: cannot listen: {error}") from error
        stack.push_async_callback(app._server.stop)
        return app

    async def work(self) -> None:
        """Deliver what is spooled, learn the universe, then stream, confirm and fill until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._heartbeat())
            group.create_task(self._supervisor.run())
            group.create_task(self._stream.run())
            group.create_task(self._writer.run())
            await self._stream.restore(spooled_candles(self._spool, time.time()))  # before any of it is delivered
            for deliverer in self._deliverers:
                group.create_task(deliverer.run())
            for rollups in self._parts.rollups.values():
                group.create_task(rollups.run())
            known = KnownPairs(self._config.collector.state_dir)
            symbols, other_states = await self._learn_universe(known)
            self._watch(symbols)
            firsts = FirstCandles(self._client, self._config.collector.state_dir)
            watched = {info.pair: firsts.told(info) for info in symbols}
            confirmer = Confirmer(self._ingest, self._client, watched, self._clock, self._quarantine)
            exchange = self._config.exchange
            feeds = Feeds(self._ingest, symbols, exchange.websocket_url, exchange.ca_file, proxy=exchange.proxy)
            repairer = self._repairer(watched, Contracts(firsts, self._ingest, watched))

            def listed(infos: Sequence[SymbolInfo]) -> None:
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
            self._parts.connections, self._parts.connection_totals = feeds.connections, feeds.totals
            self._parts.pair_states, self._parts.silence = universe.members.states, silence
            self._parts.confirmer = confirmer
            self._parts.repairer = repairer
            sweep = Sweep(self._ingest, self._client, self._readers, self._late, lambda: list(watched.values()))
            self._parts.sweep = sweep
            funding, marks = self._history(watched, lambda: repairer.state.done)
            self._parts.funding, self._parts.marks = funding, marks
            group.create_task(feeds.run())
            group.create_task(universe.run())
            group.create_task(silence.run())
            group.create_task(confirmer.run())
            group.create_task(repairer.run())
            group.create_task(sweep.run())
            group.create_task(funding.run())
            group.create_task(marks.run())

    async def close(self) -> None:
        """Bring everything accepted to the disk, and give the stores a moment to take it."""
        self._stream.close()
        await self._writer.close()
        delivery = [asyncio.create_task(deliverer.run()) for deliverer in self._deliverers]
        drained = [asyncio.create_task(self._writer.drained(store.name)) for store in self._config.store]
        await asyncio.wait(drained, timeout=STOP_DELIVERY_SECONDS)
        for task in (*drained, *delivery):
            task.cancel()
        await asyncio.wait((*drained, *delivery))
        for store, counters in self._parts.points.items():
            log.info("left in the spool for the next start store=%s points=%d", store, counters.snapshot().in_spool)

    def _wake(self, bucket: str) -> None:
        for deliverer in self._deliverers:
            deliverer.wake(bucket)

    def _add_store(self, store: StoreSection) -> None:
        def ingest_token() -> str:
            return store.ingest_token_file.read_text(encoding="utf-8")

        def attempted(_bucket: str, outcome: Outcome, seconds: float) -> None:
            self._histograms.observe_write(store.name, outcome, seconds)

        def oldest_written_seconds() -> float | None:
            return self._spool.level(store.name).oldest_written_seconds

        async def delivered(bucket: str, lines: Sequence[str]) -> None:
            late.on_delivered(bucket, lines)
            await rollups.on_delivered(bucket, lines)
            self._stream.on_delivered(bucket, lines)

        reader = StoreReader(store.url, store.org, token_of(store.repair_token_file), self._session)
        windows = {timeframe: timeframe_ms(timeframe) for timeframe in ROLLUP_TIMEFRAMES}
        dirty = DirtyWindows(self._config.collector.state_dir / f"dirty-{store.name}.json", windows)
        rollups = RollupRepairer(store.name, reader, dirty, self._clock, wall_seconds=time.time)
        late_file = self._config.collector.state_dir / f"late-{store.name}.json"
        late = LateDelivery(late_file, oldest_written_seconds, wall_seconds=time.time)
        write = WriteClient(store.url, store.org, ingest_token, self._session).write
        self._deliverers.append(Deliverer(store.name, self._spool, write, on_delivered=delivered, on_attempt=attempted))
        self._readers[store.name] = reader
        self._late[store.name] = late
        self._parts.rollups[store.name] = rollups

    def _repairer(self, symbols: Mapping[str, SymbolInfo], contracts: Contracts) -> Repairer:
        config = self._config
        watched_from_ms = min(self._ingest.finality.next_open_ms(pair) for pair in symbols)
        fill = Fill(self._client, self._clock, History(self._ingest, self._writer, self._quarantine))
        windows = OwnWindows(self._clock, fill, most=config.fill.rollup_windows)
        stores = []
        for name, reader in self._readers.items():
            try:
                coverage = Coverage(config.collector.state_dir, name, configured_start_ms=config.ledger.start_ms)
            except ValueError as error:
                raise ConfigError(str(error)) from error
            coverage.begin(watched_from_ms - config.fill.hours * timeframe_ms("1h"))
            rollups = self._parts.rollups[name]
            stores.append(
                StoreRepair(
                    name,
                    reader,
                    rollups,
                    coverage,
                    self._ingest,
                    self._writer,
                    fill,
                    windows,
                    watched_from_ms=watched_from_ms,
                    again_after_ms=[seconds * 1000 for seconds in config.ledger.ask_again_seconds],
                )
            )
        return Repairer(stores, symbols, contracts, every_seconds=config.ledger.check_seconds, wall_seconds=time.time)

    def _history(
        self, watched: Mapping[str, SymbolInfo], filled: Callable[[], bool]
    ) -> tuple[SettledFunding, MarkCandles]:
        """What REST alone brings, kept complete for the longer of the two configured histories."""
        hours = max(self._config.fill.hours, self._config.funding.history_days * 24)
        parts = (self._ingest, self._client, self._writer, self._readers, watched)
        return SettledFunding(*parts, hours=hours), MarkCandles(*parts, hours=hours, filled=filled)

    async def _learn_universe(self, known: KnownPairs) -> tuple[Sequence[SymbolInfo], dict[str, PairState]]:
        """Ask the exchange for its time and symbols until it answers; the states are of pairs not collected.

        Raises UnknownPair for a name that was never known.
        """
        exchange = self._config.exchange
        delay = 1.0
        while True:
            try:
                self._clock.observe(await self._client.server_time_ms())
                answer = await self._client.exchange_info()
                universe = parse(answer)
            except ExchangeError as error:
                log.warning("the exchange does not answer retry_seconds=%.0f: %s", delay, error)
                await asyncio.sleep(delay)
                delay = min(delay * 2, 30.0)
                continue
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
                log.warning(
                    "pair is gone from the exchange and not watched, remove it from exchange.pairs pair=%s", pair
                )
            for info in selection.not_trading:
                log.warning("pair is not trading and not watched pair=%s status=%s", info.pair, info.status)
            for pattern in selection.unmatched:
                log.warning("pattern of include or exclude fits no pair pattern=%s", pattern)
            self._parts.unreadable.learn(universe.invalid)
            if not selection.symbols:
                raise ConfigError("exchange: no pair is left: widen pairs or include, or shorten exclude")
            self._stream.exchange_info_answered(answer)
            await asyncio.to_thread(known.add, (*selection.symbols, *selection.not_trading))
            return selection.symbols, states_at_start(selection, gone)

    def _wanted(self, universe: Universe) -> Sequence[SymbolInfo]:
        """Pick what the configuration asks for of what trades now; a pair it names may be gone by now."""
        exchange = self._config.exchange
        found = select(universe, "all", exchange.include, exchange.exclude, include_index=exchange.include_index)
        return [info for info in found.symbols if exchange.pairs == "all" or info.pair in exchange.pairs]

    def _watch(self, symbols: Sequence[SymbolInfo]) -> None:
        from_open_ms = first_watched_open_ms(self._clock.now_ms())
        for info in symbols:
            self._ingest.watch(info.pair, from_open_ms)

    async def _heartbeat(self) -> None:
        while True:
            self._parts.heartbeat_seconds = time.time()
            await asyncio.sleep(HEARTBEAT_SECONDS)
