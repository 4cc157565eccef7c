"""The queries that repair needs to know what a store holds, and to re-roll. Every method raises StoreError."""

from collections.abc import Sequence
from typing import Protocol

from collector.model.gap import Gap


class StoreView(Protocol):
    """One store as repair sees it; `StoreReader` queries InfluxDB. Times are UTC ms, ranges are [start, end)."""

    async def check(self) -> None:
        """Return if the store can be queried now."""

    async def counts_by_time(
        self, bucket: str, measurement: str, field: str, start_ms: int, end_ms: int, every_ms: int
    ) -> dict[str, dict[int, int]]:
        """Return the number of points by pair and start of each span of ``every_ms``; empty spans are absent."""

    async def times_ms(
        self, bucket: str, measurement: str, field: str, pair: str, start_ms: int, end_ms: int
    ) -> set[int]:
        """Return the times of the points of one pair."""

    async def rows(
        self, bucket: str, measurement: str, fields: Sequence[str], pair: str, start_ms: int, end_ms: int
    ) -> dict[int, dict[str, float | None]]:
        """Return the points of one pair by time; None if a point lacks the field."""

    async def gaps(self, channel: str, start_ms: int, end_ms: int) -> list[Gap]:
        """Return the gaps of a channel that are not repaired."""

    async def flux(self, script: str) -> None:
        """Run a script that writes."""
