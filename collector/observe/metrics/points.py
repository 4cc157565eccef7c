"""Metrics of points on their way to the stores: the points law and the spool."""

from collector.observe.metrics.families import Families, counter, gauge
from collector.observe.metrics.parts import Parts


def points(parts: Parts) -> Families:
    """Points by store; they obey the points law."""
    counters = {
        name: counter(f"points_{name}", help_text, ("store",))
        for name, help_text in (
            ("produced", "Points handed to the writer"),
            ("recovered_from_spool", "Points found in the spool at startup"),
            ("acknowledged", "Points that the store has"),
            ("rejected", "Points that the store refused as bad data"),
        )
    }
    gauges = {
        name: gauge(f"points_{name}", help_text, ("store",))
        for name, help_text in (
            ("in_queue", "Points waiting to be batched"),
            ("in_batch", "Points in open batches"),
            ("in_spool", "Points on disk, not yet in the store"),
        )
    }
    dropped = counter("points_dropped", "Points dropped, by reason", ("store", "reason"))
    for store, points in parts.pipeline.points.items():
        snapshot = points.snapshot()
        for name, family in (counters | gauges).items():
            family.add_metric([store], getattr(snapshot, name))
        for reason, count in snapshot.dropped.items():
            dropped.add_metric([store, reason], count)
    yield from (*counters.values(), *gauges.values(), dropped)


def spool(parts: Parts) -> Families:
    """What is waiting on disk for each store."""
    files = gauge("spool_files", "Files waiting for the store", ("store",))
    size = gauge("spool_bytes", "Bytes waiting for the store", ("store",))
    fraction = gauge("spool_fullness_ratio", "How close the spool is to the nearer of its limits, 0 to 1", ("store",))
    oldest = gauge("spool_oldest_timestamp_seconds", "When the oldest waiting file was written; 0 if none", ("store",))
    for store in parts.pipeline.stores:
        level = parts.pipeline.spool.level(store)
        files.add_metric([store], level.files)
        size.add_metric([store], level.size_bytes)
        fraction.add_metric([store], level.fraction)
        oldest.add_metric([store], level.oldest_written_seconds or 0.0)
    yield from (files, size, fraction, oldest)
