"""Reads one store in each round and keeps the results. An unreachable store is a counted failure, never a crash.

The last results are kept when a round fails: a timestamp that grows old is true, but one that disappears would resolve
its alert.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Set

from marketdata.errors import MarketDataError, StoreUnavailable, Unauthorized
from marketdata.timeframes import BASE_TIMEFRAME
from sentinel import candles
from sentinel.candles import INTERVALS, Key
from sentinel.store import StoreReader

log = logging.getLogger(__name__)

REASONS = ("unavailable", "unauthorized", "refused")


class StoreWatch:
    """The content of one store, as of the last successful round."""

    def __init__(self, name: str, reader: StoreReader, *, wall_seconds: Callable[[], float]) -> None:
        self.name = name
        self.ends_ms: dict[str, dict[Key, int]] = {}
        """By interval: the end time of each current pair's newest candle."""
        self.missing: dict[str, dict[str, int]] = {}
        """By interval and exchange: how many candles the current pairs lack."""
        self.query_seconds: dict[str, float] = {}
        self.buckets: dict[str, str] = {}
        self.failures = Counter(dict.fromkeys(REASONS, 0))
        self.last_success_seconds = 0.0
        self._reader = reader
        self._wall_seconds = wall_seconds
        self._trouble = ""

    async def run(self, every_seconds: float) -> None:
        """Run a round every `every_seconds` until cancelled."""
        seconds = asyncio.get_running_loop().time
        while True:
            started = seconds()
            await self.look()
            await asyncio.sleep(max(started + every_seconds - seconds(), 0.0))

    async def look(self) -> None:
        """Run one round. Failures are counted, and logged when they start, change and end."""
        try:
            await self._ask()
        except MarketDataError as error:
            reason = _reason(error)
            self.failures[reason] += 1
            if reason != self._trouble:
                log.warning("store cannot be read store=%s reason=%s: %s", self.name, reason, error)
            self._trouble = reason
            return
        self.last_success_seconds = self._wall_seconds()
        if self._trouble:
            log.info("store can be read again store=%s", self.name)
        self._trouble = ""

    async def _ask(self) -> None:
        self.buckets = await self._reader.buckets()
        current: dict[Key, int] = {}
        begins_ms: Mapping[Key, int] = {}
        invalid_ms: Mapping[Key, Set[int]] = {}
        for interval in INTERVALS:  # 3m first: it determines which pairs are current
            now_ms = round(self._wall_seconds() * 1000)
            started = asyncio.get_running_loop().time()
            stored = candles.read(await self._reader.ask(candles.question(interval, now_ms)))
            self.query_seconds[interval] = asyncio.get_running_loop().time() - started
            if interval == BASE_TIMEFRAME:
                current, begins_ms, invalid_ms = candles.current(stored), stored.begins_ms, stored.invalid_ms
            span = candles.span(interval, now_ms)
            self.ends_ms[interval] = candles.ends(span, stored, current)
            self.missing[interval] = candles.missing(span, stored, current, begins_ms, invalid_ms)


def _reason(error: MarketDataError) -> str:
    match error:
        case Unauthorized():
            return "unauthorized"
        case StoreUnavailable():
            return "unavailable"
        case _:
            return "refused"
