"""Backs up all shards of all buckets of a running server; a backup is verified before it counts."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from . import census, folder
from .errors import BackupError
from .server import Server

SETTLED = timedelta(minutes=15)
"""Younger points are backed up but not counted in the census: they may still have been written."""


def create(
    server: Server, into: Path, *, keep: int, checksum_days: int, now: datetime, say: Callable[[str], None]
) -> tuple[Path, folder.Manifest]:
    """Make a backup, verify it, and remove all but the newest `keep`.

    Raises BackupError; earlier backups are then untouched and there is no new one.
    """
    into.mkdir(mode=0o700, parents=True, exist_ok=True)
    cutoff = (now - SETTLED).replace(microsecond=0)
    buckets = server.buckets()
    names = [bucket["bucketName"] for bucket in buckets]
    before = census.take(server, names, cutoff, checksum_days)
    partial = folder.begin(into, now)
    for bucket in buckets:
        for shard in folder.shards_of(bucket):
            _download(server, shard, partial / folder.shard_file(shard))
    agreed = census.agreed(before, census.take(server, names, cutoff, checksum_days))
    earlier = folder.complete(into)[-1:]
    folder.share(partial, earlier[0] if earlier else None)
    files = {file.name: folder.digest(file) for file in sorted(partial.glob("*.tar"))}
    manifest = folder.Manifest(
        made=now.isoformat(timespec="seconds"),
        cutoff=cutoff.isoformat(),
        server=server.url,
        buckets=[_with_files(bucket, files) for bucket in buckets],
        files=files,
        census=agreed,
    )
    if faults := list(folder.faults(partial, manifest)):
        raise BackupError("; ".join(faults))
    made = folder.finish(partial, manifest)
    for old in folder.prune(into, keep):
        say(f"removed {old.name}")
    return made, manifest


def _download(server: Server, shard: int, file: Path) -> None:
    try:
        server.download(f"/api/v2/backup/shards/{shard}", file)
    except BackupError:
        # A shard may have expired by retention since the buckets were listed; that is no loss.
        if shard in {left for bucket in server.buckets() for left in folder.shards_of(bucket)}:
            raise


def _with_files(bucket: dict[str, Any], files: dict[str, list[Any]]) -> dict[str, Any]:
    """Return the bucket's description without the shards that were not backed up."""
    policies = [
        {
            **policy,
            "shardGroups": [
                group
                for group in policy["shardGroups"]
                if all(folder.shard_file(shard["id"]) in files for shard in group["shards"])
            ],
        }
        for policy in bucket["retentionPolicies"]
    ]
    return {**bucket, "retentionPolicies": policies}
