"""What `audit` and `backfill` work with, beside a running collector: their own spool, dirty windows and weight share.

exchange --> ingest --> writer --> <state_dir>/spool-<command> --> deliverer --> stores
                                                                      '--> rollups: windows marked, until `roll`
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from collector.config import Config, read_tokens
from collector.feed.known_pairs import KnownPairs, without_gone
from collector.model.clock import ExchangeClock
from collector.pipeline import Pipeline, client_of
from collector.store.query import StoreError
from collector.store.session import open_session
from exchange.client import ExchangeClient
from exchange.first_candles import FirstCandles
from exchange.rows import Kline
from exchange.universe import Instrument, Universe, fits, select, unreadable_of
from service.config_file import ConfigError
from service.retry import patiently

log = logging.getLogger(__name__)


class Workspace:
    """A command's own pipeline. Only an `open_workspace(..., writes=True)` may `store`, `deliver` and `roll`."""

    def __init__(self, client: ExchangeClient, pipeline: Pipeline, symbols: Sequence[Instrument]) -> None:
        self.client = client
        self.clock = pipeline.clock
        self.stores = list(pipeline.stores.values())
        self.symbols = symbols
        self.ingest = pipeline.ingest
        self._pipeline = pipeline

    async def store(self, pair: str, rows: Sequence[Kline], measurement: str) -> set[int]:
        """Hand final candles to the writer, for every store; return opens of rows that cannot be candles."""
        return await self._pipeline.history.store(pair, rows, measurement)

    async def deliver(self) -> None:
        """Return once every store has what was handed over; waits for a store that is down."""
        await self._pipeline.writer.flush()
        for store in self.stores:
            await self._pipeline.writer.drained(store.name)

    async def roll(self) -> None:
        """Re-roll the windows that delivery and `rollups.mark` made dirty; waits for a store that is down."""
        for store in self.stores:
            await patiently("roll-up", store.rollups.roll, StoreError)


@asynccontextmanager
async def open_workspace(
    config: Config, command: str, *, patterns: Sequence[str], share_percent: float | None, writes: bool
) -> AsyncIterator[Workspace]:
    """Ask the exchange for its time and symbols, take the spool, and deliver while the block runs.

    `patterns` (of `exchange.universe.fits`) narrow the configured pairs; none: all that trade. `share_percent` of the
    address's weight, by default half of the configured share, so that a running collector keeps its own. Raises
    ConfigError, ExchangeError, UnknownPair; OSError if another process uses the spool.
    """
    share = share_percent or max(1.0, config.exchange.weight_share_percent / 2)
    read_tokens(config)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(client_of(config.exchange, share))
        session = await stack.enter_async_context(open_session(config))
        clock = ExchangeClock(time.monotonic_ns)
        clock.observe(await client.server_time_ms())
        universe = (await client.listing()).universe
        state_dir = config.collector.state_dir
        named = chosen(universe, config, patterns, KnownPairs(state_dir).pairs)
        symbols = await FirstCandles(client, state_dir).find_all(named)
        log.info("%s pairs=%d share_percent=%g", command, len(symbols), share)
        pipeline = Pipeline(config, session, clock, command=command)
        if writes:
            await asyncio.to_thread(pipeline.spool.recover)
            stack.callback(pipeline.spool.close)
            await stack.enter_async_context(_running(pipeline))
        yield Workspace(client, pipeline, symbols)


def chosen(
    universe: Universe, config: Config, patterns: Sequence[str], known: Collection[str] = ()
) -> list[Instrument]:
    """Return the pairs to work on. Raises UnknownPair and, for a pattern that matches none, ConfigError.

    Without patterns, those a collector would watch. With patterns, including halted and delisted ones, which have
    history all the same. A configured pair that was `known` but is no longer at the exchange is logged and left out.
    """
    exchange = config.exchange
    options = (exchange.include, exchange.exclude)
    configured, gone = without_gone(universe, exchange.pairs, known)
    for pair in gone:
        log.warning("pair no longer at exchange pair=%s", pair)
    for pair in () if configured == "all" else unreadable_of(universe, configured):
        log.warning("pair unreadable pair=%s", pair)
    if not patterns:
        return list(select(universe, configured, *options, include_index=exchange.include_index).symbols)
    ours = [info.pair for info in universe.symbols.values() if info.ours] if configured == "all" else configured
    named = [pair for pair in ours if any(fits(pair, pattern) for pattern in patterns)]
    for pattern in patterns:
        if not any(fits(pair, pattern) for pair in named):
            raise ConfigError(f"--pairs {pattern}: matches no configured pair; examples: 'BTC/*' or '*/USDT:USDT'")
    selection = select(universe, named, *options, include_index=True)
    return sorted((*selection.symbols, *selection.not_trading), key=lambda info: info.pair)


@asynccontextmanager
async def _running(pipeline: Pipeline) -> AsyncIterator[None]:
    """Deliver while the block runs; what is not delivered by its end stays in the spool for the next time."""
    async with asyncio.TaskGroup() as group:
        deliverers = [group.create_task(store.deliverer.run()) for store in pipeline.stores.values()]
        tasks = [group.create_task(pipeline.writer.run()), *deliverers]
        try:
            yield
        finally:
            await pipeline.writer.close()
            for task in tasks:
                task.cancel()
