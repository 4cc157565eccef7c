"""Copies what the exchange no longer has from the other stores: no store loses a candle that another one has.

Otherwise the stores would contradict each other: gaps are written to all of them, so a store that has the candle would
record it as repaired for one that lacks it, again every day.
"""

import logging
from collections.abc import Collection, Mapping
from decimal import Decimal

from collector.delivery.outbox import Outbox, leave_room
from collector.ingest.ingest import Ingest
from collector.repair.ledger import spans
from collector.repair.series import BASE
from collector.store.query import StoreError
from collector.store.view import StoreView
from exchange.events import Candle
from marketdata.candle_values import CandleValues
from marketdata.serializer import Unserializable

log = logging.getLogger(__name__)


class Elsewhere:
    """Copies candles from store to store, through the writer like everything else."""

    def __init__(self, stores: Mapping[str, StoreView], ingest: Ingest, writer: Outbox) -> None:
        self._stores = stores
        self._ingest = ingest
        self._writer = writer

    async def bring(self, store: str, pair: str, opens: Collection[int]) -> set[int]:
        """Write those candles that a store other than `store` has; return their open times.

        A store that does not respond is left out until the candles are requested from the exchange again.
        """
        brought: set[int] = set()
        for name, other in self._stores.items():
            lacking = set(opens) - brought
            if name == store or not lacking:
                continue
            try:
                for first_ms, last_ms in spans(sorted(lacking), BASE.length_ms):
                    brought |= await self._copy(other, pair, lacking, first_ms, last_ms)
            except StoreError as error:
                log.warning('store left out of copy store=%s error="%s"', name, error)
        if brought:
            log.warning("candles copied store=%s pair=%s candles=%d first_ms=%d",
                        store, pair, len(brought), min(brought))  # fmt: skip
        return brought

    async def _copy(
        self, other: StoreView, pair: str, lacking: Collection[int], first_ms: int, last_ms: int
    ) -> set[int]:
        rows = await other.rows(BASE.bucket, BASE.measurement, CandleValues._fields, pair, first_ms, last_ms + 1)
        brought = set()
        for open_ms in sorted(rows.keys() & set(lacking)):
            candle = Candle(pair, open_ms, values_of(rows[open_ms]), final=True, origin="store", event_time_ms=open_ms)
            await leave_room(self._writer)
            try:
                self._ingest.on_history(candle, BASE.measurement)
            except Unserializable as error:
                log.warning('stored candle not copied pair=%s open_ms=%d error="%s"', pair, open_ms, error)
            else:
                brought.add(open_ms)
        return brought


def values_of(row: Mapping[str, float | None]) -> CandleValues:
    """Return a stored candle's numbers as text that InfluxDB parses to the same floats. Pure.

    A candle without trades is stored without open, high and low: they equal its close.
    """
    texts = {name: "" if value is None else f"{Decimal(repr(float(value))):f}" for name, value in row.items()}
    close = texts["close"]
    prices = (texts["open"] or close, texts["high"] or close, texts["low"] or close, close)
    volumes = (texts["volume"], texts["quote_volume"], texts["taker_buy_volume"], texts["taker_buy_quote_volume"])
    return CandleValues(*prices, *volumes, int(row["trades"] or 0))
