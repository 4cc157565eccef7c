"""Corrects an audit's findings: the exchange's candles are written, windows re-rolled, and everything is read back.

    base:     surplus deleted, wrong and missing written  --delivered-->  their windows re-rolled by the script
    windows:  re-rolled by the script; those still not right are written as the exchange's own (candles = 0)

Only the points that were found are written or deleted; elsewhere the script writes the same values again.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from collector.commands.audit import PATIENCE_SECONDS, Finding, describe
from collector.commands.workspace import Workspace
from collector.pipeline import Store
from collector.store.query import StoreError
from collector.verify.compare import Difference, StoredRow, compare, must_shed_fields
from collector.verify.due import stored_candles
from exchange.rows import Kline
from marketdata.schema import bucket_of
from marketdata.timeframes import BASE_TIMEFRAME, timeframe_ms
from service.retry import patiently

log = logging.getLogger(__name__)


class Mender:
    """Corrects one span of an audit at a time. Raises StoreError if a store does not respond for PATIENCE_SECONDS."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def __call__(self, findings: Sequence[Finding]) -> Mapping[tuple[str, str], int]:
        """Correct what can be corrected; return how many are right now, by (store, timeframe)."""
        base = [finding for finding in findings if finding.difference.timeframe == BASE_TIMEFRAME]
        windows = [finding for finding in findings if finding.difference.timeframe != BASE_TIMEFRAME]
        await self._rewrite(base)
        for finding in findings:
            # Also for a window alone or a deletion: delivery marks only what was written.
            finding.store.rollups.mark([finding.difference.open_time_ms])
        await self._workspace.roll()
        if still := await self._unequal(windows):
            await self._rewrite(still)
        left = {id(finding) for finding in await self._unequal(findings)}
        mended: dict[tuple[str, str], int] = defaultdict(int)
        for finding in findings:
            mended[finding.store.name, finding.difference.timeframe] += id(finding) not in left
        return mended

    async def _rewrite(self, findings: Sequence[Finding]) -> None:
        """Write the exchange's candles over wrong and missing ones; delete proven surplus."""
        rows: dict[tuple[str, str], dict[int, Kline]] = defaultdict(dict)
        for finding in findings:
            difference = finding.difference
            row = await _deletable(finding)
            if row is not None:
                log.warning('deleting %s row="%s"', describe(finding), dict(row))
                measurement = f"ohlcv_{difference.timeframe}"
                point = (bucket_of(measurement), measurement, difference.pair, difference.open_time_ms)
                await patiently(
                    "audit", partial(finding.store.eraser.erase, *point), StoreError, patience_seconds=PATIENCE_SECONDS
                )
            if finding.kline is not None:
                rows[difference.pair, difference.timeframe][difference.open_time_ms] = finding.kline
        for (pair, timeframe), klines in rows.items():
            await self._workspace.store(pair, list(klines.values()), f"ohlcv_{timeframe}")
        await self._workspace.deliver()

    async def _unequal(self, findings: Iterable[Finding]) -> list[Finding]:
        """Read the findings' points again; return those that still differ from the exchange's."""
        groups: dict[tuple[str, str, str], list[Finding]] = defaultdict(list)
        for finding in findings:
            groups[finding.store.name, finding.difference.pair, finding.difference.timeframe].append(finding)
        unequal = []
        for (_, pair, timeframe), group in groups.items():
            stored = await _stored(group[0].store, [finding.difference for finding in group])
            for finding in group:
                time_ms = finding.difference.open_time_ms
                differs = compare(
                    pair,
                    timeframe,
                    {time_ms: stored[time_ms]} if time_ms in stored else {},
                    {} if finding.kline is None else {time_ms: finding.kline},
                    quantity_precision=finding.info.quantity_precision,
                )
                if differs:
                    unequal.append(finding)
        return unequal


async def _deletable(finding: Finding) -> StoredRow | None:
    """Read a point that has to be deleted; return None for any other finding.

    That is a proven surplus, or a candle that must shed fields (it is rewritten at once).
    """
    if finding.difference.kind == "missing" or (finding.kline is not None and finding.kline.trades):
        return None
    row = (await _stored(finding.store, [finding.difference])).get(finding.difference.open_time_ms)
    if row is None:
        return None
    must_go = finding.proven if finding.kline is None else must_shed_fields(row, finding.kline)
    return row if must_go else None


async def _stored(store: Store, differences: Sequence[Difference]) -> Mapping[int, StoredRow]:
    """Read a store's candles of one pair and timeframe, from the first of the differences to the last."""
    pair, timeframe = differences[0].pair, differences[0].timeframe
    times = [difference.open_time_ms for difference in differences]
    asked = (store.reader, timeframe, pair, min(times), max(times) + timeframe_ms(timeframe))
    return await patiently("audit", partial(stored_candles, *asked), StoreError, patience_seconds=PATIENCE_SECONDS)
