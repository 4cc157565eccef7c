"""Re-rolls dirty windows with the same script that the scheduled task runs, with ``now`` set to the past."""

import asyncio
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from collector.model.clock import ExchangeClock
from collector.store.dirty import DirtyWindows, runs_for
from collector.store.query import StoreError
from collector.store.view import StoreView
from influx.scripts import overlap_ms, script_at, task_script
from marketdata.schema import BUCKET_RAW
from marketdata.serializer import candle_times_ms
from service.backoff import Backoff

log = logging.getLogger(__name__)

SETTLE_SECONDS = 2.0
"""Deliveries come in bursts (a repair, a drained spool): how long to wait for the next file before re-rolling."""

FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 60.0


class RollupRepairer:
    """Keeps one store's roll-ups correct: marks the windows that deliveries touch, and re-rolls them in a pause.

    ``held`` delays re-rolling (not marking) while a fill delivers a long history; its holder may call ``roll``.
    """

    def __init__(
        self,
        store: str,
        reader: StoreView,
        dirty: DirtyWindows,
        clock: ExchangeClock,
        *,
        wall_seconds: Callable[[], float],
    ) -> None:
        self.dirty = dirty
        self.last_rollup_seconds = 0.0
        self.runs = 0
        self.failures = 0
        self._store = store
        self._reader = reader
        self._clock = clock
        self._wall_seconds = wall_seconds
        self._wake = asyncio.Event()
        self._free = asyncio.Event()
        self._free.set()
        self._clean = asyncio.Event()
        if not len(dirty):
            self._clean.set()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Only mark until the block ends; then dirty windows are re-rolled."""
        self._free.clear()
        try:
            yield
        finally:
            self._free.set()

    async def on_delivered(self, bucket: str, lines: Sequence[str]) -> None:
        """The store has these lines: mark the windows whose scheduled run they missed."""
        if bucket != BUCKET_RAW:
            return
        times = candle_times_ms(lines)
        if times:
            self.mark(times)

    def mark(self, candle_times_ms: Iterable[int]) -> None:
        """Mark the windows of candles that the store received or lost, or whose windows are wrong."""
        # Until the exchange's time is known, every window counts as passed: one re-roll too many is harmless.
        self.dirty.mark(candle_times_ms, self._clock.now_ms() if self._clock.is_set else sys.maxsize)
        if len(self.dirty):
            self._clean.clear()
            self._wake.set()

    async def rolled(self) -> None:
        """Return once no window is dirty."""
        await self._clean.wait()

    async def run(self) -> None:
        """Re-roll dirty windows until cancelled; a failing store is retried with growing delays."""
        backoff = Backoff(FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS)
        if len(self.dirty):  # left by the previous process
            self._wake.set()
        while True:
            await self._wake.wait()
            await self._settled()
            if not self._free.is_set():
                await self._free.wait()
                self._wake.set()  # deliveries may still be going on: wait for the next pause
                continue
            try:
                await self.roll()
                backoff.reset()
            except StoreError as error:
                self.failures += 1
                delay = backoff.next_seconds()
                log.warning('re-roll failed store=%s retry_seconds=%.0f error="%s"', self._store, delay, error)
                await asyncio.sleep(delay)
                self._wake.set()

    async def _settled(self) -> None:
        """Return once no delivery has marked a window for SETTLE_SECONDS."""
        while True:
            self._wake.clear()
            try:
                async with asyncio.timeout(SETTLE_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                return

    async def roll(self) -> None:
        """Re-roll the dirty windows, many per run. Raises StoreError; windows not re-rolled by then stay dirty."""
        for timeframe, marks in self.dirty.take().items():
            script = task_script(timeframe)
            for now_ms, opens in runs_for(marks, overlap_ms(timeframe)):
                await self._reader.flux(script_at(script, now_ms))
                self.runs += 1
                self.last_rollup_seconds = self._wall_seconds()
                self.dirty.clean(timeframe, {open_ms: marks[open_ms] for open_ms in opens})
            log.info("windows re-rolled store=%s timeframe=%s windows=%d", self._store, timeframe, len(marks))
        if not len(self.dirty):
            self._clean.set()
