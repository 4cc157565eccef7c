"""Settled funding rates by REST: after each hour those that settled in it, and once an hour any that a store lacks.

The stores report what they hold; `settlement` (pure) finds what they seem to lack and which requests to make. Rates
take the same path as every point. So a start, an outage and a late rate are handled alike, and repeating a step does no
harm.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any

from collector.delivery.writer import Writer
from collector.history import holdings, settlement
from collector.history.one_by_one import one_by_one
from collector.history.settlement import Book
from collector.ingest.ingest import Ingest
from collector.store.query import StoreError, StoreReader
from exchange.budget import Priority
from exchange.client import ExchangeClient
from exchange.errors import BadRequest, ExchangeError, Unavailable
from exchange.rows import FundingRate
from exchange.settlements import CONTEXT_MS, HOUR_MS, MINUTE_MS, Stretch, slot_ms
from exchange.universe import Instrument
from marketdata.schema import BUCKET_RAW, FUNDING_SETTLED
from marketdata.serializer import Unserializable
from service.backoff import Backoff

log = logging.getLogger(__name__)

SETTLED_AFTER_MS = 20_000
"""How long after its hour a rate is requested: later than the burst of closing candles, which the hour has, too."""

LOOKS_SECONDS = (0.0, 30.0, 60.0, 120.0, 300.0)
"""Pauses before each look at an hour that is not complete yet; anything later is left to the check of the history."""

HISTORY_AT_MS = 20 * MINUTE_MS
"""When in the hour the whole history is checked."""

ROUNDS = 4
"""New rates may show that a neighboring stretch lacks some, too: 8 h, then 4, 2 and 1."""

FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 120.0

type Held = dict[str, dict[int, int]]
"""By pair: the funding time a store has for each slot."""

type Lacking = dict[str, list[Stretch]]
"""By pair: what to request."""


class SettledFunding:
    """Keeps the settled rates of the last `hours` complete in every store that responds."""

    def __init__(
        self,
        ingest: Ingest,
        client: ExchangeClient,
        writer: Writer,
        stores: Mapping[str, StoreReader],
        watched: Mapping[str, Instrument],
        *,
        hours: int,
    ) -> None:
        self.missing = 0
        """Settlements that the stores lacked at the last check of the history and that have not arrived since."""
        self.newest_ms: dict[str, int] = {}
        """By pair: the newest settlement that is stored or on its way."""
        self._ingest = ingest
        self._clock = ingest.clock
        self._client = client
        self._writer = writer
        self._stores = stores
        self._watched = watched
        self._hours = hours
        self._interval_hours: dict[str, int] = {}
        self._book = Book()

    async def run(self) -> None:
        """Follow and complete until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._complete())

    async def _follow(self) -> None:
        """Fetch what settles, hour by hour, for all symbols at once, to include pairs whose interval was changed."""
        while True:
            hour_ms = (self._clock.now_ms() - SETTLED_AFTER_MS) // HOUR_MS * HOUR_MS + HOUR_MS
            await self._clock.sleep_until(hour_ms + SETTLED_AFTER_MS)
            for pause in LOOKS_SECONDS:
                await asyncio.sleep(pause)
                if await self._succeeds(self._fetch_hour(hour_ms)):
                    break

    async def _complete(self) -> None:
        """Fetch what the stores lack, now and every hour."""
        backoff = Backoff(FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS)
        while True:
            if await self._succeeds(self._fetch_history()):
                backoff.reset()
                now_ms = self._clock.now_ms()
                await self._clock.sleep_until((now_ms - HISTORY_AT_MS) // HOUR_MS * HOUR_MS + HOUR_MS + HISTORY_AT_MS)
                await self._succeeds(self._fetch_day())
            else:
                await asyncio.sleep(backoff.next_seconds())

    async def _succeeds(self, step: Coroutine[Any, Any, bool]) -> bool:
        try:
            return await step
        except (StoreError, ExchangeError) as error:
            log.warning('settled funding incomplete error="%s"', error)
            return False

    async def _fetch_hour(self, hour_ms: int) -> bool:
        """Store the rates of one hour; return True if none is missing."""
        await self._learn_intervals()
        held = await self._held(hour_ms, hour_ms)
        await self._fetch_market(hour_ms, hour_ms, held, Priority.REPAIR)
        return not await self._lacking(held, hour_ms, hour_ms)

    async def _fetch_day(self) -> bool:
        """Store what is missing in one day, even if nothing in the stores suggests that anything is."""
        first_ms, last_ms = settlement.day_of_turn(self._clock.now_ms() - SETTLED_AFTER_MS, self._hours)
        await self._fetch_market(first_ms, last_ms, await self._held(first_ms, last_ms), Priority.HISTORY)
        return True

    async def _fetch_history(self) -> bool:
        """Store what is missing in all hours, first for all symbols at once if that is cheaper, then by symbol."""
        await self._learn_intervals()
        last_ms = self._clock.now_ms() - SETTLED_AFTER_MS
        first_ms = last_ms - self._hours * HOUR_MS
        self._book.forget_before(first_ms - HOUR_MS)
        held = await self._held(first_ms, last_ms)
        asked: dict[str, set[int]] = {}
        for _ in range(ROUNDS):
            lacking = await self._lacking(held, first_ms, last_ms)
            self.missing = settlement.count(lacking)
            new = settlement.not_among(lacking, asked)  # what has just settled may still arrive
            if not new:
                break
            for pair, stretches in new.items():
                asked.setdefault(pair, set()).update(*(stretch.slots for stretch in stretches))
            await self._fetch_lacking(new, held, first_ms, last_ms)
        return True

    async def _fetch_lacking(self, lacking: Lacking, held: Sequence[Held], first_ms: int, last_ms: int) -> None:
        plan = settlement.plan(settlement.hours(lacking))
        log.info("funding history missing=%d requests=%d", self.missing, plan.requests)
        for span in plan.spans:
            await self._fetch_market(*span, held, Priority.HISTORY)
        left = await self._lacking(held, first_ms, last_ms)
        self.missing = settlement.count(left)

        async def ask(pair: str) -> None:
            if pair in self._watched:  # it may have been dropped meanwhile
                await self._fetch_pair(self._watched[pair], left[pair], held)
            self.missing -= settlement.count({pair: left[pair]})

        await one_by_one("settled funding", left, ask)
        self.missing = settlement.count(await self._lacking(held, first_ms, last_ms))
        log.info("funding history done missing=%d", self.missing)

    async def _fetch_market(
        self, first_slot_ms: int, last_slot_ms: int, held: Sequence[Held], priority: Priority
    ) -> None:
        """Fetch all symbols at once; if that fails, what is missing stays missing and is requested by symbol."""
        try:
            await self._fetch(None, first_slot_ms, last_slot_ms, held, priority)
        except (BadRequest, Unavailable) as error:
            log.warning('settled funding of all symbols unavailable error="%s"', error)

    async def _fetch_pair(self, info: Instrument, lacking: Iterable[Stretch], held: Sequence[Held]) -> None:
        """Request a pair's rates from the first hour in doubt to the last: the response settles all of them."""
        first_ms, last_ms = min(one.first_ms for one in lacking), max(one.last_ms for one in lacking)
        await self._fetch(info.symbol, first_ms, last_ms, held, Priority.HISTORY)
        slots = (slot for one in lacking for slot in one.slots if not _is_held(held, info.pair, slot))
        self._book.note_answer(info.pair, slots, self._clock.now_ms())

    async def _learn_intervals(self) -> None:
        rows = await self._client.funding_info()
        self._interval_hours = {row.symbol: row.interval_hours for row in rows}

    async def _lacking(self, held: Sequence[Held], first_ms: int, last_ms: int) -> Lacking:
        """Return, by pair, what to request because at least one store lacks it."""
        lacking = {}
        for info in list(self._watched.values()):
            stretches = self._book.lacking(
                info.pair,
                [store.get(info.pair, {}).keys() for store in held],
                interval_hours=self._interval_hours.get(info.symbol),
                listed_ms=info.begins_ms,
                first_ms=first_ms,
                last_ms=last_ms,
            )
            if stretches:
                lacking[info.pair] = stretches
            await asyncio.sleep(0)  # 700 pairs take a second
        return lacking

    async def _held(self, first_slot_ms: int, last_slot_ms: int) -> list[Held]:
        """Ask each store that responds what it has for these slots and around them. Raises StoreError."""
        start_ms, end_ms = settlement.range_ms(first_slot_ms - CONTEXT_MS, last_slot_ms + CONTEXT_MS)

        async def ask(store: StoreReader) -> Held:
            times = await store.all_times_ms(BUCKET_RAW, FUNDING_SETTLED, "rate", start_ms, end_ms + 1)
            for pair, some in times.items():
                self.newest_ms[pair] = max(self.newest_ms.get(pair, 0), *some)
            return {pair: {slot_ms(at): at for at in some} for pair, some in times.items()}

        return await holdings.of_each_store(self._writer, self._stores, ask)

    async def _fetch(
        self, symbol: str | None, first_slot_ms: int, last_slot_ms: int, held: Sequence[Held], priority: Priority
    ) -> None:
        """Store those rates of these slots that a store lacks, for one symbol or for all."""
        next_ms, end_ms = settlement.range_ms(first_slot_ms, last_slot_ms)
        pair_of = {info.symbol: info.pair for info in self._watched.values()}
        while True:
            rows = await self._client.funding_rates(
                symbol, start_ms=next_ms, end_ms=end_ms, limit=settlement.ROWS, priority=priority
            )
            if self._writer.queue_free < len(rows):
                await self._writer.flush()
            for row in rows:
                if row.symbol in pair_of:
                    self._store(pair_of[row.symbol], row, held)
            # A page may end in the middle of a settlement, so the next one begins with the last time of this one.
            if len(rows) < settlement.ROWS or rows[-1].funding_time_ms == next_ms:
                return
            next_ms = rows[-1].funding_time_ms

    def _store(self, pair: str, row: FundingRate, held: Sequence[Held]) -> None:
        slot = slot_ms(row.funding_time_ms)
        if _is_held(held, pair, slot):
            return
        # Keep the time that a store has: the same rate under another millisecond would be a second point.
        known = [store[pair][slot] for store in held if slot in store.get(pair, ())]
        time_ms = known[0] if known else row.funding_time_ms
        try:
            self._ingest.on_funding_settled(pair, time_ms, row.rate, row.mark_price)
        except Unserializable as error:
            log.warning('settled funding not storable pair=%s error="%s"', pair, error)
            return
        for store in held:
            store.setdefault(pair, {}).setdefault(slot, time_ms)
        self.newest_ms[pair] = max(self.newest_ms.get(pair, 0), time_ms)


def _is_held(held: Sequence[Held], pair: str, slot: int) -> bool:
    """Whether every store has it."""
    return all(slot in store.get(pair, ()) for store in held)
