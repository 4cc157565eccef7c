"""The spool: every point waits here, in a file, until its store has it. Blocking calls: use asyncio.to_thread.

    <root>/<store>/<bucket>/<sequence>-<points>.lp.gz    one file, one request body, ready to send
    <root>/incoming/*.tmp                                being written; not a file of the spool yet
    <root>/rejected/<store>/<bucket>/                    what a store refused permanently, see rejected.py
    <root>/lock                                          held by the process that owns the spool

A batch is written and synced once, then linked into the folder of every store, so a second store costs a link, not a
copy. If a crash interrupts the linking, `recover` completes it: either all stores get a batch or none does.
"""

import fcntl
import gzip
import logging
import os
import re
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from collector.delivery.batch import Batch
from collector.delivery.points import PointCounters
from collector.delivery.rejected import Rejected
from collector.delivery.spool_index import SpoolFile, StoreIndex, file_name
from service.durable_files import fsync_folder, write_synced

logger = logging.getLogger(__name__)

GZIP_LEVEL = 1
"""Takes 1.5 us a point; level 6 takes 4 us and saves little on line protocol."""

_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_RESERVED = ("incoming", "rejected", "lock")


class SpoolInUse(OSError):
    """Another process owns this spool; two would send and remove each other's files."""


class Damaged(Exception):
    """A spool file that must not be sent; the message explains what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Body:
    """A checked file: the request body as stored, and its lines."""

    compressed: bytes
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recovered:
    """What `recover` found for one store; `strays` are files with foreign names, moved to rejected/."""

    files: int
    points: int
    strays: int


@dataclass(frozen=True, slots=True)
class SpoolLevel:
    """How full the spool of one store is, and when its oldest file was written (None if it is empty)."""

    files: int
    points: int
    size_bytes: int
    max_files: int
    max_bytes: int
    oldest_written_seconds: float | None

    @property
    def fraction(self) -> float:
        """How close the spool is to the nearer of its two limits, from 0 to 1."""
        return max(self.files / self.max_files, self.size_bytes / self.max_bytes)


def _wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class Spool:
    """The files of every store under one root; one writer, and one reader per store and bucket.

    `counters` names the stores. At either limit, a store's oldest file is dropped and counted as dropped{spool_full},
    but never a file being sent. Call `recover` first. Raises OSError if the disk fails; then nothing has changed.
    """

    def __init__(
        self,
        root: Path,
        counters: Mapping[str, PointCounters],
        *,
        max_bytes: int,
        max_files: int,
        rejected: Rejected | None = None,
        now_ms: Callable[[], int] = _wall_clock_ms,
    ) -> None:
        for store in counters:
            if not _FOLDER.fullmatch(store) or store in _RESERVED:
                raise ValueError(f"store name {store!r}: letters, digits, '_', '.', '-'; not {', '.join(_RESERVED)}")
        self.rejected = Rejected(root / "rejected") if rejected is None else rejected
        self._root = root
        self._incoming = root / "incoming"
        self._counters = counters
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._now_ms = now_ms
        self._guard = threading.RLock()  # of everything below; never held while a disk syncs
        self._stores = {store: StoreIndex() for store in counters}
        self._next_sequence = 1
        self._overflowing: set[str] = set()
        self._lock_descriptor: int | None = None

    def recover(self) -> dict[str, Recovered]:
        """Take over the spool: complete or remove what a crash left half done, and count what is waiting, by store.

        Raises SpoolInUse if another process owns it.
        """
        self._incoming.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        for half_written in sorted(self._incoming.glob("*/*.tmp")):
            self._finish_or_remove(half_written)
        found = {store: self._recover_store(store) for store in self._counters}
        # From the clock, so that sequences keep growing after the spool was empty; past the highest if it is behind.
        newest = [file.sequence for index in self._stores.values() if (file := index.newest())]
        self._next_sequence = max(self._now_ms(), *(sequence + 1 for sequence in newest), 1)
        for folder in sorted(self._root.iterdir()):
            if folder.is_dir() and folder.name not in _RESERVED and folder.name not in self._counters:
                logger.warning("spool folder unknown folder=%s", folder)
        return found

    def put(self, batch: Batch) -> None:
        """Make a batch durable for every store: once this returns, it survives a crash and a power cut."""
        text = "\n".join(batch.lines) + "\n"
        if text.count("\n") != len(batch.lines):
            raise ValueError(f"a line for bucket {batch.bucket} contains a newline; one line is one point")
        body = gzip.compress(text.encode(), compresslevel=GZIP_LEVEL, mtime=0)
        with self._guard:
            sequence = self._next_sequence
            self._next_sequence += 1
        name = file_name(sequence, len(batch.lines))
        half_written = self._folder(self._incoming, batch.bucket) / f"{name}.tmp"
        links = [self._folder(self._root / store, batch.bucket) / name for store in self._counters]
        try:
            write_synced(half_written, body)
            written_seconds = half_written.stat().st_mtime
            for link in links:
                os.link(half_written, link)
                fsync_folder(link.parent)
            half_written.unlink()
        except OSError:
            for path in (*links, half_written):
                path.unlink(missing_ok=True)
            raise
        for store, counters in self._counters.items():
            file = SpoolFile(store, batch.bucket, sequence, len(batch.lines), len(body), written_seconds)
            with self._guard:
                self._stores[store].add(file)
                counters.spooled(file.points)
                self._evict(store, spare=file)

    def waiting_for_all(self, bucket: str) -> list[SpoolFile]:
        """Return the files of a bucket that still wait for every store, oldest first: no store has their points."""
        with self._guard:
            waiting = [index.waiting(bucket) for index in self._stores.values()]
        everywhere = set.intersection(*({file.sequence for file in files} for files in waiting))
        return [file for file in waiting[0] if file.sequence in everywhere]

    def claim(self, store: str, bucket: str) -> SpoolFile | None:
        """Return the oldest file of a bucket for sending; it is not evicted until it is released or removed."""
        with self._guard:
            return self._stores[store].claim(bucket)

    def release(self, file: SpoolFile) -> None:
        """Release a claim; no-op if the file has left the spool."""
        with self._guard:
            self._stores[file.store].release(file)

    def read(self, file: SpoolFile) -> Body:
        """Read and check a file, since InfluxDB answers damaged gzip with 500, which means "try again", forever.

        Raises Damaged if it differs from what was written.
        """
        try:
            compressed = self._path(file).read_bytes()
        except FileNotFoundError:
            raise Damaged("the file does not exist") from None
        try:
            text = gzip.decompress(compressed).decode()
        except (gzip.BadGzipFile, EOFError, zlib.error, UnicodeDecodeError) as error:
            raise Damaged(f"not readable: {error}") from error
        lines = tuple(text.split("\n"))
        if lines[-1] or len(lines) - 1 != file.points:
            raise Damaged(f"{len(lines) - 1} complete lines, but {file.points} in its name")
        return Body(compressed, lines[:-1])

    def acknowledge(self, file: SpoolFile, *, rejected_points: int = 0) -> None:
        """Remove a file whose points the store has, except for those it refused permanently."""
        with self._guard:
            self._path(file).unlink(missing_ok=True)
            self._stores[file.store].remove(file)
            self._counters[file.store].settled(acknowledged=file.points - rejected_points, rejected=rejected_points)

    def set_aside(self, file: SpoolFile) -> None:
        """Move a damaged file to rejected/ and count its points as dropped{damaged}."""
        path = self._path(file)
        if path.exists():
            self.rejected.keep_file(file.store, file.bucket, path)
        with self._guard:
            self._stores[file.store].remove(file)
            self._counters[file.store].dropped_from_spool("damaged", file.points)

    def buckets(self, store: str) -> list[str]:
        """Return the buckets that have files waiting."""
        with self._guard:
            return self._stores[store].buckets()

    def level(self, store: str) -> SpoolLevel:
        """Return how much is waiting for a store."""
        with self._guard:
            index = self._stores[store]
            oldest = index.oldest()
            return SpoolLevel(
                files=index.files,
                points=index.points,
                size_bytes=index.size_bytes,
                max_files=self._max_files,
                max_bytes=self._max_bytes,
                oldest_written_seconds=None if oldest is None else oldest.written_seconds,
            )

    def sequences(self, store: str) -> tuple[int, int] | None:
        """Return the lowest and the highest sequence waiting for a store; None if there is none."""
        with self._guard:
            oldest, newest = self._stores[store].oldest(), self._stores[store].newest()
        return None if oldest is None or newest is None else (oldest.sequence, newest.sequence)

    def close(self) -> None:
        """Release the spool to other processes."""
        if self._lock_descriptor is not None:
            os.close(self._lock_descriptor)
            self._lock_descriptor = None

    def _take_lock(self) -> None:
        descriptor = os.open(self._root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise SpoolInUse(f"spool {self._root} is in use by another process: stop it first") from None
        self._lock_descriptor = descriptor

    def _finish_or_remove(self, half_written: Path) -> None:
        """Complete a file with a second link, which was whole when a crash interrupted the linking; remove others."""
        if half_written.stat().st_nlink > 1:
            for store in self._counters:
                link = self._folder(self._root / store, half_written.parent.name) / half_written.stem
                if not link.exists():
                    os.link(half_written, link)
                    fsync_folder(link.parent)
        half_written.unlink()

    def _recover_store(self, store: str) -> Recovered:
        index, strays = self._stores[store], 0
        for folder in sorted(path for path in (self._root / store).glob("*") if path.is_dir()):
            with os.scandir(folder) as entries:  # 86,400 files (a day at one per second): 1.4 s; 4.3 s with pathlib
                found = sorted((entry.name, entry.stat()) for entry in entries)
            for name, status in found:
                file = SpoolFile.from_name(store, folder.name, name, status.st_size, status.st_mtime)
                if file is None:
                    kept = self.rejected.keep_file(store, folder.name, folder / name)
                    logger.error("spool file unknown file=%s moved_to=%s", folder / name, kept)
                    strays += 1
                else:
                    index.add(file)
        self._counters[store].recovered(index.points)
        return Recovered(files=index.files, points=index.points, strays=strays)

    def _evict(self, store: str, *, spare: SpoolFile) -> None:
        index = self._stores[store]
        if index.files <= self._max_files and index.size_bytes <= self._max_bytes:
            self._overflowing.discard(store)
            return
        if store not in self._overflowing:
            self._overflowing.add(store)
            logger.error("points dropped store=%s reason=spool_full", store)
        while index.files > self._max_files or index.size_bytes > self._max_bytes:
            oldest = index.oldest_unclaimed()
            if oldest is None or oldest == spare:
                return
            self._path(oldest).unlink(missing_ok=True)
            index.remove(oldest)
            self._counters[store].dropped_from_spool("spool_full", oldest.points)

    def _folder(self, parent: Path, bucket: str) -> Path:
        if not _FOLDER.fullmatch(bucket):
            raise ValueError(f"bucket name {bucket!r} is not a valid folder name")
        folder = parent / bucket
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            fsync_folder(parent)
        return folder

    def _path(self, file: SpoolFile) -> Path:
        return self._root / file.store / file.bucket / file.name
