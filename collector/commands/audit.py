"""`collector audit`: compares the stores with the exchange, candle by candle; --fix corrects the differences.

for each span of days:  for each timeframe and pair:  REST rows, stored rows --compare--> findings --> mend

A row of the exchange that cannot be a candle, or a window that contains one, proves nothing and is left out.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime

from collector.commands.workspace import Workspace
from collector.ingest.finality import is_final
from collector.pipeline import Store
from collector.store.query import StoreError
from collector.verify.compare import Difference, compare
from collector.verify.due import due_opens, stored_candles
from exchange.errors import ExchangeError
from exchange.events import CANDLES
from exchange.rows import Kline, flaw
from exchange.universe import Instrument
from marketdata.timeframes import BASE_TIMEFRAME, DAY_MS
from service.progress import shown
from service.retry import patiently

log = logging.getLogger(__name__)

STRETCH_MS = 5 * DAY_MS
"""How much to compare at a time: whole days, so that every window is in one; 480 windows of 15m are one request."""

AT_ONCE = 4
PATIENCE_SECONDS = 300.0
TOLD = 20
"""How many differences are logged; --report has them all."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference in one store, with the exchange's candle (None: it has none).

    A surplus is `proven` if it is off the grid, or the same response has a later candle but not this one.
    """

    store: Store
    info: Instrument
    difference: Difference
    kline: Kline | None
    proven: bool = False


@dataclass(slots=True)
class Tally:
    """One store and timeframe, in candles."""

    compared: int = 0
    missing: int = 0
    surplus: int = 0
    wrong: int = 0
    fixed: int = 0

    @property
    def differences(self) -> int:
        """Candles that differ from the exchange's."""
        return self.missing + self.surplus + self.wrong


type Mend = Callable[[Sequence[Finding]], Awaitable[Mapping[tuple[str, str], int]]]
"""Corrects findings; returns how many by (store, timeframe)."""


class Audit:
    """Compares [from_ms, to_ms) for the workspace's pairs; `mend` receives the findings of each span.

    `report` receives every finding. The tallies are by (store, timeframe).
    """

    def __init__(
        self,
        workspace: Workspace,
        timeframes: Sequence[str],
        from_ms: int,
        to_ms: int,
        *,
        mend: Mend | None = None,
        report: Callable[[Finding], None] = lambda _finding: None,
    ) -> None:
        self.tallies = {(store.name, timeframe): Tally() for store in workspace.stores for timeframe in timeframes}
        self._workspace = workspace
        self._timeframes = timeframes
        self._from_ms = from_ms
        self._to_ms = to_ms
        self._mend = mend
        self._report = report
        self._done = 0

    @property
    def differences(self) -> int:
        """All differences found, corrected or not."""
        return sum(tally.differences for tally in self.tallies.values())

    async def run(self) -> None:
        """Compare everything. Raises ExchangeError or StoreError if one does not respond for PATIENCE_SECONDS."""
        stretches = list(self._stretches())
        total = len(stretches) * len(self._timeframes) * len(self._workspace.symbols)
        async with shown("audit", "comparisons", lambda: (self._done, total)):
            for start_ms, end_ms in stretches:
                findings = await self._stretch(start_ms, end_ms)
                if findings and self._mend:
                    for key, fixed in (await self._mend(findings)).items():
                        self.tallies[key].fixed += fixed

    def _stretches(self) -> Iterator[tuple[int, int]]:
        start_ms = self._from_ms
        while start_ms < self._to_ms:
            end_ms = min(start_ms // DAY_MS * DAY_MS + STRETCH_MS, self._to_ms)
            yield start_ms, end_ms
            start_ms = end_ms

    async def _stretch(self, start_ms: int, end_ms: int) -> list[Finding]:
        findings: list[Finding] = []
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(info: Instrument, timeframe: str) -> None:
            async with slots:
                for finding in await self._compare(info, timeframe, start_ms, end_ms):
                    self._note(finding)
                    if self._mend:
                        findings.append(finding)
            self._done += 1

        for timeframe in self._timeframes:
            async with asyncio.TaskGroup() as group:
                for info in self._workspace.symbols:
                    group.create_task(one(info, timeframe))
        return findings

    async def _compare(self, info: Instrument, timeframe: str, start_ms: int, end_ms: int) -> list[Finding]:
        opens = due_opens(timeframe, start_ms, end_ms, info.begins_ms, self._workspace.clock.now_ms())
        if not opens:
            return []
        # The exchange first: meanwhile the store's content can only have grown.
        rows = await patiently(
            "audit",
            lambda: self._workspace.client.klines_range(info.symbol, timeframe, opens[0], opens[-1]),
            ExchangeError,
            patience_seconds=PATIENCE_SECONDS,
        )
        now_ms = self._workspace.clock.now_ms()
        exchange = {row.open_time_ms: row for row in rows if is_final(row, now_ms)}
        invalid = {open_ms for open_ms, row in exchange.items() if flaw(row)}
        if invalid:
            log.warning("invalid candles not compared pair=%s timeframe=%s candles=%d first_ms=%d",
                        info.pair, timeframe, len(invalid), min(invalid))  # fmt: skip
        return [
            finding
            for store in self._workspace.stores
            for finding in await self._compare_store(store, info, timeframe, opens, exchange, invalid)
        ]

    async def _compare_store(
        self,
        store: Store,
        info: Instrument,
        timeframe: str,
        opens: range,
        exchange: Mapping[int, Kline],
        invalid: Set[int],
    ) -> list[Finding]:
        stored = await patiently(
            "audit",
            lambda: stored_candles(store.reader, timeframe, info.pair, opens.start, opens.stop),
            StoreError,
            patience_seconds=PATIENCE_SECONDS,
        )
        self.tallies[store.name, timeframe].compared += len((stored.keys() | exchange.keys()) - invalid)
        newest_ms = max(exchange, default=0)
        differences = compare(
            info.pair,
            timeframe,
            {open_ms: row for open_ms, row in stored.items() if open_ms not in invalid},
            {open_ms: row for open_ms, row in exchange.items() if open_ms not in invalid},
            quantity_precision=info.quantity_precision,
        )
        over_invalid = (
            await self._over_invalid(store, info.pair, opens) if differences and timeframe != BASE_TIMEFRAME else ()
        )
        findings = []
        for difference in differences:
            time_ms = difference.open_time_ms
            if time_ms in over_invalid:
                continue
            proven = time_ms not in opens or time_ms < newest_ms
            findings.append(Finding(store, info, difference, exchange.get(time_ms), proven))
        return findings

    @staticmethod
    async def _over_invalid(store: Store, pair: str, opens: range) -> set[int]:
        """Return opens of the windows that contain candles quarantined according to the store's ledger."""
        noted = await patiently(
            "audit",
            lambda: store.reader.gaps(CANDLES, opens.start, opens.stop),
            StoreError,
            patience_seconds=PATIENCE_SECONDS,
        )
        return {gap.open_ms // opens.step * opens.step for gap in noted if gap.pair == pair and gap.state == "invalid"}

    def _note(self, finding: Finding) -> None:
        difference = finding.difference
        tally = self.tallies[finding.store.name, difference.timeframe]
        setattr(tally, difference.kind, getattr(tally, difference.kind) + 1)
        self._report(finding)
        if self.differences <= TOLD:
            log.warning("%s", describe(finding))
        elif self.differences == TOLD + 1:
            log.warning('further differences not logged hint="--report FILE has all"')


def describe(finding: Finding) -> str:
    """Return a log line about a finding."""
    difference = finding.difference
    opened = datetime.fromtimestamp(difference.open_time_ms / 1000, UTC).isoformat(timespec="minutes")
    fields = "".join(f" {field.name}={field.stored}->{field.exchange}" for field in difference.fields)
    return (
        f"candle {difference.kind} store={finding.store.name} pair={difference.pair} timeframe={difference.timeframe}"
        f" open={opened}{fields}"
    )
