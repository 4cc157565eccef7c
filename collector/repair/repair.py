"""The only way holes are closed, whatever caused them: first fill, restart, reconnect, outage, lost or deleted candles.

    what a store should hold (coverage) - what it holds = missing
        -> gap open -> REST -> ingest -> delivered -> gap repaired; or exchange_hole if the exchange has none either;
           or invalid if it only has an impossible row: these two are requested again at growing intervals

What counts is what is stored, once the spool is drained and the candle is well past its deadline. The first pass over a
store is its fill. `repairer` decides which store is checked when.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Container, Mapping, Sequence
from functools import partial

from collector.delivery.outbox import Outbox, leave_room
from collector.ingest.ingest import Ingest, forming_open_ms
from collector.model.gap import Gap, Reason, reason
from collector.repair.coverage import Coverage
from collector.repair.elsewhere import Elsewhere
from collector.repair.fill import Fill, FillState, Job
from collector.repair.ledger import Ledger, slices
from collector.repair.missing import missing, missing_of
from collector.repair.series import BASE
from collector.repair.windows import OwnWindows
from collector.store.rollups import RollupRepairer
from collector.store.view import StoreView
from exchange.again import AGAIN_MS
from exchange.budget import Priority
from exchange.events import CANDLES
from exchange.universe import Instrument
from marketdata.thresholds import STALE_MS
from marketdata.timeframes import BASE_MS, DAY_MS

log = logging.getLogger(__name__)

RECENT_MS = 2 * 3_600_000
"""How far a pass looks back beyond the previous one; passes over the whole range find what is older."""

NEWEST_MS = 98 * BASE_MS
"""What is checked first for every pair: with the row that proves a hole, one request of weight 1 per pair (4.9 h)."""

SLICE_MS = 4 * DAY_MS
"""How much is checked and fetched at a time, newest first: bounds memory, and the default fill fits in one."""

LONGEST_OVERLAP_MS = 3 * DAY_MS
"""How far the scheduled roll-ups reach back; lost windows are looked for this far every hour, further once a day."""

WHOLE_SECONDS = 24 * 3600.0
WINDOWS_SECONDS = 3600.0

LATE = frozenset({"not_at_exchange", "invalid_at_exchange"})
"""Reasons of candles that the exchange turned out to have after all."""

ANSWER_SECONDS = 10.0
PATIENCE_SECONDS = 60.0
"""A store whose spool is not drained, or whose windows are not re-rolled, by then is checked again later."""

type Symbols = Mapping[str, Instrument]


class Incomplete(Exception):
    """A pass could not be completed; the message names what it waits for."""


class StoreRepair:
    """The passes over one store."""

    def __init__(
        self,
        name: str,
        reader: StoreView,
        rollups: RollupRepairer,
        coverage: Coverage,
        ingest: Ingest,
        writer: Outbox,
        fill: Fill,
        windows: OwnWindows,
        elsewhere: Elsewhere,
        *,
        watched_from_ms: int,
        again_after_ms: Sequence[int] = AGAIN_MS,
    ) -> None:
        self.name = name
        self.ledger = Ledger(again_after_ms)
        self.rollups = rollups
        self._reader = reader
        self._coverage = coverage
        self._ingest = ingest
        self._writer = writer
        self._fill = fill
        self._windows = windows
        self._elsewhere = elsewhere
        self._watched_from_ms = watched_from_ms
        self._whole_due = 0.0
        self._windows_due = 0.0
        self._late: dict[str, set[int]] = {}  # once missing at the exchange, stored now; their windows are due
        self.known: set[str] = set()
        """Pairs whose newest hours were requested from the exchange and are in this store."""

    async def run(self, symbols: Symbols, state: FillState) -> None:
        """Check once everything that is due and close what can be closed. Raises Incomplete or StoreError.

        ``state`` counts what the store lacked and how much of it is settled.
        """
        now = asyncio.get_running_loop().time()
        starts, until_ms = await self._begin(symbols)
        since_ms = self._coverage.checked_until_ms - RECENT_MS
        if whole := self._whole_due <= now:
            since_ms = 0
            await self._recall(symbols, min(starts.values(), default=until_ms), until_ms)
        holes = self.ledger.exchange_holes
        state.stage = "candles"
        await self._ask_again(symbols)
        answered = await self._candles(symbols, starts, since_ms, until_ms, state)
        if whole:
            self._whole_due = now + WHOLE_SECONDS
            await self.rollups.roll()  # readers should not have to wait for the exchange's own windows
        if whole or self._windows_due <= now or self.ledger.exchange_holes > holes or self._late:
            self._windows_due = now
            state.stage = "windows"
            if await self._own_windows(symbols, state):
                self._windows_due = now + WINDOWS_SECONDS
            else:
                answered = False
            await self._lost_windows(symbols, 0 if whole else self._ingest.clock.now_ms() - LONGEST_OVERLAP_MS)
        if not answered:
            raise Incomplete("the exchange does not respond to history requests")

    async def newest(self, symbols: Symbols, state: FillState) -> None:
        """Close what is missing in the newest hours of every pair, and re-roll it. Raises Incomplete or StoreError.

        Runs before the first pass, which then finds this part stored: readers get the present before the long history.
        """
        starts, until_ms = await self._begin(symbols)
        since_ms = until_ms - NEWEST_MS
        await self._recall(symbols, since_ms, until_ms)
        state.stage = "newest"
        firsts = {pair: max(start_ms, since_ms) for pair, start_ms in starts.items()}
        unanswered = await self._look(symbols, firsts, since_ms, until_ms, state, Priority.REPAIR)
        self.known |= symbols.keys() - unanswered
        await self.rollups.roll()
        if unanswered:
            raise Incomplete("the exchange does not respond to requests for the newest hours")

    async def _begin(self, symbols: Symbols) -> tuple[dict[str, int], int]:
        """Return what a store must hold now: the open of each pair's first candle, and the end of the range."""
        self._coverage.refresh()
        # Without a time limit, a store that is down or hangs would hold up the others.
        await in_time(self._reader.check(), f"store {self.name} to respond", ANSWER_SECONDS)
        await self._drained()
        until_ms = max(forming_open_ms(self._ingest.clock.now_ms() - STALE_MS), self._watched_from_ms)
        return {pair: self._coverage.start_ms(pair, info.begins_ms) for pair, info in symbols.items()}, until_ms

    async def _recall(self, symbols: Symbols, from_ms: int, until_ms: int) -> None:
        noted = await self._reader.gaps(CANDLES, from_ms, until_ms)
        self.ledger.recall(gap for gap in noted if gap.pair in symbols)

    async def _candles(
        self, symbols: Symbols, starts: Mapping[str, int], since_ms: int, until_ms: int, state: FillState
    ) -> bool:
        """Close what is missing from ``since_ms`` on, or everything for unfilled pairs; return True if all answered."""
        for pair in self.ledger.open.keys() & symbols.keys():  # candles before the first one are proven absent
            before = {open_ms for open_ms in self.ledger.open[pair] if open_ms < symbols[pair].begins_ms}
            await self._note(self.ledger.note_never(pair, before, self._ingest.clock.now_ms()))
        # A pair that is new, or that a backfill has extended, is checked completely.
        firsts = {
            pair: max(start_ms, since_ms) if not self._coverage.is_fill(pair, start_ms) else start_ms
            for pair, start_ms in starts.items()
        }
        unanswered = await self._close(await self._still_open(firsts), symbols, state)
        for start_ms, end_ms in slices(min(firsts.values(), default=until_ms), until_ms, SLICE_MS):
            unanswered |= await self._look(symbols, firsts, start_ms, end_ms, state)
        self.known |= symbols.keys() - unanswered
        filled = {
            pair: start_ms for pair, start_ms in starts.items() if firsts[pair] == start_ms and pair not in unanswered
        }
        self._coverage.checked(until_ms, filled)
        return not unanswered

    async def _look(
        self,
        symbols: Symbols,
        firsts: Mapping[str, int],
        start_ms: int,
        end_ms: int,
        state: FillState,
        priority: Priority = Priority.HISTORY,
    ) -> set[str]:
        """Close what is missing in [start, end), for each pair from its first on; return the pairs not answered."""
        expected = {
            pair: range(max(first_ms, start_ms), end_ms, BASE_MS)
            for pair, first_ms in firsts.items()
            if first_ms < end_ms
        }
        lacks = await missing(self._reader, BASE, expected)
        for pair, opens in expected.items():
            await self._note_stored(pair, opens, lacks.get(pair, set()))
        return await self._close(lacks, symbols, state, priority)

    async def _still_open(self, firsts: Mapping[str, int]) -> dict[str, set[int]]:
        """Check gaps older than this pass: record those closed by now, return the others."""
        lacks = {}
        for pair in self.ledger.open.keys() & firsts.keys():
            older = {open_ms for open_ms in self.ledger.open[pair] if open_ms < firsts[pair]}
            lacks[pair] = await self._note_repaired(pair, older)
        return {pair: opens for pair, opens in lacks.items() if opens}

    async def _close(
        self,
        lacks: Mapping[str, Collection[int]],
        symbols: Symbols,
        state: FillState,
        fill_priority: Priority = Priority.HISTORY,
    ) -> set[str]:
        """Fetch what is missing and record the outcome; return the pairs for which the exchange did not respond."""
        jobs, gaps = [], {}
        for pair, opens in lacks.items():
            asked = self.ledger.to_ask(pair, opens)
            gaps[pair] = {open_ms for open_ms in asked if not self._coverage.is_fill(pair, open_ms)}
            await self._note(self.ledger.note_missing(pair, gaps[pair], partial(self._reason, pair)))
            if asked:
                priority = Priority.REPAIR if gaps[pair] else fill_priority
                jobs.append(Job(symbols[pair], BASE, asked, priority))
        if not jobs:
            return set()
        state.candles_missing += sum(len(job.opens) for job in jobs)

        def advance(rows: int) -> None:
            state.candles_fetched += rows

        await self._fetch(jobs, advance)
        self._log(sum(map(len, gaps.values())))
        return {job.info.pair for job in jobs if not job.answered}

    async def _ask_again(self, symbols: Symbols) -> None:
        """Request again what the exchange did not have, if it is time; unanswered candles are due at the next pass."""
        jobs = []
        for pair, opens in self.ledger.due_again(self._ingest.clock.now_ms()).items():
            if pair in symbols and (lacking := await self._note_repaired(pair, opens)):
                jobs.append(Job(symbols[pair], BASE, lacking, Priority.REPAIR))
        if jobs:
            filled = self.ledger.filled.total()
            await self._fetch(jobs, lambda _rows: None)
            asked, late = sum(len(job.opens) for job in jobs), self.ledger.filled.total() - filled
            log.info("exchange holes requested again store=%s candles=%d filled=%d", self.name, asked, late)

    async def _fetch(self, jobs: Sequence[Job], advance: Callable[[int], None]) -> None:
        """Fetch base candles and record what became of each."""
        await self._fill.fetch(jobs, advance)
        for job in jobs:
            brought = await self._elsewhere.bring(self.name, job.info.pair, job.absent | job.invalid)
            job.absent -= brought
            job.invalid -= brought
        now_ms = self._ingest.clock.now_ms()
        for job in jobs:
            await self._note(self.ledger.note_absent(job.info.pair, job.absent, now_ms))
            await self._note(self.ledger.note_invalid(job.info.pair, job.invalid, now_ms))
        await self._drained()
        for job in jobs:
            lacking = await self._note_repaired(job.info.pair, job.opens - job.absent - job.invalid)
            if job.answered:  # what was fetched but is not in the store is a gap from now on
                await self._note(self.ledger.note_missing(job.info.pair, lacking, lambda _: "undelivered"))
                await self._note(self.ledger.note_asked(job.info.pair, lacking, now_ms))

    async def _note_repaired(self, pair: str, opens: set[int]) -> set[int]:
        """Look for these candles in the store; return those it still lacks."""
        lacking = await missing_of(self._reader, BASE, pair, opens)
        await self._note_stored(pair, opens, lacking)
        return lacking

    async def _note_stored(self, pair: str, looked_at: Container[int], missing: Container[int]) -> None:
        gaps = self.ledger.note_stored(pair, looked_at, missing)
        late = {gap.open_ms for gap in gaps if gap.reason in LATE}
        if late:
            self._late.setdefault(pair, set()).update(late)
            log.warning("exchange holes filled store=%s pair=%s candles=%d first_ms=%d",
                        self.name, pair, len(late), min(late))  # fmt: skip
        await self._note(gaps)

    async def _own_windows(self, symbols: Symbols, state: FillState) -> bool:
        jobs = await self._windows.wanted(self._reader, self._coverage, self.ledger, symbols, self._late)
        state.windows_missing += sum(len(job.opens) for job in jobs)

        def advance(rows: int) -> None:
            state.windows_fetched += rows

        answered = await self._windows.fetch(jobs, advance)
        if answered:
            self._late = {}
        if jobs:
            await self._drained()
        return answered

    async def _lost_windows(self, symbols: Symbols, since_ms: int) -> None:
        """Re-roll windows that should be there by now, e.g. because the store was down during all scheduled runs."""
        if len(self.rollups.dirty):
            return  # dirty windows are missing because they wait to be re-rolled
        lost = await self._windows.lost(self._reader, self._coverage, self.ledger, symbols, since_ms)
        if lost:
            log.warning("roll-up windows missing store=%s windows=%d", self.name, len(lost))
            self.rollups.mark(lost)

    async def _drained(self) -> None:
        await self._writer.flush()
        await in_time(self._writer.drained(self.name), f"the spool of store {self.name} to be delivered")

    def _reason(self, pair: str, open_ms: int) -> Reason:
        finality = self._ingest.finality
        return reason(
            open_ms,
            checked_until_ms=self._coverage.checked_until_ms,
            watched_from_ms=self._watched_from_ms,
            final_before_ms=finality.next_open_ms(pair) if pair in finality.pairs else 0,
        )

    async def _note(self, gaps: Sequence[Gap]) -> None:
        for gap in gaps:
            await leave_room(self._writer)
            self._ingest.on_gap(gap)

    def _log(self, gaps: int) -> None:
        if gaps:
            log.warning(
                "candles missing store=%s candles=%d still_missing=%d exchange_holes=%d",
                self.name,
                gaps,
                self.ledger.gaps_open,
                self.ledger.exchange_holes,
            )


async def in_time(wait: Awaitable[None], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait, but not forever. Raises Incomplete."""
    try:
        async with asyncio.timeout(seconds):
            await wait
    except TimeoutError:
        raise Incomplete(f"waiting for {what}") from None
