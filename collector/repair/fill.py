"""Fetches what a store lacks by REST and hands it to ingest: base candles, or the exchange's own candle of a window."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from collector.ingest.finality import is_final
from collector.ingest.history import History
from collector.model.clock import ExchangeClock
from collector.repair.ledger import absent, spans
from collector.repair.series import Series
from exchange.budget import Priority
from exchange.client import Candles
from exchange.errors import BadRequest, ExchangeError
from exchange.universe import Instrument

log = logging.getLogger(__name__)

REQUESTS_AT_ONCE = 4

FAILURES_AT_MOST = 4
"""After this many failed requests in a row the exchange is considered down, and the rest is left to the next pass."""


@dataclass(slots=True)
class FillState:
    """Progress of the first fill: rows fetched out of the rows the stores lack."""

    stage: str = "waiting"
    """waiting, newest (hours), candles, windows, done."""

    candles_missing: int = 0
    candles_fetched: int = 0
    windows_missing: int = 0
    windows_fetched: int = 0

    @property
    def done(self) -> bool:
        """True once everything that was missing is stored and rolled up."""
        return self.stage == "done"


@dataclass(slots=True)
class Job:
    """The rows wanted for one pair and series, by open time, and what became of them."""

    info: Instrument
    series: Series
    opens: set[int]
    priority: Priority = Priority.HISTORY
    absent: set[int] = field(default_factory=set)
    """Rows that the exchange does not have, although it has later ones."""
    invalid: set[int] = field(default_factory=set)
    """Rows that the exchange has but that cannot be candles."""
    answered: bool = False
    """Whether every request got a response."""


class Fill:
    """Requests the rows of jobs from the exchange, a few requests at a time."""

    def __init__(self, client: Candles, clock: ExchangeClock, history: History) -> None:
        self._client = client
        self._clock = clock
        self._history = history

    async def fetch(self, jobs: Sequence[Job], advance: Callable[[int], None]) -> None:
        """Fetch the rows of the jobs and write them. ``advance`` receives the number of settled rows.

        Jobs stay unanswered if a request fails, and so do those after them while the exchange is down.
        """
        slots = asyncio.Semaphore(REQUESTS_AT_ONCE)
        failures = 0

        async def fetch(job: Job) -> None:
            nonlocal failures
            async with slots:
                if failures >= FAILURES_AT_MOST:
                    return
                try:
                    await self._fetch_job(job)
                    failures = 0
                    advance(len(job.opens))
                except BadRequest as error:
                    job.answered = True  # asking again changes nothing
                    log.warning('candles refused by exchange pair=%s error="%s"', job.info.pair, error)
                except ExchangeError as error:
                    failures += 1
                    if failures == 1:
                        log.warning('history request failed error="%s"', error)

        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(fetch(job))

    async def _fetch_job(self, job: Job) -> None:
        length_ms = job.series.length_ms
        for first_ms, last_ms in spans(sorted(job.opens), length_ms):
            # One row more than wanted: a later row proves that a missing one does not exist.
            rows = await self._client.klines_range(
                job.info.symbol, job.series.timeframe, first_ms, last_ms + length_ms, priority=job.priority
            )
            now_ms = self._clock.now_ms()
            wanted = [row for row in rows if row.open_time_ms in job.opens and is_final(row, now_ms)]
            job.invalid |= await self._history.store(job.info.pair, wanted, job.series.measurement)
            asked = {open_ms for open_ms in job.opens if first_ms <= open_ms <= last_ms}
            found = {row.open_time_ms for row in rows}
            if max(asked - found, default=0) > max(found, default=0):
                # The row after it is missing, too: the next existing row, however far away, is the proof.
                later = await self._client.klines(
                    job.info.symbol,
                    job.series.timeframe,
                    limit=1,
                    start_ms=last_ms + 2 * length_ms,
                    priority=job.priority,
                )
                found |= {row.open_time_ms for row in later}
            job.absent |= absent(asked, found)
        job.answered = True
