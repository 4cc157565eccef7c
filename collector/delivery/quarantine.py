"""Rows of the exchange that cannot be a candle: kept as text for the operator, and logged once each."""

import asyncio
import logging

from collector.delivery.rejected import Rejected
from exchange.rows import Kline

log = logging.getLogger(__name__)


class Quarantine:
    """Keeps such rows among what is rejected. They are stored nowhere, told to no reader, and asked for again."""

    def __init__(self, rejected: Rejected) -> None:
        self._rejected = rejected

    async def keep(self, pair: str, timeframe: str, row: Kline, reason: str) -> None:
        """Keep a row; one that is kept already is passed over in silence. Never raises for what a disk does."""
        where = f"pair={pair} timeframe={timeframe} open_ms={row.open_time_ms}"
        try:
            path = await asyncio.to_thread(
                self._rejected.keep_row, pair, timeframe, row.open_time_ms, row, f"{where} {reason}"
            )
        except OSError as error:
            log.warning("the exchange's row cannot be a candle, and cannot be kept (%s) %s %s", error, where, reason)
            return
        if path is not None:
            log.warning("the exchange's row cannot be a candle, kept in %s %s %s", path, where, reason)
