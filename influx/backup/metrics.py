"""Metrics for node_exporter's textfile folder, written only after a backup has succeeded."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from .folder import Manifest

METRICS = {
    "marketdata_backup_last_success_timestamp_seconds": "Start time of the newest verified backup",
    "marketdata_backup_size_bytes": "Size of the bucket in the newest backup, for diagnostics",
}
"""name -> meaning; gauges, one per bucket"""


def text(manifest: Manifest) -> str:
    """Return both metrics for every bucket, in Prometheus' text format."""
    made = datetime.fromisoformat(manifest.made).timestamp()
    values: tuple[Callable[[dict[str, Any]], float], ...] = (lambda _bucket: made, manifest.size_bytes)
    lines = []
    for (name, meaning), value in zip(METRICS.items(), values, strict=True):
        lines += [f"# HELP {name} {meaning}", f"# TYPE {name} gauge"]
        lines += [f'{name}{{bucket="{bucket["bucketName"]}"}} {value(bucket):.0f}' for bucket in manifest.buckets]
    return "".join(f"{line}\n" for line in lines)
