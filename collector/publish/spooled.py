"""Final candles that an earlier process left in the spool: no store has them yet, so /stream must send them."""

import asyncio
import logging
from collections.abc import AsyncIterator

from collector.delivery.spool import Damaged, Spool
from exchange.events import Candle
from marketdata.schema import BUCKET_RAW
from marketdata.serializer import read_candle

log = logging.getLogger(__name__)

LONGEST_SECONDS = 90_000.0
"""25 h: readers receive 24 h of candles (collector/publish/recent.py), and a candle is spooled after its close."""


def candle_of(line: str) -> Candle | None:
    """Read a candle back from its line; None if the line is not a candle's, or of another version. Pure."""
    if (read := read_candle(line)) is None:
        return None
    pair, open_ms, values = read
    return Candle(pair, open_ms, values, final=True, origin="spool", event_time_ms=open_ms)


async def spooled_candles(spool: Spool, now_seconds: float) -> AsyncIterator[list[tuple[Candle, str]]]:
    """Yield what waits for every store, file by file, oldest first, each candle with its line.

    Must be read before anything is delivered. ``now_seconds`` is wall-clock time, like the times of the files.
    """
    for file in spool.waiting_for_all(BUCKET_RAW):
        if file.written_seconds < now_seconds - LONGEST_SECONDS:
            continue
        try:
            body = await asyncio.to_thread(spool.read, file)
        except (Damaged, OSError) as error:  # the deliverer will handle it
            log.warning('spool file unreadable file=%s error="%s"', file.name, error)
            continue
        yield [(candle, line) for line in body.lines if (candle := candle_of(line)) is not None]
