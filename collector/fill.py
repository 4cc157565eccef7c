"""At the start: what the store lacks of the last hours, fetched by REST, and the older windows of each roll-up.

3m candles the store lacks -> writer -> delivered -> their windows rolled by the script
windows older than our 3m candles -> the exchange's own candles of that interval, marked candles = 0
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from collector.confirm import is_final
from collector.events import CANDLE_MS
from collector.ingest import Ingest
from collector.normalize import candle_from_kline
from collector.progress import shown
from collector.rollups import RollupRepairer
from collector.store import StoreError, StoreReader
from collector.writer import Writer
from exchange.budget import Priority
from exchange.client import ExchangeClient, Kline
from exchange.errors import ExchangeError
from exchange.universe import SymbolInfo
from marketdata.schema import BUCKET_RAW, BUCKET_ROLLUP, OHLCV_3M, ROLLUP_TIMEFRAMES
from marketdata.serializer import Unserializable
from marketdata.timeframes import timeframe_ms

log = logging.getLogger(__name__)

HOUR_MS = 3_600_000
REQUESTS_AT_ONCE = 4
QUEUE_HEADROOM = 2_000
"""Rows of a few requests: the fill waits while the writer's queue has less room, live events come first."""

WINDOWS_AGAIN_SECONDS = 3600.0

RETRY_SECONDS = (1.0, 30.0)


@dataclass(slots=True)
class FillState:
    """How far the fill is: rows fetched of rows the stores lack."""

    stage: str = "waiting"
    candles_missing: int = 0
    candles_fetched: int = 0
    windows_missing: int = 0
    windows_fetched: int = 0

    @property
    def done(self) -> bool:
        """True once all that was missing is stored and rolled up."""
        return self.stage == "done"


@dataclass(frozen=True, slots=True)
class FilledStore:
    """One store as the fill needs it."""

    name: str
    reader: StoreReader
    rollups: RollupRepairer


@dataclass(slots=True)
class _Job:
    """One request range: the rows of ``missing`` (open times) of one pair and timeframe."""

    info: SymbolInfo
    timeframe: str
    missing: set[int] = field(default_factory=set)


class Fill:
    """Brings every store up to date once. It covers what is older than the first candle watched live."""

    def __init__(
        self,
        ingest: Ingest,
        client: ExchangeClient,
        writer: Writer,
        stores: Sequence[FilledStore],
        symbols: Sequence[SymbolInfo],
        *,
        hours: int,
        rollup_windows: int,
    ) -> None:
        self.state = FillState()
        self._ingest = ingest
        self._client = client
        self._writer = writer
        self._stores = stores
        self._symbols = symbols
        self._hours = hours
        self._rollup_windows = rollup_windows
        self._until_ms = {info.pair: ingest.finality.next_open_ms(info.pair) for info in symbols}
        earliest = min(self._until_ms.values(), default=0)
        self._from_ms = earliest - hours * HOUR_MS

    async def run(self) -> None:
        """Fill every store, each as soon as it answers; then look each hour for windows that ended meanwhile."""
        waiting = list(self._stores)
        delay, longest = RETRY_SECONDS
        while waiting:
            ready = [store for store in waiting if await store.reader.answers()]
            if ready:
                await self._fill(ready)
                waiting = [store for store in waiting if store not in ready]
                delay = RETRY_SECONDS[0]
            else:
                log.warning("fill waits for the store store=%s retry_seconds=%.0f", waiting[0].name, delay)
                await asyncio.sleep(delay)
                delay = min(delay * 2, longest)
        self.state.stage = "done"
        log.info("fill complete candles=%d windows=%d", self.state.candles_fetched, self.state.windows_fetched)
        while True:
            # A listing day, say, is over later: its windows can never be rolled from our candles.
            await asyncio.sleep(WINDOWS_AGAIN_SECONDS)
            await self._fill_windows(self._stores)

    async def _fill(self, stores: Sequence[FilledStore]) -> None:
        for store in stores:
            store.rollups.hold()
        await self._drained(stores)
        self.state.stage = "candles"
        jobs = await self._missing(stores, BUCKET_RAW, OHLCV_3M, "3m")
        self.state.candles_missing += sum(len(job.missing) for job in jobs)
        await self._fetch(jobs, "fill", "candles", OHLCV_3M)
        await self._drained(stores)
        for store in stores:
            store.rollups.release()
        self.state.stage = "windows"
        await self._fill_windows(stores)
        for store in stores:
            await store.rollups.rolled()

    async def _fill_windows(self, stores: Sequence[FilledStore]) -> None:
        """Fetch the windows that our own 3m candles do not cover and that a store lacks."""
        jobs = {
            timeframe: await self._missing(stores, BUCKET_ROLLUP, f"ohlcv_{timeframe}", timeframe)
            for timeframe in ROLLUP_TIMEFRAMES
        }
        self.state.windows_missing += sum(len(job.missing) for some in jobs.values() for job in some)
        for timeframe, some in jobs.items():
            await self._fetch(some, f"fill {timeframe}", "windows", f"ohlcv_{timeframe}")
        await self._drained(stores)

    async def _drained(self, stores: Sequence[FilledStore]) -> None:
        await self._writer.flush()
        for store in stores:
            await self._writer.drained(store.name)

    def _expected(self, info: SymbolInfo, timeframe: str) -> range:
        """Open times the store should hold: 3m over the fill's hours, or the windows older than those candles."""
        length_ms = timeframe_ms(timeframe)
        listed_ms = info.onboard_ms // length_ms * length_ms
        if timeframe == "3m":
            return range(max(self._from_ms, listed_ms), self._until_ms[info.pair], CANDLE_MS)
        covered_ms = max(self._from_ms, info.onboard_ms)
        forming_ms = self._ingest.clock.now_ms() // length_ms * length_ms
        # Windows that our own 3m candles cover whole are the script's; the others are the exchange's.
        first_rolled_ms = -(-covered_ms // length_ms) * length_ms
        oldest_ms = max(forming_ms - self._rollup_windows * length_ms, listed_ms)
        return range(oldest_ms, min(first_rolled_ms, forming_ms), length_ms)

    async def _missing(
        self, stores: Sequence[FilledStore], bucket: str, measurement: str, timeframe: str
    ) -> list[_Job]:
        """Ask the stores what they hold; a job for each pair of which any of them lacks rows."""
        jobs = {info.pair: _Job(info, timeframe) for info in self._symbols}
        expected = {info.pair: self._expected(info, timeframe) for info in self._symbols}
        for store in stores:
            for pair, opens in await self._lacks(store.reader, bucket, measurement, expected):
                jobs[pair].missing |= opens
        return [job for job in jobs.values() if job.missing]

    async def _lacks(
        self, reader: StoreReader, bucket: str, measurement: str, expected: Mapping[str, range]
    ) -> list[tuple[str, set[int]]]:
        ranges = [opens for opens in expected.values() if len(opens)]
        if not ranges:
            return []
        start_ms, end_ms = min(r.start for r in ranges), max(r.stop for r in ranges)
        delay, longest = RETRY_SECONDS
        while True:
            try:
                counts = await reader.counts(bucket, measurement, "close", start_ms, end_ms)
                lacking = []
                for pair, opens in expected.items():
                    if counts.get(pair, 0) == len(opens) and (opens.start, opens.stop) == (start_ms, end_ms):
                        continue
                    held: set[int] = set()
                    if pair in counts:
                        held = await reader.times_ms(bucket, measurement, "close", pair, start_ms, end_ms)
                    if missing := set(opens) - held:
                        lacking.append((pair, missing))
            except StoreError as error:
                log.warning("fill waits for the store retry_seconds=%.0f: %s", delay, error)
                await asyncio.sleep(delay)
                delay = min(delay * 2, longest)
            else:
                return lacking

    async def _fetch(self, jobs: Sequence[_Job], title: str, unit: str, measurement: str) -> None:
        if not jobs:
            return
        slots = asyncio.Semaphore(REQUESTS_AT_ONCE)

        async def fetch(job: _Job) -> None:
            async with slots:
                await self._fetch_job(job, measurement, unit)

        def progress() -> tuple[int, int]:
            if unit == "candles":
                return self.state.candles_fetched, self.state.candles_missing
            return self.state.windows_fetched, self.state.windows_missing

        async with shown(title, unit, progress), asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(fetch(job))

    async def _fetch_job(self, job: _Job, measurement: str, unit: str) -> None:
        length_ms = timeframe_ms(job.timeframe)
        for start_ms, end_ms in spans(sorted(job.missing), length_ms):
            rows = await self._rows(job, start_ms, end_ms)
            now_ms = self._ingest.clock.now_ms()
            if self._writer.queue_free < QUEUE_HEADROOM:
                await self._writer.flush()
            for row in rows:
                if row.open_time_ms in job.missing and is_final(row, now_ms):
                    self._store(job, row, measurement, now_ms)
        if unit == "candles":
            self.state.candles_fetched += len(job.missing)
        else:
            self.state.windows_fetched += len(job.missing)

    def _store(self, job: _Job, row: Kline, measurement: str, now_ms: int) -> None:
        candle = candle_from_kline(job.info.pair, row, final=True, exchange_time_ms=now_ms)
        try:
            self._ingest.on_history(candle, measurement)
        except Unserializable as error:
            log.warning("REST row cannot be stored pair=%s timeframe=%s: %s", job.info.pair, job.timeframe, error)

    async def _rows(self, job: _Job, start_ms: int, end_ms: int) -> list[Kline]:
        delay, longest = RETRY_SECONDS
        while True:
            try:
                return await self._client.klines_range(
                    job.info.symbol, job.timeframe, start_ms, end_ms, priority=Priority.HISTORY
                )
            except ExchangeError as error:
                log.warning("fill waits for the exchange retry_seconds=%.0f: %s", delay, error)
                await asyncio.sleep(delay)
                delay = min(delay * 2, longest)


MERGE_ROWS = 99
"""Holes this near to each other are one request: a request of 99 rows weighs 1 as one of a single row does."""


def spans(opens: Sequence[int], length_ms: int) -> list[tuple[int, int]]:
    """Join ascending open times into few ranges (first, last inclusive) worth a request each."""
    joined: list[tuple[int, int]] = []
    for open_ms in opens:
        if joined and open_ms - joined[-1][1] <= MERGE_ROWS * length_ms:
            joined[-1] = (joined[-1][0], open_ms)
        else:
            joined.append((open_ms, open_ms))
    return joined
