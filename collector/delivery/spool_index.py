"""What waits in the spool, held in memory so that nobody lists a folder of 100,000 files. Pure; not thread-safe."""

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
        """`<sequence>-<points>.lp.gz`: a lost file's points are known without opening it."""
        return file_name(self.sequence, self.points)

    @classmethod
    def from_name(cls, store: str, bucket: str, name: str, size_bytes: int, written_seconds: float) -> Self | None:
        """The file that has this name; None if it is no name of ours."""
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        return cls(store, bucket, int(match["sequence"]), int(match["points"]), size_bytes, written_seconds)


def file_name(sequence: int, points: int) -> str:
    """The name of a spool file; names sort as their sequences do."""
    return f"{sequence:016d}-{points}.lp.gz"


class StoreIndex:
    """The files that wait for one store, oldest first in each bucket, with their totals kept."""

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
        """Take a file out, and its claim with it. Raises ValueError if it is not here."""
        self._queues[file.bucket].remove(file)
        self._claimed.discard(file)
        self.files -= 1
        self.points -= file.points
        self.size_bytes -= file.size_bytes

    def waiting(self, bucket: str) -> list[SpoolFile]:
        """The files of a bucket, oldest first."""
        return list(self._queues.get(bucket, ()))

    def claim(self, bucket: str) -> SpoolFile | None:
        """The oldest file of a bucket, marked so that `oldest_unclaimed` spares it."""
        queue = self._queues.get(bucket)
        if not queue:
            return None
        self._claimed.add(queue[0])
        return queue[0]

    def release(self, file: SpoolFile) -> None:
        """Take the mark off; nothing happens if the file has gone."""
        self._claimed.discard(file)

    def oldest(self) -> SpoolFile | None:
        """The file with the lowest sequence."""
        return min((queue[0] for queue in self._waiting()), key=lambda file: file.sequence, default=None)

    def newest(self) -> SpoolFile | None:
        """The file with the highest sequence."""
        return max((queue[-1] for queue in self._waiting()), key=lambda file: file.sequence, default=None)

    def oldest_unclaimed(self) -> SpoolFile | None:
        """The file with the lowest sequence that nobody is sending."""
        heads = (next((file for file in queue if file not in self._claimed), None) for queue in self._waiting())
        return min((head for head in heads if head is not None), key=lambda file: file.sequence, default=None)

    def buckets(self) -> list[str]:
        """The buckets for which something waits."""
        return [bucket for bucket, queue in self._queues.items() if queue]

    def _waiting(self) -> Iterator[deque[SpoolFile]]:
        return (queue for queue in self._queues.values() if queue)
