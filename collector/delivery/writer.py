"""The pump: bounded queue -> batches -> spool; then it wakes the deliverers."""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

from collector.delivery.batch import MAX_LINES, Batch, Batcher
from collector.delivery.points import PointCounters
from collector.delivery.spool import Spool

logger = logging.getLogger(__name__)

GATHER_SECONDS = 0.02
"""One wake-up for all lines that arrive within this time, instead of one per line."""
DISK_RETRY_SECONDS = 1.0
POLL_SECONDS = 0.05


class Writer:
    """Takes lines from the event loop's thread without ever blocking it, and makes them durable.

    `wake(bucket)` is called in the event loop after a batch of that bucket has reached the spool.
    """

    def __init__(
        self,
        batcher: Batcher,
        spool: Spool,
        counters: Mapping[str, PointCounters],
        *,
        wake: Callable[[str], None],
        queue_points_max: int = 200_000,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._batcher = batcher
        self._spool = spool
        self._counters = tuple(counters.values())
        self._wake = wake
        self._queue_points_max = queue_points_max
        self._clock_ns = clock_ns
        self._queue: deque[tuple[str, str]] = deque()
        self._closed: deque[Batch] = deque()
        self._arrived = asyncio.Event()
        self._pumping = asyncio.Lock()
        self._putting = threading.Lock()
        self._refusing = False
        self._disk_failing = False
        self._stepped_ns = clock_ns()

    @property
    def queue_free(self) -> int:
        """How many more lines the queue would take now."""
        return self._queue_points_max - len(self._queue)

    @property
    def stalled_seconds(self) -> float:
        """How long waiting lines have gone without a step of the pump. Retrying a failing disk counts as a step."""
        waits = self._queue or self._closed or self._batcher.points
        return (self._clock_ns() - self._stepped_ns) / 1e9 if waits else 0.0

    def put_nowait(self, bucket: str, line: str) -> bool:
        """Accept one line (one point, no newline). Return False if the queue is full: the point counts as dropped."""
        if len(self._queue) >= self._queue_points_max:
            for counters in self._counters:
                counters.refused(1)
            if not self._refusing:
                self._refusing = True
                logger.error("points dropped reason=queue_full")
            return False
        if not self._queue:
            self._stepped_ns = self._clock_ns()
        self._queue.append((bucket, line))
        for counters in self._counters:
            counters.queued(1)
        self._arrived.set()
        return True

    async def run(self) -> None:
        """Pump until cancelled. A failing disk is retried every second; meanwhile the queue fills."""
        while True:
            await self._arrival_or_due()
            async with self._pumping:
                await self._pump(flush=False)

    async def flush(self) -> None:
        """Return once everything accepted so far is in the spool; waits for a failing disk."""
        async with self._pumping:
            await self._pump(flush=True)

    async def drained(self, store: str) -> None:
        """Return once everything in the spool now has been delivered to that store or given up."""
        waiting = self._spool.sequences(store)
        newest = waiting[1] if waiting else 0
        while waiting and waiting[0] <= newest:
            await asyncio.sleep(POLL_SECONDS)  # files leave in threads and in three ways; comparing two numbers is free
            waiting = self._spool.sequences(store)

    async def close(self) -> None:
        """Flush a last time, for an orderly stop; if the disk fails, log how many points were lost."""
        async with self._pumping:
            try:
                await self._pump(flush=True, give_up=True)
            except OSError as error:
                lost = len(self._queue) + self._batcher.points + sum(len(batch.lines) for batch in self._closed)
                logger.error('last flush failed points=%d error="%s"', lost, error)  # noqa: TRY400

    async def _arrival_or_due(self) -> None:
        due_ns = self._batcher.next_due_ns()
        timeout = None if due_ns is None else max(0.0, (due_ns - self._clock_ns()) / 1e9)
        try:
            async with asyncio.timeout(timeout):
                await self._arrived.wait()
        except TimeoutError:
            return
        self._arrived.clear()
        if len(self._queue) < MAX_LINES:
            await asyncio.sleep(GATHER_SECONDS)

    async def _pump(self, *, flush: bool, give_up: bool = False) -> None:
        remaining = len(self._queue)
        while True:
            remaining -= self._fill_batches(remaining)
            if not remaining:
                self._closed += self._batcher.flush() if flush else self._batcher.due(self._clock_ns())
            if self._closed:
                await self._put_closed(give_up=give_up)
            if not remaining:
                return

    def _fill_batches(self, most: int) -> int:
        """Move lines from the queue into open batches until one closes; return how many."""
        moved, now_ns = 0, self._clock_ns()
        self._stepped_ns = now_ns
        while moved < most and not self._closed:
            bucket, line = self._queue.popleft()
            moved += 1
            batch = self._batcher.add(bucket, line, now_ns)
            if batch is not None:
                self._closed.append(batch)
        for counters in self._counters:
            counters.batched(moved)
        if self._refusing and len(self._queue) < self._queue_points_max // 2:
            self._refusing = False
            logger.warning("queue accepts points again")
        return moved

    async def _put_closed(self, *, give_up: bool) -> None:
        buckets = {batch.bucket for batch in self._closed}
        while True:
            try:
                await asyncio.to_thread(self._put_all)
            except OSError as error:
                if give_up:
                    raise
                self._stepped_ns = self._clock_ns()
                if not self._disk_failing:
                    self._disk_failing = True
                    logger.error('spool write failed error="%s"', error)  # noqa: TRY400
                await asyncio.sleep(DISK_RETRY_SECONDS)
                continue
            finally:
                for bucket in buckets:
                    self._wake(bucket)
            if self._disk_failing:
                self._disk_failing = False
                logger.warning("spool write recovered")
            return

    def _put_all(self) -> None:
        # Under a lock of its own: if the task that awaits this thread is cancelled, the thread carries on, and the next
        # call must find what is left and not put a batch twice.
        with self._putting:
            while self._closed:
                self._spool.put(self._closed[0])
                self._closed.popleft()
