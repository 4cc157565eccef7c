"""Delivers the spool to one store: the oldest file of each bucket first, until the store has it.

    claim -> read and check -> write --> Written: call on_delivered, remove the file
                   |             |-----> TooLarge, BadRequest, Partial: halve down to the bad lines, to rejected/
                   |             '-----> Retry: wait, and start again with the oldest file
                   '-> damaged: to rejected/

Every step may be repeated: writing the same points again does not change the store.
"""

import asyncio
import gzip
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import assert_never

from collector.delivery.spool import GZIP_LEVEL, Body, Damaged, Spool
from collector.delivery.spool_index import SpoolFile
from collector.store.write import BadRequest, Outcome, Partial, Retry, TooLarge, Written
from service.backoff import Backoff

logger = logging.getLogger(__name__)

FIRST_DELAY_SECONDS = 0.25
LONGEST_DELAY_SECONDS = 5.0
"""One small request per bucket every few seconds does not burden a failing store and soon notices that it is back."""
LONGEST_RETRY_AFTER_SECONDS = 300.0
"""Caps the wait a store asks for, which may be wrong."""

type Write = Callable[[str, bytes], Awaitable[Outcome]]
type OnDelivered = Callable[[str, Sequence[str]], Awaitable[None]]
type OnAttempt = Callable[[str, Outcome, float], None]


def delay_seconds(backoff: Backoff, retry_after_seconds: float | None) -> float:
    """Count a failure; return how long to wait: the back-off's next delay, or longer if the store asks for it."""
    return max(backoff.next_seconds(), min(retry_after_seconds or 0.0, LONGEST_RETRY_AFTER_SECONDS))


def _ignore_attempt(_bucket: str, _outcome: Outcome, _seconds: float) -> None:
    return


class Deliverer:
    """Delivers the spool of one store, each bucket independently, so that bad points in one bucket block no other.

    `write` is WriteClient.write. `on_delivered(bucket, lines)` is awaited for lines the store has, before their file is
    removed; if it raises OSError, the file is kept and tried again. `on_attempt(bucket, outcome, seconds)` is called
    for every request.
    """

    def __init__(
        self,
        store: str,
        spool: Spool,
        write: Write,
        *,
        on_delivered: OnDelivered,
        on_attempt: OnAttempt = _ignore_attempt,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._spool = spool
        self._write = write
        self._on_delivered = on_delivered
        self._on_attempt = on_attempt
        self._sleep = sleep
        self._clock = clock
        self._random = random
        self._arrived: dict[str, asyncio.Event] = {}
        self._new_bucket = asyncio.Event()
        self._outage = Outage(store, clock)

    @property
    def waiting_for(self) -> dict[str, Retry]:
        """Why delivery waits, by bucket; empty if nothing is wrong."""
        return dict(self._outage.open)

    def wake(self, bucket: str) -> None:
        """Note that the spool has something for this bucket. Must be called in the event loop's thread."""
        if bucket not in self._arrived:
            self._arrived[bucket] = asyncio.Event()
            self._new_bucket.set()
        self._arrived[bucket].set()

    async def run(self) -> None:
        """Deliver what is waiting and what arrives, until cancelled; may be run again afterwards."""
        for bucket in self._spool.buckets(self._store):
            self.wake(bucket)
        started: set[str] = set()
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._new_bucket.clear()
                for bucket in self._arrived.keys() - started:
                    tasks.create_task(self._deliver_bucket(bucket), name=f"deliver {self._store} {bucket}")
                    started.add(bucket)
                await self._new_bucket.wait()

    async def _deliver_bucket(self, bucket: str) -> None:
        backoff = Backoff(FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS, self._random)
        while True:
            self._arrived[bucket].clear()
            file = self._spool.claim(self._store, bucket)
            if file is None:
                await self._arrived[bucket].wait()
                continue
            try:
                problem = await self._deliver(file)
            except OSError as error:
                problem = Retry("local_disk", f"spool file {file.name}: {error}")
            finally:
                self._spool.release(file)
            if problem is None:
                backoff.reset()
                self._outage.ended(bucket)
            else:
                self._outage.goes_on(bucket, problem)
                await self._sleep(delay_seconds(backoff, problem.retry_after_seconds))

    async def _deliver(self, file: SpoolFile) -> Retry | None:
        """Send one file and remove it from the spool; return the outcome if it has to stay."""
        try:
            body = await asyncio.to_thread(self._spool.read, file)
        except Damaged as damage:
            await asyncio.to_thread(self._spool.set_aside, file)
            logger.error(  # noqa: TRY400 - the message is enough
                'spool file damaged file=%s store=%s points=%d error="%s"', file.name, self._store, file.points, damage
            )
            return None
        refused: list[tuple[str, str]] = []
        retry = await self._send(file.bucket, body, refused)
        if retry is not None:
            return retry
        if refused:
            kept = await asyncio.to_thread(
                self._spool.rejected.keep_lines, self._store, file.bucket, file.sequence, refused
            )
            reason = refused[0][1]
            logger.error(
                'points rejected store=%s rejected=%d of=%d file=%s error="%s"',
                self._store,
                len(refused),
                file.points,
                kept,
                reason[:300],
            )
        await asyncio.to_thread(self._spool.acknowledge, file, rejected_points=len(refused))
        return None

    async def _send(self, bucket: str, body: Body, refused: list[tuple[str, str]]) -> Retry | None:
        """Write a body, halving it if the store refuses it, until only the bad lines remain: they go into `refused`.

        Halves are sent in order, because the later of two lines for the same point counts. A Partial is halved, too:
        its number covers one shard, even if points of several were dropped (measured on InfluxDB 2.7.12).
        """
        parts: list[tuple[str, ...]] = [body.lines]
        while parts:
            lines = parts.pop()
            compressed = body.compressed if lines is body.lines else await asyncio.to_thread(_compress, lines)
            started = self._clock()
            outcome = await self._write(bucket, compressed)
            self._on_attempt(bucket, outcome, self._clock() - started)
            match outcome:
                case Retry():
                    return outcome
                case Written():
                    await self._on_delivered(bucket, lines)
                case Partial(dropped=dropped, message=message) if dropped == len(lines):
                    refused.extend((line, message) for line in lines)
                case Partial(message=message) | BadRequest(message=message) | TooLarge(message=message):
                    if len(lines) == 1:
                        refused.append((lines[0], message))
                    else:
                        middle = len(lines) // 2
                        parts += [lines[middle:], lines[:middle]]
                case _:
                    assert_never(outcome)
        return None


class Outage:
    """Logs the start and the end of an outage of one store in one line each, and each new reason in between."""

    def __init__(self, store: str, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._began = 0.0
        self._told: set[str] = set()
        self.open: dict[str, Retry] = {}

    def goes_on(self, bucket: str, problem: Retry) -> None:
        """A file of this bucket could not be delivered."""
        if not self.open:
            self._began = self._clock()
        self.open[bucket] = problem
        if problem.reason not in self._told:
            self._told.add(problem.reason)
            logger.warning(
                'store write failed store=%s bucket=%s error="%s"',
                self._store,
                bucket,
                problem.message,
            )

    def ended(self, bucket: str) -> None:
        """A file of this bucket was delivered."""
        if self.open.pop(bucket, None) is None or self.open:
            return
        self._told.clear()
        logger.warning("store write recovered store=%s outage_seconds=%.0f", self._store, self._clock() - self._began)


def _compress(lines: Sequence[str]) -> bytes:
    return gzip.compress(("\n".join(lines) + "\n").encode(), compresslevel=GZIP_LEVEL, mtime=0)
