"""What a store lacks of what it should hold: counted by stretches first, read only where the count is short."""

from collections.abc import Collection, Mapping

from collector.repair.ledger import BUCKETS, compare
from collector.store.view import StoreView


async def missing(
    reader: StoreView, bucket: str, measurement: str, expected: Mapping[str, range], length_ms: int
) -> dict[str, set[int]]:
    """Return the open times the store lacks, by pair; pairs that lack nothing are absent. Raises StoreError."""
    opens = [some for some in expected.values() if some]
    if not opens:
        return {}
    asked_ms = min(some.start for some in opens), max(some.stop for some in opens)
    every_ms = BUCKETS * length_ms
    counts = await reader.counts_by_time(bucket, measurement, "close", *asked_ms, every_ms)
    lacking: dict[str, set[int]] = {}
    for pair, some in expected.items():
        lacks, unclear = compare(some, counts.get(pair, {}), asked_ms, every_ms)
        for start_ms, end_ms in unclear:
            held = await reader.times_ms(bucket, measurement, "close", pair, start_ms, end_ms)
            lacks.update(set(range(start_ms, end_ms, length_ms)) - held)
        if lacks:
            lacking[pair] = lacks
    return lacking


async def missing_of(reader: StoreView, bucket: str, measurement: str, pair: str, opens: Collection[int]) -> set[int]:
    """Return which of these few open times of one pair the store lacks. Raises StoreError."""
    if not opens:
        return set()
    return set(opens) - await reader.times_ms(bucket, measurement, "close", pair, min(opens), max(opens) + 1)
