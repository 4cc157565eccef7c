"""What node_exporter reads of its textfile folder: written when a backup has succeeded, and not before."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from .folder import Manifest

METRICS = {
    "marketdata_backup_last_success_timestamp_seconds": "When the newest verified backup was begun",
    "marketdata_backup_size_bytes": "Size of the bucket in the newest backup, for diagnostics",
}
"""name -> meaning; gauges by bucket"""


def text(manifest: Manifest) -> str:
    """Both metrics of every bucket, in Prometheus' text format."""
    made = datetime.fromisoformat(manifest.made).timestamp()
    values: tuple[Callable[[dict[str, Any]], float], ...] = (lambda _bucket: made, manifest.size_bytes)
    lines = []
    for (name, meaning), value in zip(METRICS.items(), values, strict=True):
        lines += [f"# HELP {name} {meaning}", f"# TYPE {name} gauge"]
        lines += [f'{name}{{bucket="{bucket["bucketName"]}"}} {value(bucket):.0f}' for bucket in manifest.buckets]
    return "".join(f"{line}\n" for line in lines)
