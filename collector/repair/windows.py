"""The roll-up windows that our base candles can never produce: the exchange's own candles, marked ``candles = 0``.

These are the windows that begin before our candles do, and those with an exchange hole. The script writes all others;
those that it missed are found here, too. A window with an invalid candle stays absent, since the exchange's own window
contains the numbers of the impossible row.
"""

from collections.abc import Callable, Collection, Mapping

from collector.model.clock import ExchangeClock
from collector.repair.coverage import Coverage
from collector.repair.fill import Fill, Job
from collector.repair.ledger import Ledger, older_windows, windows_with_holes
from collector.repair.missing import missing, missing_of
from collector.repair.series import ROLLUPS
from collector.store.view import StoreView
from exchange.again import Again
from exchange.universe import Instrument

ROLLED_MS = 20 * 60_000
"""How long after its end a window has been rolled up twice by the scheduled script."""


class OwnWindows:
    """Fetches such windows for a store that lacks them, up to ``most`` of each interval from before our candles."""

    def __init__(self, clock: ExchangeClock, fill: Fill, *, most: int) -> None:
        self._clock = clock
        self._fill = fill
        self._most = most
        self._absent: dict[tuple[str, str, int], Again] = {}  # timeframe, pair, open: not at the exchange either

    async def wanted(
        self,
        reader: StoreView,
        coverage: Coverage,
        ledger: Ledger,
        symbols: Mapping[str, Instrument],
        late: Mapping[str, Collection[int]],
    ) -> list[Job]:
        """Return what the store lacks, one job per pair and series. Raises StoreError.

        Includes stored windows that cannot be rolled up and are older than a ``late`` candle in them (opens by pair).
        """
        now_ms = self._clock.now_ms()
        jobs = []
        for series in ROLLUPS:
            length_ms = series.length_ms
            older = {
                pair: older_windows(
                    coverage.start_ms(pair, info.begins_ms), info.begins_ms, now_ms, length_ms, self._most
                )
                for pair, info in symbols.items()
            }
            lacks = await missing(reader, series, older)
            for pair in ledger.holes.keys() & symbols.keys():
                # The window of the first candle is among the older ones, and there are none before it.
                holes = (hole for hole in ledger.holes[pair] if hole >= symbols[pair].begins_ms)
                opens = windows_with_holes(holes, now_ms, length_ms)
                lacks.setdefault(pair, set()).update(await missing_of(reader, series, pair, opens))
            for pair, opens in lacks.items():
                opens -= {open_ms for open_ms in opens if self._is_absent((series.timeframe, pair, open_ms), now_ms)}
            for pair in late.keys() & symbols.keys():
                own = {*older[pair], *windows_with_holes(ledger.holes.get(pair, ()), now_ms, length_ms)}
                lacks.setdefault(pair, set()).update(windows_with_holes(late[pair], now_ms, length_ms) & own)
            for pair, opens in lacks.items():
                opens -= windows_with_holes(ledger.invalid.get(pair, ()), now_ms, length_ms)
                if opens:
                    jobs.append(Job(symbols[pair], series, opens))
        return jobs

    def _is_absent(self, window: tuple[str, str, int], now_ms: int) -> bool:
        known = self._absent.get(window)
        return known is not None and not known.is_due(now_ms)

    async def fetch(self, jobs: list[Job], advance: Callable[[int], None]) -> bool:
        """Fetch the jobs' windows; return True if the exchange responded for all of them."""
        await self._fill.fetch(jobs, advance)
        now_ms = self._clock.now_ms()
        for job in jobs:
            for window in ((job.series.timeframe, job.info.pair, at) for at in job.absent | job.invalid):
                known = self._absent.get(window)
                self._absent[window] = known.asked_at(now_ms) if known else Again(now_ms)
        return all(job.answered for job in jobs)

    async def lost(
        self,
        reader: StoreView,
        coverage: Coverage,
        ledger: Ledger,
        symbols: Mapping[str, Instrument],
        since_ms: int,
    ) -> list[int]:
        """Return opens of windows from ``since_ms`` on that our candles cover completely but the store lacks.

        Raises StoreError.
        """
        rolled_ms = self._clock.now_ms() - ROLLED_MS
        found: set[int] = set()
        for series in ROLLUPS:
            length_ms, expected = series.length_ms, {}
            for pair, info in symbols.items():
                first_ms = max(coverage.start_ms(pair, info.begins_ms), since_ms)
                expected[pair] = range(
                    -(-first_ms // length_ms) * length_ms, rolled_ms // length_ms * length_ms, length_ms
                )
            lacks = await missing(reader, series, expected)
            for pair, opens in lacks.items():
                unknown = (*ledger.holes.get(pair, ()), *ledger.invalid.get(pair, ()), *ledger.open.get(pair, ()))
                found |= opens - windows_with_holes(unknown, rolled_ms, length_ms)
        return sorted(found)
