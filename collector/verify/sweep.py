"""The verify sweep: compares each pair's last 99 stored candles with REST once an hour, and rewrites wrong ones.

    each pair in turn, spread evenly over the hour       its last 99 candles (a request of weight 1)
    after a spool with files older than an hour          everything delivered late, for every pair

Missing candles, and rows that cannot be candles, are left to the ledger; surplus candles, and prices that cannot be
removed by writing, are left to the audit.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from collector.ingest.finality import is_final
from collector.ingest.ingest import Ingest
from collector.store.query import StoreError, StoreReader
from collector.verify.compare import Difference, StoredRow, compare, must_shed_fields
from collector.verify.due import due_opens, stored_candles
from collector.verify.late import LateDelivery
from exchange.budget import Priority
from exchange.client import ExchangeClient
from exchange.errors import ExchangeError
from exchange.events import CANDLE_MS, candle_from_kline
from exchange.rows import Kline, flaw
from exchange.universe import Instrument
from marketdata.schema import OHLCV_BASE
from marketdata.serializer import Unserializable
from marketdata.timeframes import BASE_TIMEFRAME
from service.retry import patiently

log = logging.getLogger(__name__)

PERIOD_SECONDS = 3600.0
LATE_POLL_SECONDS = 5.0


class Sweep:
    """Verifies the content of the stores. `symbols` returns the pairs that are watched now."""

    def __init__(
        self,
        ingest: Ingest,
        client: ExchangeClient,
        readers: Mapping[str, StoreReader],
        late: Mapping[str, LateDelivery],
        symbols: Callable[[], Sequence[Instrument]],
        *,
        period_seconds: float = PERIOD_SECONDS,
    ) -> None:
        self.verified: Counter[str] = Counter()
        self.corrected: Counter[str] = Counter()
        self._ingest = ingest
        self._client = client
        self._readers = readers
        self._late = late
        self._symbols = symbols
        self._period_seconds = period_seconds

    async def run(self) -> None:
        """Verify until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._rounds())
            group.create_task(self._late_spans())

    async def verify(self, info: Instrument, start_ms: int, end_ms: int, stores: Sequence[str]) -> None:
        """Compare the due candles of [start_ms, end_ms) and rewrite wrong ones. Raises ExchangeError, StoreError."""
        opens = due_opens(BASE_TIMEFRAME, start_ms, end_ms, info.begins_ms, self._ingest.clock.now_ms())
        if not opens:
            return
        rows = await self._client.klines_range(
            info.symbol, BASE_TIMEFRAME, opens[0], opens[-1], priority=Priority.HISTORY
        )
        now_ms = self._ingest.clock.now_ms()
        exchange = {row.open_time_ms: row for row in rows if is_final(row, now_ms) and not flaw(row)}
        for store in stores:
            stored = await stored_candles(self._readers[store], BASE_TIMEFRAME, info.pair, opens.start, opens.stop)
            found = compare(info.pair, BASE_TIMEFRAME, stored, exchange, quantity_precision=info.quantity_precision)
            self.verified[store] += len(stored)
            for difference in found:
                if difference.kind == "wrong":
                    self._correct(store, difference, stored, exchange)

    def _correct(
        self, store: str, difference: Difference, stored: Mapping[int, StoredRow], exchange: Mapping[int, Kline]
    ) -> None:
        open_ms = difference.open_time_ms
        kline = exchange[open_ms]
        where = f"store={store} pair={difference.pair} open_ms={open_ms}"
        if must_shed_fields(stored[open_ms], kline):
            log.warning('stored candle has prices without trades %s hint="only audit --fix removes them"', where)
            return
        now_ms = self._ingest.clock.now_ms()
        candle = candle_from_kline(difference.pair, kline, final=True, exchange_time_ms=now_ms)
        try:
            self._ingest.on_history(candle, OHLCV_BASE)
        except Unserializable as error:
            log.warning('REST candle not storable %s error="%s"', where, error)
            return
        self.corrected[store] += 1
        fields = " ".join(f"{field.name}={field.stored}->{field.exchange}" for field in difference.fields)
        log.warning("stored candle corrected %s %s", where, fields)

    async def _rounds(self) -> None:
        while True:
            symbols = self._symbols()
            slot_seconds = self._period_seconds / max(len(symbols), 1)
            if not symbols:
                await asyncio.sleep(slot_seconds)
            for info in symbols:
                await asyncio.sleep(slot_seconds)
                end_ms = self._ingest.clock.now_ms()
                rows = self._client.facts.cheapest_rows
                newest = due_opens(BASE_TIMEFRAME, end_ms - (rows + 2) * CANDLE_MS, end_ms, info.begins_ms, end_ms)
                try:
                    await self.verify(info, newest.stop - rows * CANDLE_MS, newest.stop, list(self._readers))
                except (ExchangeError, StoreError) as error:
                    log.info('pair not verified pair=%s error="%s"', info.pair, error)

    async def _late_spans(self) -> None:
        while True:
            await asyncio.sleep(LATE_POLL_SECONDS)
            for store, late in self._late.items():
                if span := late.due():
                    await self._verify_span(store, span)
                    await asyncio.to_thread(late.verified, span)

    async def _verify_span(self, store: str, span: tuple[int, int]) -> None:
        log.info("late spool verification store=%s from_ms=%d to_ms=%d", store, *span)
        for info in self._symbols():

            async def verify(info: Instrument = info) -> None:
                await self.verify(info, *span, [store])

            await patiently("late spool verification", verify, (ExchangeError, StoreError))
