"""The coverage of one store for each pair, kept on disk: where it starts, what `backfill` extended, what was checked.

    <state_dir>/ledger-<store>.json      written by the running collector
    <state_dir>/extended-<store>.json    written by `collector backfill`, read by the running collector at every pass

Two files, so that a collector and a concurrent backfill never write the same one. Times are UTC milliseconds.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from exchange.events import CANDLE_MS
from service.durable_files import write_json_durably


class Coverage:
    """The range of base candles that a store must hold for each pair, and how much of it has been checked.

    Raises ValueError if a file in the state folder cannot be read: files are written completely or not at all.
    """

    def __init__(self, state_dir: Path, store: str, *, configured_start_ms: int | None = None) -> None:
        self._own = state_dir / f"ledger-{store}.json"
        self._by_backfill = state_dir / f"extended-{store}.json"
        self._configured_start_ms = configured_start_ms
        known = _read(self._own)
        self._start_ms: int | None = known.get("start_ms")
        self.checked_until_ms: int = known.get("checked_until_ms", 0)
        """Every candle that opened before this was stored, requested or known as a gap at the last check."""
        self._filled_from: dict[str, int] = known.get("filled_from", {})
        self._extended: dict[str, int] = _read(self._by_backfill)

    def begin(self, start_ms: int) -> None:
        """Start the ledger here on the store's first run; later calls have no effect."""
        if self._start_ms is None:
            self._start_ms = start_ms // CANDLE_MS * CANDLE_MS
            self._save()

    def start_ms(self, pair: str, listed_ms: int) -> int:
        """Return the open time of the first candle the store must hold for a pair that was listed at ``listed_ms``."""
        start_ms = self._configured_start_ms if self._configured_start_ms is not None else self._start_ms
        assert start_ms is not None, "begin must be called first"
        return max(min(start_ms, self._extended.get(pair, start_ms)), listed_ms) // CANDLE_MS * CANDLE_MS

    def meets(self, pair: str, end_ms: int) -> bool:
        """Whether history up to ``end_ms`` joins the covered range without a hole; True before the first run."""
        start_ms = self._configured_start_ms if self._configured_start_ms is not None else self._start_ms
        return start_ms is None or end_ms >= min(start_ms, self._extended.get(pair, start_ms))

    def extend(self, pair: str, start_ms: int) -> None:
        """Cover a pair from ``start_ms`` on; `backfill` calls this once the store has all that the exchange has there.

        Missing candles from there on are filled (and exchange holes recorded) at the running collector's next pass;
        later ones are gaps. So a range that does not reach the covered one costs requests for everything in between.
        """
        self._extended = _read(self._by_backfill)
        if start_ms < self._extended.get(pair, start_ms + 1):
            self._extended[pair] = start_ms
            write_json_durably(self._by_backfill, self._extended)

    def refresh(self) -> None:
        """Read what a backfill has extended meanwhile."""
        self._extended = _read(self._by_backfill)

    def is_fill(self, pair: str, open_ms: int) -> bool:
        """Whether a missing candle has never been filled yet: then it is not a gap."""
        return open_ms < self._filled_from.get(pair, open_ms + 1)

    def checked(self, until_ms: int, filled: Mapping[str, int]) -> None:
        """Record a pass up to ``until_ms``; ``filled`` are the pairs it completed, and from where on."""
        self.checked_until_ms = max(self.checked_until_ms, until_ms)
        for pair, from_ms in filled.items():
            self._filled_from[pair] = min(from_ms, self._filled_from.get(pair, from_ms))
        self._save()

    def _save(self) -> None:
        known = {
            "start_ms": self._start_ms,
            "checked_until_ms": self.checked_until_ms,
            "filled_from": self._filled_from,
        }
        write_json_durably(self._own, known)


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    try:
        known: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{path} is damaged: remove it, and the ledger of the store starts again: {error}") from error
    return known
