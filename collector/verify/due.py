"""Which candles must be stored by now, and what a store has of them."""

from collections.abc import Mapping

from collector.store.query import StoreReader
from collector.verify.compare import CANDLES, FIELDS, StoredRow
from marketdata.schema import bucket_of
from marketdata.timeframes import BASE_TIMEFRAME, timeframe_ms

DUE_MS = 120_000
"""A candle is due this long after its end: REST has confirmed a late close, the task has run (40 s after a quarter)."""


def due_opens(timeframe: str, start_ms: int, end_ms: int, listed_ms: int, now_ms: int) -> range:
    """Open times in [start_ms, end_ms) of candles that must be stored at `now_ms` (exchange time). Pure.

    The first candle of a pair is the one it was listed in.
    """
    length_ms = timeframe_ms(timeframe)
    first_ms = max(-(-start_ms // length_ms) * length_ms, listed_ms // length_ms * length_ms)
    # The first open from which on nothing is due.
    stop_ms = (now_ms - DUE_MS) // length_ms * length_ms
    return range(first_ms, max(first_ms, min(-(-end_ms // length_ms) * length_ms, stop_ms)), length_ms)


async def stored_candles(
    reader: StoreReader, timeframe: str, pair: str, start_ms: int, end_ms: int
) -> Mapping[int, StoredRow]:
    """Return what a store has of one pair in [start_ms, end_ms), by time, as `compare` wants it. Raises StoreError."""
    measurement = f"ohlcv_{timeframe}"
    fields = FIELDS if timeframe == BASE_TIMEFRAME else (*FIELDS, CANDLES)
    return await reader.rows(bucket_of(measurement), measurement, fields, pair, start_ms, end_ms)
