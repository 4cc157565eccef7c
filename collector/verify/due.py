"""Which candles must be stored by now, and which of them a store has."""

from collections.abc import Mapping

from collector.store.query import StoreReader
from collector.verify.compare import CANDLES, FIELDS, StoredRow
from marketdata.schema import bucket_of
from marketdata.timeframes import BASE_TIMEFRAME, timeframe_ms

DUE_MS = 120_000
"""How long after its end a candle is due: REST has confirmed a late close, the task has run (40 s after a quarter)."""


def due_opens(timeframe: str, start_ms: int, end_ms: int, listed_ms: int, now_ms: int) -> range:
    """Return open times in [start_ms, end_ms) of candles that must be stored at `now_ms` (exchange time). Pure.

    A pair's first candle is the one it was listed in.
    """
    length_ms = timeframe_ms(timeframe)
    first_ms = max(-(-start_ms // length_ms) * length_ms, listed_ms // length_ms * length_ms)
    # The first open that is not due yet.
    stop_ms = (now_ms - DUE_MS) // length_ms * length_ms
    return range(first_ms, max(first_ms, min(-(-end_ms // length_ms) * length_ms, stop_ms)), length_ms)


async def stored_candles(
    reader: StoreReader, timeframe: str, pair: str, start_ms: int, end_ms: int
) -> Mapping[int, StoredRow]:
    """Return a store's candles of one pair in [start_ms, end_ms), by time, as input of `compare`. Raises StoreError."""
    measurement = f"ohlcv_{timeframe}"
    fields = FIELDS if timeframe == BASE_TIMEFRAME else (*FIELDS, CANDLES)
    return await reader.rows(bucket_of(measurement), measurement, fields, pair, start_ms, end_ms)
