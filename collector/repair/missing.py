"""What a store lacks: rows are counted by span first, and read only where the count is short."""

from collections.abc import Collection, Iterable, Mapping

from collector.repair.ledger import BUCKETS, compare
from collector.repair.series import Series
from collector.store.view import StoreView


async def missing(reader: StoreView, series: Series, expected: Mapping[str, range]) -> dict[str, set[int]]:
    """Return the open times the store lacks, by pair; complete pairs are absent. Raises StoreError."""
    opens = [some for some in expected.values() if some]
    if not opens:
        return {}
    asked_ms = min(some.start for some in opens), max(some.stop for some in opens)
    every_ms = BUCKETS * series.length_ms
    counts = await reader.counts_by_time(series.bucket, series.measurement, "close", *asked_ms, every_ms)
    lacking: dict[str, set[int]] = {}
    for pair, some in expected.items():
        lacks, unclear = compare(some, counts.get(pair, {}), asked_ms, every_ms)
        for start_ms, end_ms in unclear:
            held = await reader.times_ms(series.bucket, series.measurement, "close", pair, start_ms, end_ms)
            lacks.update(set(range(start_ms, end_ms, series.length_ms)) - held)
        if lacks:
            lacking[pair] = lacks
    return lacking


def of_any(stores: Iterable[Mapping[str, Collection[int]]]) -> dict[str, set[int]]:
    """Combine what each store lacks into what any of them lacks."""
    lacking: dict[str, set[int]] = {}
    for lacks in stores:
        for pair, opens in lacks.items():
            lacking.setdefault(pair, set()).update(opens)
    return lacking


async def missing_of(reader: StoreView, series: Series, pair: str, opens: Collection[int]) -> set[int]:
    """Return which of these few open times of one pair the store lacks. Raises StoreError."""
    if not opens:
        return set()
    times = await reader.times_ms(series.bucket, series.measurement, "close", pair, min(opens), max(opens) + 1)
    return set(opens) - times
