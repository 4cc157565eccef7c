"""`collector backfill`: fetches history into every store, newest days first, so that the covered range has no holes.

    for each span of three days, newest first:
        base candles the stores lack --REST--> delivered --> windows re-rolled in few runs while the next is fetched
        windows that stay incomplete (listing day, exchange hole) --> the exchange's own, candles = 0; except those
        that contain an impossible row, since the exchange's own would contain its numbers

Windows older than the range are not touched. Each span is recorded when it is done; for one that was interrupted the
stores are queried again, and only what they lack is fetched.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from functools import partial

from collector.commands.backfill_progress import BackfillProgress
from collector.commands.options import TIMEFRAMES
from collector.commands.workspace import Workspace
from collector.ingest.finality import is_final
from collector.repair.ledger import windows_with_holes
from collector.repair.missing import missing, of_any
from collector.repair.series import BASE, ROLLUPS, Series
from collector.store.query import StoreError
from collector.verify.due import DUE_MS, due_opens
from exchange.errors import ExchangeError
from exchange.universe import Instrument
from marketdata.timeframes import BASE_MS, DAY_MS
from service.progress import shown
from service.retry import patiently

log = logging.getLogger(__name__)

STRETCH_MS = 3 * DAY_MS
"""Aligned to the epoch: one run of the 1d script (overlap 3 d) covers it; 1,440 candles are pages of 1,000 and 440."""

AT_ONCE = 6
PATIENCE_SECONDS = 3_600.0
"""If the exchange refuses for longer, the command ends; the next run continues from there."""


def stretches(from_ms: int, to_ms: int) -> Iterator[tuple[int, int]]:
    """Cut [from_ms, to_ms) at multiples of STRETCH_MS; yield the pieces, newest first. Pure."""
    end_ms = to_ms
    while end_ms > from_ms:
        start_ms = max(from_ms, (end_ms - 1) // STRETCH_MS * STRETCH_MS)
        yield start_ms, end_ms
        end_ms = start_ms


class Backfill:
    """Brings [from_ms, to_ms) of every pair of the workspace into every store."""

    def __init__(
        self,
        workspace: Workspace,
        progress: BackfillProgress,
        from_ms: int,
        to_ms: int,
        *,
        covered: Callable[[Sequence[str], int], None],
    ) -> None:
        self._workspace = workspace
        self._progress = progress
        self._from_ms = from_ms
        # Only up to what is due: newer candles are left to the running collector.
        due_ms = (workspace.clock.now_ms() - DUE_MS) // BASE_MS * BASE_MS
        self._to_ms = min(to_ms, due_ms)
        self._covered = covered
        self._page = workspace.client.rows_of_long_pages()
        self._done = 0
        self.fetched = 0

    async def run(self) -> None:
        """Fill what is not done yet, and call `covered(pairs, start_ms)` for each span that is done.

        Raises ExchangeError if the exchange refuses for PATIENCE_SECONDS.
        """
        pieces = list(stretches(self._from_ms, self._to_ms))
        total = sum(len(self._opens(info, BASE, *piece)) for piece in pieces for info in self._workspace.symbols)
        await self._workspace.deliver()  # what an interrupted run left in the spool
        finishing: asyncio.Task[None] | None = None
        async with shown("backfill", "candles", lambda: (self._done, total)), asyncio.TaskGroup() as group:
            for start_ms, end_ms in pieces:
                todo = [info for info in self._workspace.symbols if not self._is_done(info, start_ms, end_ms)]
                invalid = await self._fetch_base(todo, start_ms, end_ms)
                self._done += sum(
                    len(self._opens(info, BASE, start_ms, end_ms))
                    for info in self._workspace.symbols
                    if info not in todo
                )
                if finishing:
                    await finishing
                if todo:
                    finishing = group.create_task(self._finish(todo, start_ms, end_ms, invalid))

    def _is_done(self, info: Instrument, start_ms: int, end_ms: int) -> bool:
        return all(self._progress.is_done(info.pair, timeframe, start_ms, end_ms) for timeframe in TIMEFRAMES)

    def _opens(self, info: Instrument, series: Series, start_ms: int, end_ms: int) -> range:
        """Return open times the stores should hold; only windows that end by `end_ms`."""
        opens = due_opens(series.timeframe, start_ms, end_ms, info.begins_ms, self._workspace.clock.now_ms())
        length_ms = series.length_ms
        return range(opens.start, max(opens.start, min(opens.stop, end_ms // length_ms * length_ms)), length_ms)

    async def _fetch_base(self, todo: Sequence[Instrument], start_ms: int, end_ms: int) -> dict[str, set[int]]:
        """Fetch what the stores lack; return, by pair, the opens of rows that cannot be candles."""
        expected = {info.pair: self._opens(info, BASE, start_ms, end_ms) for info in todo}
        lacking = await self._lacking(BASE, expected)
        slots = asyncio.Semaphore(AT_ONCE)
        invalid: dict[str, set[int]] = {}

        async def one(info: Instrument) -> None:
            if lacks := lacking.get(info.pair):
                async with slots:
                    invalid[info.pair] = await self._fetch(info, BASE, lacks)
            self._done += len(expected[info.pair])

        async with asyncio.TaskGroup() as group:
            for info in todo:
                group.create_task(one(info))
        return invalid

    async def _finish(
        self, todo: Sequence[Instrument], start_ms: int, end_ms: int, invalid: Mapping[str, Set[int]]
    ) -> None:
        """Deliver and re-roll a span, complete its windows, and record it as done."""
        await self._workspace.deliver()
        for store in self._workspace.stores:
            # Delivery has marked them, but an interrupted run may have re-rolled them before everything was there.
            store.rollups.mark(range(start_ms, end_ms, ROLLUPS[0].length_ms))
        await self._workspace.roll()
        for series in ROLLUPS:
            expected = {info.pair: self._opens(info, series, start_ms, end_ms) for info in todo}
            lacking = await self._lacking(series, expected)
            for info in todo:
                spoiled = windows_with_holes(invalid.get(info.pair, ()), end_ms, series.length_ms)
                if lacks := lacking.get(info.pair, set()) - spoiled:
                    await self._fetch(info, series, lacks)
        await self._workspace.deliver()
        pairs = [info.pair for info in todo]
        await asyncio.to_thread(self._progress.add, pairs, TIMEFRAMES, start_ms, end_ms)
        await asyncio.to_thread(self._covered, pairs, start_ms)

    async def _fetch(self, info: Instrument, series: Series, lacks: set[int]) -> set[int]:
        """Store what the exchange has of what a store lacks; since that is mostly all or nothing, it is one range.

        Returns the opens of rows that cannot be candles.
        """
        client = self._workspace.client
        rows = await patiently(
            "backfill",
            lambda: client.klines_range(info.symbol, series.timeframe, min(lacks), max(lacks), largest_page=self._page),
            ExchangeError,
            patience_seconds=PATIENCE_SECONDS,
        )
        now_ms = self._workspace.clock.now_ms()
        wanted = [row for row in rows if row.open_time_ms in lacks and is_final(row, now_ms)]
        invalid = await self._workspace.store(info.pair, wanted, series.measurement)
        self.fetched += len(wanted) - len(invalid)
        return invalid

    async def _lacking(self, series: Series, expected: Mapping[str, range]) -> dict[str, set[int]]:
        """Return, by pair, the open times that any of the stores lacks."""
        return of_any(
            [
                await patiently("backfill", partial(missing, store.reader, series, expected), StoreError)
                for store in self._workspace.stores
            ]
        )
