"""What no store will ever accept, kept for the operator: <spool>/rejected/<store>/<bucket>/. Blocking calls.

Bad lines are plain line protocol under comment lines that give the store's reason, so `cat` shows them and, once they
are corrected, `curl --data-binary @FILE` sends them. Damaged spool files are moved here unchanged. Rows of the exchange
that cannot be candles are JSON under a comment with the reason: <spool>/rejected/exchange/<interval>/.
"""

import json
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path

from service.durable_files import fsync_folder, write_durably

OF_EXCHANGE = "exchange"


class Rejected:
    """A bounded folder: beyond `max_files` or `max_bytes`, the files kept longest are removed. Thread-safe."""

    def __init__(self, root: Path, *, max_bytes: int = 64 * 1024 * 1024, max_files: int = 1_000) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._trimming = threading.Lock()

    def keep_lines(self, store: str, bucket: str, sequence: int, refused: Sequence[tuple[str, str]]) -> Path:
        """Write the refused lines, each with the store's reason. The name is the same if the file is sent again."""
        path = self._folder(store, bucket) / f"{sequence:016d}-{len(refused)}.lp"
        text: list[str] = []
        reason_above = None
        for line, reason in refused:
            if reason != reason_above:
                text.append("# " + " ".join(reason.split()))
                reason_above = reason
            text.append(line)
        write_durably(path, ("\n".join(text) + "\n").encode())
        self._trim()
        return path

    def keep_file(self, store: str, bucket: str, damaged: Path) -> Path:
        """Move a damaged file here; return its new path."""
        path = self._folder(store, bucket) / f"{damaged.name}.damaged"
        damaged.replace(path)
        fsync_folder(path.parent)
        self._trim()
        return path

    def keep_row(self, pair: str, timeframe: str, open_time_ms: int, row: Sequence[object], reason: str) -> Path | None:
        """Write a row of the exchange with the reason; return None if this very row is already kept."""
        text = json.dumps(list(row), ensure_ascii=False)
        name = f"{pair.replace('/', '-').replace(':', '-')}-{open_time_ms}-{zlib.crc32(text.encode()):08x}.json"
        path = self._folder(OF_EXCHANGE, timeframe) / name
        if path.exists():
            return None
        write_durably(path, f"# {' '.join(reason.split())}\n{text}\n".encode())
        self._trim()
        return path

    def _folder(self, store: str, bucket: str) -> Path:
        folder = self._root / store / bucket
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _trim(self) -> None:
        with self._trimming:
            self._trim_alone()

    def _trim_alone(self) -> None:
        kept = [(path.stat(), path) for path in self._root.rglob("*") if path.is_file()]
        kept.sort(
            key=lambda entry: (entry[0].st_ctime_ns, entry[1].name)
        )  # ctime: what counts is when a file was moved here, not how old a damaged file is
        size_bytes = sum(status.st_size for status, _ in kept)
        while len(kept) > 1 and (len(kept) > self._max_files or size_bytes > self._max_bytes):
            status, path = kept.pop(0)
            size_bytes -= status.st_size
            path.unlink()
