"""Backups on disk: `<folder>/<UTC time>/` with one tar a shard and manifest.json, which is written last."""

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
    """made, cutoff: when it was begun, and the time before which the census counts; buckets: as a restore wants them.

    files: name -> [bytes, SHA-256]; census: what the server held, where it did not change while the backup was made.
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
    """The ids of a bucket's shards in the server's own description of it."""
    policies = bucket["retentionPolicies"]
    return [shard["id"] for policy in policies for group in policy["shardGroups"] for shard in group["shards"]]


def shard_file(shard: int) -> str:
    return f"shard-{shard}.tar"


def complete(folder: Path) -> list[Path]:
    """The backups that were finished, the oldest first."""
    return sorted(path.parent for path in folder.glob(f"*/{MANIFEST}") if path.parent.suffix != PARTIAL)


def begin(folder: Path, now: datetime) -> Path:
    """A place for a new backup; what earlier ones left unfinished is removed."""
    for left in folder.glob(f"*{PARTIAL}"):
        shutil.rmtree(left)
    path = folder / f"{now.strftime(NAME)}{PARTIAL}"
    path.mkdir(mode=0o700)
    return path


def finish(partial: Path, manifest: Manifest) -> Path:
    """Write the manifest and give the backup its name."""
    with (partial / MANIFEST).open("x", encoding="utf-8") as file:
        json.dump(asdict(manifest), file, indent=1)
    os.sync()
    done = partial.with_suffix("")
    partial.rename(done)
    return done


def read(backup: Path) -> Manifest:
    """Raises BackupError where there is no complete backup."""
    try:
        return Manifest(**json.loads((backup / MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise BackupError(f"{backup}: no backup that can be used: {error}") from error


def digest(file: Path) -> list[Any]:
    """[bytes, SHA-256]"""
    with file.open("rb") as source:
        return [file.stat().st_size, hashlib.file_digest(source, "sha256").hexdigest()]


def faults(backup: Path, manifest: Manifest) -> Iterator[str]:
    """A line for each file that is missing, is not what was written, or is not what InfluxDB writes."""
    for bucket in manifest.buckets:
        for name in map(shard_file, shards_of(bucket)):
            try:
                if name not in manifest.files or digest(backup / name) != manifest.files[name]:
                    yield f"{backup / name}: not the file that was backed up"
                elif not _has_points(backup / name):
                    yield f"{backup / name}: no data file of InfluxDB is in it"
            except (OSError, tarfile.TarError) as error:
                yield f"{backup / name}: {error}"


def share(backup: Path, earlier: Path | None) -> None:
    """Keep files that did not change since the earlier backup once on disk."""
    known = read(earlier).files if earlier else {}
    for file in backup.glob("*.tar"):
        if earlier and known.get(file.name) == digest(file) and (earlier / file.name).exists():
            file.unlink()
            file.hardlink_to(earlier / file.name)


def prune(folder: Path, keep: int) -> list[Path]:
    """Remove all but the newest `keep` backups, and tell which."""
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
