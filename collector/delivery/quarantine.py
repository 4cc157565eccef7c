"""Rows of the exchange that cannot be candles: kept as text for the operator, and logged once each."""

import asyncio
import logging

from collector.delivery.rejected import Rejected
from exchange.rows import Kline

log = logging.getLogger(__name__)


class Quarantine:
    """Keeps such rows in the rejected folder. They are not stored, not sent to readers, and are requested again."""

    def __init__(self, rejected: Rejected) -> None:
        self._rejected = rejected

    async def keep(self, pair: str, timeframe: str, row: Kline, reason: str) -> None:
        """Keep a row; one that is already kept is ignored. Never raises on disk errors."""
        where = f"pair={pair} timeframe={timeframe} open_ms={row.open_time_ms}"
        try:
            path = await asyncio.to_thread(
                self._rejected.keep_row, pair, timeframe, row.open_time_ms, row, f"{where} {reason}"
            )
        except OSError as error:
            log.warning('candle row invalid %s reason="%s" error="%s"', where, reason, error)
            return
        if path is not None:
            log.warning('candle row invalid %s file=%s reason="%s"', where, path, reason)
