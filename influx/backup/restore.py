"""Restores a backup to an empty server that is set up, and compares the result."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from . import census, folder
from .errors import BackupError
from .server import Server


def restore(server: Server, backup: Path, manifest: folder.Manifest) -> None:
    """Restore every bucket. Buckets get new ids, so existing tokens no longer apply to them.

    Empty buckets with the same names are replaced. Raises BackupError, before anything is changed, if a bucket contains
    data or a file of the backup is damaged.
    """
    if faults := list(folder.faults(backup, manifest)):
        raise BackupError("; ".join(faults))
    org = server.json("GET", "/api/v2/orgs")["orgs"][0]
    present = {entry["name"]: entry["id"] for entry in server.json("GET", "/api/v2/buckets", limit="100")["buckets"]}
    replaced = [bucket["bucketName"] for bucket in manifest.buckets if bucket["bucketName"] in present]
    for name in replaced:
        if census.measurements(server, name):
            raise BackupError(f"{server.url}: bucket {name} holds data: a backup can only be restored to empty buckets")
    for name in replaced:
        server.json("DELETE", f"/api/v2/buckets/{present[name]}")
    for bucket in manifest.buckets:
        described = {**bucket, "organizationID": org["id"], "organizationName": org["name"]}
        mappings = server.json("POST", "/api/v2/restore/bucketMetadata", described)["shardMappings"]
        for mapping in mappings or []:
            server.upload(f"/api/v2/restore/shards/{mapping['newId']}", backup / folder.shard_file(mapping["oldId"]))


def differences(server: Server, manifest: folder.Manifest, now: datetime) -> list[str]:
    """Return a line for each day on which the server's content differs from the backed-up server's."""
    kept_from = {bucket["bucketName"]: kept for bucket in manifest.buckets if (kept := _kept_from(bucket, now))}
    return list(census.differences(manifest.census, server, manifest.cutoff_time, kept_from))


def report(manifest: folder.Manifest, found: list[str]) -> dict[str, Any]:
    """Return a summary for a person or a play: the backup's age, its content and the differences."""
    buckets = {
        bucket["bucketName"]: {
            "shards": len(folder.shards_of(bucket)),
            "bytes": manifest.size_bytes(bucket),
            "values": census.total(manifest.census, bucket["bucketName"]),
        }
        for bucket in manifest.buckets
    }
    checksums = sum(
        checksum is not None
        for measured in manifest.census.values()
        for days in measured.values()
        for _, checksum in days.values()
    )
    return {"made": manifest.made, "buckets": buckets, "checksums": checksums, "differences": found}


def _kept_from(bucket: dict[str, Any], now: datetime) -> datetime | None:
    """Return the first day that retention has not touched; None if everything is kept."""
    nanoseconds = bucket["retentionPolicies"][0]["duration"]
    if not nanoseconds:
        return None
    oldest = now - timedelta(microseconds=nanoseconds // 1000)
    return datetime(oldest.year, oldest.month, oldest.day, tzinfo=UTC) + timedelta(days=1)
