"""Sends final candles of the past, as returned by REST, to every store; rows that cannot be candles are kept apart."""

from collections.abc import Sequence

from collector.delivery.outbox import Outbox, leave_room
from collector.delivery.quarantine import Quarantine
from collector.ingest.ingest import Ingest
from exchange.events import candle_from_kline
from exchange.rows import Kline
from marketdata.serializer import Unserializable


class History:
    """Hands rows of one pair at a time to ingest, no faster than the writer takes them."""

    def __init__(self, ingest: Ingest, writer: Outbox, quarantine: Quarantine) -> None:
        self._ingest = ingest
        self._writer = writer
        self._quarantine = quarantine

    async def store(self, pair: str, rows: Sequence[Kline], measurement: str) -> set[int]:
        """Send final candles to every store; return the open times, UTC ms, of rows that cannot be candles."""
        await leave_room(self._writer, len(rows))
        now_ms = self._ingest.clock.now_ms()
        invalid = set()
        for row in rows:
            candle = candle_from_kline(pair, row, final=True, exchange_time_ms=now_ms)
            try:
                self._ingest.on_history(candle, measurement)
            except Unserializable as error:
                invalid.add(row.open_time_ms)
                timeframe = measurement.removeprefix("ohlcv_")
                await self._quarantine.keep(pair, timeframe, row, f"{error.reason}: {error}")
        return invalid
