"""Backups on disk: `<folder>/<UTC time>/` with one tar per shard and manifest.json, which is written last."""

import hashlib
import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .census import Census
from .errors import BackupError

MANIFEST = "manifest.json"
PARTIAL = ".partial"
NAME = "%Y%m%dT%H%M%SZ"
TSM_MAGIC = b"\x16\xd1\x16\xd1"


@dataclass(frozen=True)
class Manifest:
    """made: start time; cutoff: the time up to which the census counts; buckets: as a restore needs them.

    files: name -> [bytes, SHA-256]; census: the server's content, for days that did not change during the backup.
    """

    made: str
    cutoff: str
    server: str
    buckets: list[dict[str, Any]]
    files: dict[str, list[Any]]
    census: Census

    @property
    def cutoff_time(self) -> datetime:
        return datetime.fromisoformat(self.cutoff)

    def size_bytes(self, bucket: dict[str, Any]) -> int:
        return sum(self.files[shard_file(shard)][0] for shard in shards_of(bucket))


def shards_of(bucket: dict[str, Any]) -> list[int]:
    """Return the ids of a bucket's shards from the server's description of the bucket."""
    policies = bucket["retentionPolicies"]
    return [shard["id"] for policy in policies for group in policy["shardGroups"] for shard in group["shards"]]


def shard_file(shard: int) -> str:
    return f"shard-{shard}.tar"


def complete(folder: Path) -> list[Path]:
    """Return the finished backups, oldest first."""
    return sorted(path.parent for path in folder.glob(f"*/{MANIFEST}") if path.parent.suffix != PARTIAL)


def begin(folder: Path, now: datetime) -> Path:
    """Create the folder for a new backup and remove unfinished ones."""
    for left in folder.glob(f"*{PARTIAL}"):
        shutil.rmtree(left)
    path = folder / f"{now.strftime(NAME)}{PARTIAL}"
    path.mkdir(mode=0o700)
    return path


def finish(partial: Path, manifest: Manifest) -> Path:
    """Write the manifest and rename the backup to its final name."""
    with (partial / MANIFEST).open("x", encoding="utf-8") as file:
        json.dump(asdict(manifest), file, indent=1)
    os.sync()
    done = partial.with_suffix("")
    partial.rename(done)
    return done


def read(backup: Path) -> Manifest:
    """Read the manifest. Raises BackupError if the backup is not complete."""
    try:
        return Manifest(**json.loads((backup / MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise BackupError(f"{backup}: not a usable backup: {error}") from error


def digest(file: Path) -> list[Any]:
    """[bytes, SHA-256]"""
    with file.open("rb") as source:
        return [file.stat().st_size, hashlib.file_digest(source, "sha256").hexdigest()]


def faults(backup: Path, manifest: Manifest) -> Iterator[str]:
    """Yield a line for each file that is missing, differs from what was written, or is not an InfluxDB data file."""
    for bucket in manifest.buckets:
        for name in map(shard_file, shards_of(bucket)):
            try:
                if name not in manifest.files or digest(backup / name) != manifest.files[name]:
                    yield f"{backup / name}: not the file that was backed up"
                elif not _has_points(backup / name):
                    yield f"{backup / name}: does not contain an InfluxDB data file"
            except (OSError, tarfile.TarError) as error:
                yield f"{backup / name}: {error}"


def share(backup: Path, earlier: Path | None) -> None:
    """Replace files that are identical in the earlier backup by hard links."""
    known = read(earlier).files if earlier else {}
    for file in backup.glob("*.tar"):
        if earlier and known.get(file.name) == digest(file) and (earlier / file.name).exists():
            file.unlink()
            file.hardlink_to(earlier / file.name)


def prune(folder: Path, keep: int) -> list[Path]:
    """Remove all but the newest `keep` backups and return the removed ones."""
    old = complete(folder)[:-keep]
    for backup in old:
        shutil.rmtree(backup)
    return old


def timestamp(backup: Path) -> datetime:
    return datetime.strptime(backup.name, NAME).replace(tzinfo=UTC)


def _has_points(file: Path) -> bool:
    with tarfile.open(file) as archive:
        for member in archive:
            if member.name.endswith(".tsm"):
                data = archive.extractfile(member)
                if data is None or data.read(4) != TSM_MAGIC:
                    return False
    return True
