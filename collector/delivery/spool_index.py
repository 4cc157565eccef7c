"""Index of the spool in memory, so that no one lists a folder of 100,000 files. Pure; not thread-safe."""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

_NAME = re.compile(r"(?P<sequence>\d{16})-(?P<points>\d+)\.lp\.gz")


@dataclass(frozen=True, slots=True)
class SpoolFile:
    """One file of one store. `written_seconds` is the wall clock when it was written (Unix time)."""

    store: str
    bucket: str
    sequence: int
    points: int
    size_bytes: int
    written_seconds: float

    @property
    def name(self) -> str:
        """`<sequence>-<points>.lp.gz`: the number of points of a lost file is known without opening it."""
        return file_name(self.sequence, self.points)

    @classmethod
    def from_name(cls, store: str, bucket: str, name: str, size_bytes: int, written_seconds: float) -> Self | None:
        """Return the file with this name; None if the name is not a spool file's."""
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        return cls(store, bucket, int(match["sequence"]), int(match["points"]), size_bytes, written_seconds)


def file_name(sequence: int, points: int) -> str:
    """Return the name of a spool file; names sort like their sequences."""
    return f"{sequence:016d}-{points}.lp.gz"


class StoreIndex:
    """The files waiting for one store, oldest first in each bucket, and their totals."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[SpoolFile]] = {}
        self._claimed: set[SpoolFile] = set()
        self.files = 0
        self.points = 0
        self.size_bytes = 0

    def add(self, file: SpoolFile) -> None:
        """Append the newest file of its bucket."""
        self._queues.setdefault(file.bucket, deque()).append(file)
        self.files += 1
        self.points += file.points
        self.size_bytes += file.size_bytes

    def remove(self, file: SpoolFile) -> None:
        """Remove a file and its claim. Raises ValueError if it is not here."""
        self._queues[file.bucket].remove(file)
        self._claimed.discard(file)
        self.files -= 1
        self.points -= file.points
        self.size_bytes -= file.size_bytes

    def waiting(self, bucket: str) -> list[SpoolFile]:
        """Return the files of a bucket, oldest first."""
        return list(self._queues.get(bucket, ()))

    def claim(self, bucket: str) -> SpoolFile | None:
        """Return the oldest file of a bucket, claimed so that `oldest_unclaimed` spares it."""
        queue = self._queues.get(bucket)
        if not queue:
            return None
        self._claimed.add(queue[0])
        return queue[0]

    def release(self, file: SpoolFile) -> None:
        """Release the claim; no-op if the file is gone."""
        self._claimed.discard(file)

    def oldest(self) -> SpoolFile | None:
        """Return the file with the lowest sequence."""
        return min((queue[0] for queue in self._waiting()), key=lambda file: file.sequence, default=None)

    def newest(self) -> SpoolFile | None:
        """Return the file with the highest sequence."""
        return max((queue[-1] for queue in self._waiting()), key=lambda file: file.sequence, default=None)

    def oldest_unclaimed(self) -> SpoolFile | None:
        """Return the file with the lowest sequence that is not being sent."""
        heads = (next((file for file in queue if file not in self._claimed), None) for queue in self._waiting())
        return min((head for head in heads if head is not None), key=lambda file: file.sequence, default=None)

    def buckets(self) -> list[str]:
        """Return the buckets that have files waiting."""
        return [bucket for bucket, queue in self._queues.items() if queue]

    def _waiting(self) -> Iterator[deque[SpoolFile]]:
        return (queue for queue in self._queues.values() if queue)
