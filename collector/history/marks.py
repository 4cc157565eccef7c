"""Hourly mark price candles by REST: each hour's once it is over, and once an hour any that a store lacks.

164 pairs cost 164 weight an hour, spread over ten minutes. 30 days are 720 rows per pair: a page of 499 (weight 2) and
one of 221 (weight 2); that is 328 requests, 656 weight, once; for 700 pairs 1,400 requests, 2,800 weight.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence

from collector.delivery.writer import Writer
from collector.history import holdings
from collector.history.one_by_one import one_by_one
from collector.ingest.ingest import Ingest
from collector.repair.missing import missing, of_any
from collector.repair.series import MARKS
from collector.store.query import StoreError, StoreReader
from exchange.budget import Priority
from exchange.client import ExchangeClient
from exchange.errors import ExchangeError
from exchange.events import CANDLE_MS
from exchange.universe import Instrument
from marketdata.serializer import Unserializable
from marketdata.thresholds import CLOSE_DEADLINE_MS
from service.retry import patiently

log = logging.getLogger(__name__)

HOUR_MS = 3_600_000
START_MS = 60_000
"""How long after an hour its candles are first requested ..."""

SPREAD_SECONDS = 600.0
"""... and within about how much time all of them are."""

BURST_MS = (5_000, 20_000)
"""Nothing is requested from this long before a base candle closes until this long after it."""

FILL_PATIENCE_SECONDS = 900.0
"""How long the history waits for the base candles, which take priority."""

GIVEN_UP_AFTER_MS = 2 * HOUR_MS
"""A candle that the exchange still lacks this long after its open does not exist."""


class MarkCandles:
    """Keeps the mark price candles of the last `hours` complete in every store that responds."""

    def __init__(
        self,
        ingest: Ingest,
        client: ExchangeClient,
        writer: Writer,
        stores: Mapping[str, StoreReader],
        watched: Mapping[str, Instrument],
        *,
        hours: int,
        filled: Callable[[], bool],
    ) -> None:
        self.missing = 0
        """Candles that the stores lacked at the last check and that have not been requested since."""
        self._ingest = ingest
        self._clock = ingest.clock
        self._client = client
        self._writer = writer
        self._stores = stores
        self._watched = watched
        self._hours = hours
        self._filled = filled
        self._nonexistent: set[tuple[str, int]] = set()

    async def run(self) -> None:
        """Fetch the history after the fill, then every hour, until cancelled."""
        waited = 0.0
        while not self._filled() and waited < FILL_PATIENCE_SECONDS:
            await asyncio.sleep(1)
            waited += 1
        await self._fetch_patiently(spread_seconds=0.0)
        while True:
            hour_ms = (self._clock.now_ms() - START_MS) // HOUR_MS * HOUR_MS + HOUR_MS
            await self._clock.sleep_until(hour_ms + START_MS)
            await self._fetch_patiently(spread_seconds=SPREAD_SECONDS)

    async def _fetch_patiently(self, *, spread_seconds: float) -> None:
        await patiently("mark price candles", lambda: self._fetch(spread_seconds), (StoreError, ExchangeError))

    async def _fetch(self, spread_seconds: float) -> None:
        """Store the completed hours that a store lacks, pair by pair."""
        end_ms = (self._clock.now_ms() - CLOSE_DEADLINE_MS) // HOUR_MS * HOUR_MS
        start_ms = end_ms - self._hours * HOUR_MS
        expected = {
            info.pair: range(max(start_ms, info.begins_ms // HOUR_MS * HOUR_MS), end_ms, HOUR_MS)
            for info in self._watched.values()
        }
        lacking = await self._lacking(expected)
        self.missing = sum(len(opens) for opens in lacking.values())
        if not lacking:
            return
        log.info("mark price candles missing=%d pairs=%d", self.missing, len(lacking))

        async def ask(pair: str) -> None:
            opens = lacking[pair]
            for first_ms, last_ms in pages(sorted(opens), self._client.facts.best_rows):
                await asyncio.sleep(burst_wait_ms(self._clock.now_ms()) / 1000)
                if pair in self._watched:  # it may have been dropped meanwhile
                    await self._fetch_page(self._watched[pair], first_ms, last_ms, opens)
            self.missing -= len(opens)
            await asyncio.sleep(spread_seconds / len(lacking))

        await one_by_one("mark price candles", lacking, ask)
        log.info("mark price candles done pairs=%d", len(lacking))

    async def _fetch_page(self, info: Instrument, first_ms: int, last_ms: int, wanted: set[int]) -> None:
        limit = (last_ms - first_ms) // HOUR_MS + 1
        rows = await self._client.mark_price_klines(
            info.symbol, MARKS.timeframe, limit=limit, start_ms=first_ms, end_ms=last_ms, priority=Priority.HISTORY
        )
        if self._writer.queue_free < len(rows):
            await self._writer.flush()
        for row in rows:
            if row.open_time_ms in wanted:
                try:
                    self._ingest.on_mark_candle(info.pair, row)
                except Unserializable as error:
                    log.warning('mark price candle not storable pair=%s error="%s"', info.pair, error)
        given_up_ms = self._clock.now_ms() - GIVEN_UP_AFTER_MS
        came = {row.open_time_ms for row in rows}
        asked = range(first_ms, min(last_ms + 1, given_up_ms), HOUR_MS)
        self._nonexistent |= {(info.pair, open_ms) for open_ms in asked if open_ms not in came}

    async def _lacking(self, expected: Mapping[str, range]) -> dict[str, set[int]]:
        """Return, by pair, the expected hours that any responding store lacks. Raises StoreError."""
        answers = await holdings.of_each_store(
            self._writer, self._stores, lambda store: missing(store, MARKS, expected)
        )
        lacking = {
            pair: {open_ms for open_ms in opens if (pair, open_ms) not in self._nonexistent}
            for pair, opens in of_any(answers).items()
        }
        return {pair: opens for pair, opens in lacking.items() if opens}


def pages(opens: Sequence[int], rows: int) -> Iterator[tuple[int, int]]:
    """Yield ranges (first and last open, inclusive) that cover the ascending opens, each of at most `rows` rows."""
    page: list[int] = []
    for open_ms in opens:
        if page and open_ms - page[0] >= rows * HOUR_MS:
            yield page[0], page[-1]
            page = []
        page.append(open_ms)
    if page:
        yield page[0], page[-1]


def burst_wait_ms(now_ms: int) -> int:
    """Return how long to wait until no base candle is closing; 0 if none is."""
    before_ms, after_ms = BURST_MS
    since_ms = (now_ms + before_ms) % CANDLE_MS
    return max(0, before_ms + after_ms - since_ms)
