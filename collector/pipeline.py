"""What every collecting process consists of: the way from events to the content of the stores.

    ingest --> writer --> spool --> deliverer (one per store) --> InfluxDB
                                        '--> rollups: windows that a late delivery affects

The collector's pipeline uses `<state_dir>/spool` and `dirty-<store>.json`; a command's uses files named after it.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import aiohttp

from collector.config import Config, ExchangeSection, StoreSection
from collector.delivery.batch import Batcher
from collector.delivery.deliver import Deliverer
from collector.delivery.points import PointCounters
from collector.delivery.quarantine import Quarantine
from collector.delivery.spool import Spool
from collector.delivery.writer import Writer
from collector.ingest.history import History
from collector.ingest.ingest import Ingest, Listener
from collector.model.clock import ExchangeClock
from collector.store.delete import Eraser
from collector.store.dirty import DirtyWindows
from collector.store.query import StoreReader, token_of
from collector.store.rollups import RollupRepairer
from collector.store.write import Outcome, WriteClient
from exchange.adapters import ADAPTERS
from exchange.budget import Budget
from exchange.client import ExchangeClient
from exchange.errors import ExchangeError
from marketdata.schema import ROLLUP_TIMEFRAMES
from marketdata.timeframes import timeframe_ms
from service.config_file import ConfigError

type Delivered = Callable[[str, str, Sequence[str]], None]
"""Receives store, bucket and lines of every file that a store accepted, while the file is still in the spool."""


@dataclass(frozen=True, slots=True)
class Store:
    """One store: queries it, deletes single points from it, re-rolls its windows, and delivers to it."""

    name: str
    reader: StoreReader
    eraser: Eraser
    rollups: RollupRepairer
    deliverer: Deliverer


class Pipeline:
    """The built parts; the caller runs them, and nothing is on disk before `spool.recover`."""

    def __init__(
        self,
        config: Config,
        session: aiohttp.ClientSession,
        clock: ExchangeClock,
        *,
        command: str = "",
        wall_seconds: Callable[[], float] = time.time,
        listeners: Sequence[Listener] = (),
        observe_receive: Callable[[str, float], None] = lambda _channel, _seconds: None,
        observe_write: Callable[[str, Outcome, float], None] = lambda _store, _outcome, _seconds: None,
        on_delivered: Delivered = lambda _store, _bucket, _lines: None,
    ) -> None:
        self._state_dir = config.collector.state_dir
        self._exchange = config.exchange.id
        self._suffix = f"-{command}" if command else ""
        self._session = session
        self._wall_seconds = wall_seconds
        self._observe_write = observe_write
        self._on_delivered = on_delivered
        self.clock = clock
        self.points = {section.name: PointCounters() for section in config.store}
        self.spool = Spool(
            self._state_dir / f"spool{self._suffix}",
            self.points,
            max_bytes=config.spool.max_bytes,
            max_files=config.spool.max_files,
        )
        self.quarantine = Quarantine(self.spool.rejected)
        self.writer = Writer(Batcher(), self.spool, self.points, wake=self._wake)
        self.ingest = Ingest(
            clock,
            self.writer,
            wall_seconds=wall_seconds,
            observe_latency=observe_receive,
            listeners=listeners,
            exchange=self._exchange,
        )
        self.history = History(self.ingest, self.writer, self.quarantine)
        self.stores = {section.name: self._store(section) for section in config.store}

    @property
    def readers(self) -> dict[str, StoreReader]:
        """The reader of each store, by its name."""
        return {name: store.reader for name, store in self.stores.items()}

    def _store(self, section: StoreSection) -> Store:
        name, exchange = section.name, self._exchange

        def ingest_token() -> str:
            return section.ingest_token_file.read_text(encoding="utf-8")

        reader = StoreReader(
            section.url, section.org, token_of(section.repair_token_file), self._session, exchange=exchange
        )
        eraser = Eraser(section.url, section.org, token_of(section.ingest_token_file), self._session, exchange=exchange)
        windows = {timeframe: timeframe_ms(timeframe) for timeframe in ROLLUP_TIMEFRAMES}
        dirty = DirtyWindows(self._state_dir / f"dirty{self._suffix}-{name}.json", windows)
        rollups = RollupRepairer(name, reader, dirty, self.clock, wall_seconds=self._wall_seconds)

        async def delivered(bucket: str, lines: Sequence[str]) -> None:
            self._on_delivered(name, bucket, lines)
            await rollups.on_delivered(bucket, lines)

        def attempted(_bucket: str, outcome: Outcome, seconds: float) -> None:
            self._observe_write(name, outcome, seconds)

        write = WriteClient(section.url, section.org, ingest_token, self._session).write
        deliverer = Deliverer(name, self.spool, write, on_delivered=delivered, on_attempt=attempted)
        return Store(name, reader, eraser, rollups, deliverer)

    def _wake(self, bucket: str) -> None:
        for store in self.stores.values():
            store.deliverer.wake(bucket)


def client_of(exchange: ExchangeSection, share_percent: float) -> ExchangeClient:
    """Return a REST client of the configured exchange with this share of its limits. Raises ConfigError."""
    try:
        return ADAPTERS[exchange.id].client(
            exchange.rest_url, Budget(share_percent=share_percent), ca_file=exchange.ca_file, proxy=exchange.proxy
        )
    except ExchangeError as error:
        raise ConfigError(str(error)) from error
