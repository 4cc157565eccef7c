"""What `audit` and `backfill` work with, beside a running collector: a spool, dirty windows and a share of their own.

exchange --> ingest --> writer --> <state_dir>/spool-<command> --> deliverer --> stores
                                                                      '--> rollups: windows marked, until `roll`
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp

from collector.config import Config, StoreSection, read_tokens
from collector.delivery.batch import Batcher
from collector.delivery.deliver import Deliverer
from collector.delivery.points import PointCounters
from collector.delivery.quarantine import Quarantine
from collector.delivery.spool import Spool
from collector.delivery.writer import Writer
from collector.feed.known_pairs import KnownPairs, without_gone
from collector.ingest.history import History
from collector.ingest.ingest import Ingest
from collector.model.clock import ExchangeClock
from collector.store.delete import Eraser
from collector.store.dirty import DirtyWindows
from collector.store.query import StoreError, StoreReader, token_of
from collector.store.rollups import RollupRepairer
from collector.store.session import open_session
from collector.store.write import WriteClient
from exchange.budget import Budget
from exchange.client import ExchangeClient, Kline
from exchange.first_candles import FirstCandles
from exchange.universe import SymbolInfo, Universe, fits, parse, select, unreadable_of
from marketdata.schema import ROLLUP_TIMEFRAMES
from marketdata.timeframes import timeframe_ms
from service.config_file import ConfigError
from service.retry import patiently

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkStore:
    """One store: what reads it, what rolls it, what deletes single points of it."""

    name: str
    reader: StoreReader
    rollups: RollupRepairer
    eraser: Eraser


class Workspace:
    """The built parts. Only an `open_workspace(..., writes=True)` may `store`, `deliver` and `roll`."""

    def __init__(
        self,
        client: ExchangeClient,
        ingest: Ingest,
        writer: Writer,
        stores: Sequence[WorkStore],
        symbols: Sequence[SymbolInfo],
        quarantine: Quarantine,
    ) -> None:
        self.client = client
        self.clock = ingest.clock
        self.stores = stores
        self.symbols = symbols
        self.ingest = ingest
        self._writer = writer
        self._history = History(ingest, writer, quarantine)

    async def store(self, pair: str, rows: Sequence[Kline], measurement: str) -> set[int]:
        """Hand final candles of the exchange to the writer, for every store; return opens of rows that are none."""
        return await self._history.store(pair, rows, measurement)

    async def deliver(self) -> None:
        """Return when every store has what was handed over; a store that is away is waited for."""
        await self._writer.flush()
        for store in self.stores:
            await self._writer.drained(store.name)

    async def roll(self) -> None:
        """Roll the windows that delivery and `rollups.mark` made dirty; a store that is away is waited for."""
        for store in self.stores:
            await patiently("roll-up", store.rollups.roll, StoreError)


@asynccontextmanager
async def open_workspace(
    config: Config, command: str, *, patterns: Sequence[str], share_percent: float | None, writes: bool
) -> AsyncIterator[Workspace]:
    """Ask the exchange for its time and symbols, take the spool, and deliver while the block runs.

    `patterns` (of `exchange.universe.fits`) narrow the configured pairs; none: all that trade. `share_percent` of the
    address's weight, by default half of the configured share, so that a running collector keeps its own. Raises
    ConfigError, ExchangeError, UnknownPair; OSError if another process has the spool.
    """
    share = share_percent or max(1.0, config.exchange.weight_share_percent / 2)
    read_tokens(config)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            ExchangeClient(
                config.exchange.rest_url,
                Budget(share_percent=share),
                ca_file=config.exchange.ca_file,
                proxy=config.exchange.proxy,
            )
        )
        session = await stack.enter_async_context(open_session(config))
        clock = ExchangeClock(time.monotonic_ns)
        clock.observe(await client.server_time_ms())
        universe = parse(await client.exchange_info())
        state_dir = config.collector.state_dir
        named = chosen(universe, config, patterns, KnownPairs(state_dir).pairs)
        symbols = await FirstCandles(client, state_dir).find_all(named)
        log.info("%s pairs=%d share_percent=%g", command, len(symbols), share)
        points = {section.name: PointCounters() for section in config.store}
        spool = Spool(
            state_dir / f"spool-{command}", points, max_bytes=config.spool.max_bytes, max_files=config.spool.max_files
        )
        deliverers: list[Deliverer] = []

        def wake(bucket: str) -> None:
            for deliverer in deliverers:
                deliverer.wake(bucket)

        writer = Writer(Batcher(), spool, points, wake=wake)
        ingest = Ingest(clock, writer, wall_seconds=time.time, observe_latency=lambda _channel, _seconds: None)
        stores = [_work_store(config, command, section, clock, session) for section in config.store]
        if writes:
            await asyncio.to_thread(spool.recover)
            stack.callback(spool.close)
            for section, store in zip(config.store, stores, strict=True):
                write = WriteClient(section.url, section.org, _ingest_token(section), session).write
                deliverers.append(Deliverer(store.name, spool, write, on_delivered=store.rollups.on_delivered))
            await stack.enter_async_context(_running(writer, deliverers))
        yield Workspace(client, ingest, writer, stores, symbols, Quarantine(spool.rejected))


def chosen(
    universe: Universe, config: Config, patterns: Sequence[str], known: Collection[str] = ()
) -> list[SymbolInfo]:
    """Return the pairs to work on. Raises UnknownPair and, for a pattern that fits none, ConfigError.

    Without patterns those a collector would watch. With patterns also those that are halted or delisted, which have
    history all the same. A configured pair that was `known` and that the exchange no longer has is logged and left out.
    """
    exchange = config.exchange
    options = (exchange.include, exchange.exclude)
    configured, gone = without_gone(universe, exchange.pairs, known)
    for pair in gone:
        log.warning("pair is gone from the exchange and left out pair=%s", pair)
    for pair in () if configured == "all" else unreadable_of(universe, configured):
        log.warning("pair is listed in a row that cannot be read and left out pair=%s", pair)
    if not patterns:
        return list(select(universe, configured, *options, include_index=exchange.include_index).symbols)
    ours = [info.pair for info in universe.symbols.values() if info.ours] if configured == "all" else configured
    named = [pair for pair in ours if any(fits(pair, pattern) for pattern in patterns)]
    for pattern in patterns:
        if not any(fits(pair, pattern) for pair in named):
            raise ConfigError(f"--pairs {pattern}: fits no configured pair; patterns are like 'BTC/*' or '*/USDT:USDT'")
    selection = select(universe, named, *options, include_index=True)
    return sorted((*selection.symbols, *selection.not_trading), key=lambda info: info.pair)


@asynccontextmanager
async def _running(writer: Writer, deliverers: Sequence[Deliverer]) -> AsyncIterator[None]:
    """Deliver while the block runs; what is not delivered at its end stays in the spool for the next time."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(writer.run()), *(group.create_task(deliverer.run()) for deliverer in deliverers)]
        try:
            yield
        finally:
            await writer.close()
            for task in tasks:
                task.cancel()


def _work_store(
    config: Config, command: str, section: StoreSection, clock: ExchangeClock, session: aiohttp.ClientSession
) -> WorkStore:
    reader = StoreReader(section.url, section.org, token_of(section.repair_token_file), session)
    windows = {timeframe: timeframe_ms(timeframe) for timeframe in ROLLUP_TIMEFRAMES}
    dirty = DirtyWindows(config.collector.state_dir / f"dirty-{command}-{section.name}.json", windows)
    rollups = RollupRepairer(section.name, reader, dirty, clock, wall_seconds=time.time)
    return WorkStore(
        section.name,
        reader,
        rollups,
        Eraser(section.url, section.org, token_of(section.ingest_token_file), session),
    )


def _ingest_token(section: StoreSection) -> Callable[[], str]:
    return lambda: section.ingest_token_file.read_text(encoding="utf-8")
