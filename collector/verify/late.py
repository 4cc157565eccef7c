"""Late deliveries to a store: a spool that waited for an hour may overwrite candles that were corrected meanwhile."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from marketdata.schema import BUCKET_RAW
from marketdata.serializer import candle_times_ms
from service.durable_files import write_json_durably

LATE_SECONDS = 3600.0
HOUR_MS = 3_600_000


class LateDelivery:
    """The span of the base candles that one store received while its spool had files older than an hour.

    Kept on disk, in whole hours, from before the first such file leaves the spool until the span is verified.
    `oldest_written_seconds` returns when the oldest waiting file was written (wall clock), None if none is waiting.
    """

    def __init__(
        self, path: Path, oldest_written_seconds: Callable[[], float | None], *, wall_seconds: Callable[[], float]
    ) -> None:
        self._path = path
        self._oldest_written_seconds = oldest_written_seconds
        self._wall_seconds = wall_seconds
        self._span: tuple[int, int] | None = None
        if path.exists():
            first_ms, end_ms = json.loads(path.read_text(encoding="utf-8"))
            self._span = first_ms, end_ms

    def on_delivered(self, bucket: str, lines: Sequence[str]) -> None:
        """The store has these lines; their file is still in the spool. Raises OSError."""
        if bucket != BUCKET_RAW or not self._is_late():
            return
        times = candle_times_ms(lines)
        if not times:
            return
        first_ms, end_ms = min(times) // HOUR_MS * HOUR_MS, max(times) // HOUR_MS * HOUR_MS + HOUR_MS
        if self._span:
            first_ms, end_ms = min(first_ms, self._span[0]), max(end_ms, self._span[1])
        if self._span != (first_ms, end_ms):
            write_json_durably(self._path, [first_ms, end_ms])
            self._span = first_ms, end_ms

    def due(self) -> tuple[int, int] | None:
        """Return the span [first, end) in ms to verify now, once the late files have left the spool."""
        return None if self._is_late() else self._span

    def verified(self, span: tuple[int, int]) -> None:
        """Note that the span was verified; if it has grown meanwhile it stays due. Raises OSError."""
        if self._span == span:
            self._path.unlink(missing_ok=True)
            self._span = None

    def _is_late(self) -> bool:
        oldest = self._oldest_written_seconds()
        return oldest is not None and self._wall_seconds() - oldest > LATE_SECONDS
