"""The roll-up windows that our 3m candles can never make: the exchange's own candles, marked ``candles = 0``.

They are those that begin before our candles do, and those with an exchange hole. The script writes all others; those of
them that it never reached are found here, too.
"""

from collections.abc import Callable, Mapping

from collector.clock import ExchangeClock
from collector.coverage import Coverage
from collector.fill import Fill, Job
from collector.ledger import Ledger, older_windows, windows_with_holes
from collector.missing import missing, missing_of
from collector.store import StoreReader
from exchange.universe import SymbolInfo
from marketdata.schema import BUCKET_ROLLUP, ROLLUP_TIMEFRAMES
from marketdata.timeframes import timeframe_ms

ROLLED_MS = 20 * 60_000
"""The scheduled script has rolled a window twice when so much has passed since its end."""


class OwnWindows:
    """Fetches such windows for a store that lacks them. ``most`` of each interval are looked at before our candles."""

    def __init__(self, clock: ExchangeClock, fill: Fill, *, most: int) -> None:
        self._clock = clock
        self._fill = fill
        self._most = most
        self._absent: set[tuple[str, str, int]] = set()  # timeframe, pair, open: the exchange has none either

    async def wanted(
        self, reader: StoreReader, coverage: Coverage, ledger: Ledger, symbols: Mapping[str, SymbolInfo]
    ) -> list[Job]:
        """Return what the store lacks, a job for each pair and timeframe. Raises StoreError."""
        now_ms = self._clock.now_ms()
        jobs = []
        for timeframe in ROLLUP_TIMEFRAMES:
            length_ms, measurement = timeframe_ms(timeframe), f"ohlcv_{timeframe}"
            older = {
                pair: older_windows(
                    coverage.start_ms(pair, info.begins_ms), info.begins_ms, now_ms, length_ms, self._most
                )
                for pair, info in symbols.items()
            }
            lacks = await missing(reader, BUCKET_ROLLUP, measurement, older, length_ms)
            for pair in ledger.holes.keys() & symbols.keys():
                # The window of the first candle is among the older ones, and before it there is nothing.
                holes = (hole for hole in ledger.holes[pair] if hole >= symbols[pair].begins_ms)
                opens = windows_with_holes(holes, now_ms, length_ms)
                lacks.setdefault(pair, set()).update(await missing_of(reader, BUCKET_ROLLUP, measurement, pair, opens))
            for pair, opens in lacks.items():
                opens -= {open_ms for open_ms in opens if (timeframe, pair, open_ms) in self._absent}
                if opens:
                    jobs.append(Job(symbols[pair], timeframe, opens))
        return jobs

    async def fetch(self, jobs: list[Job], advance: Callable[[int], None]) -> bool:
        """Fetch the jobs' windows; True if the exchange answered for all of them."""
        for timeframe in ROLLUP_TIMEFRAMES:
            some = [job for job in jobs if job.timeframe == timeframe]
            await self._fill.fetch(some, f"ohlcv_{timeframe}", advance)
            self._absent.update((timeframe, job.info.pair, open_ms) for job in some for open_ms in job.absent)
        return all(job.answered for job in jobs)

    async def lost(
        self,
        reader: StoreReader,
        coverage: Coverage,
        ledger: Ledger,
        symbols: Mapping[str, SymbolInfo],
        since_ms: int,
    ) -> list[int]:
        """Return opens of windows from ``since_ms`` on that our candles make whole and the store lacks all the same.

        Raises StoreError.
        """
        rolled_ms = self._clock.now_ms() - ROLLED_MS
        found: set[int] = set()
        for timeframe in ROLLUP_TIMEFRAMES:
            length_ms = timeframe_ms(timeframe)
            expected = {}
            for pair, info in symbols.items():
                first_ms = max(coverage.start_ms(pair, info.begins_ms), since_ms)
                expected[pair] = range(
                    -(-first_ms // length_ms) * length_ms, rolled_ms // length_ms * length_ms, length_ms
                )
            lacks = await missing(reader, BUCKET_ROLLUP, f"ohlcv_{timeframe}", expected, length_ms)
            for pair, opens in lacks.items():
                unknown = (*ledger.holes.get(pair, ()), *ledger.open.get(pair, ()))
                found |= opens - windows_with_holes(unknown, rolled_ms, length_ms)
        return sorted(found)
