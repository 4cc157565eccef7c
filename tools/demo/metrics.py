"""Parses the collector's /metrics independently of its code, and checks the two laws. Pure."""

import re
from collections import defaultdict
from dataclasses import dataclass

_SAMPLE = re.compile(r"^(marketdata_\w+|process_\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

POINTS_CAME = ("produced_total", "recovered_from_spool_total")
POINTS_ARE = ("acknowledged_total", "rejected_total", "dropped_total", "in_queue", "in_batch", "in_spool")


@dataclass(frozen=True)
class Metrics:
    """One scrape: (name, labels) of each sample to its value."""

    samples: dict[tuple[str, frozenset[tuple[str, str]]], float]

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of all samples with that name and these labels; 0 if there are none."""
        wanted = frozenset(labels.items())
        return sum(value for (found, has), value in self.samples.items() if found == name and wanted <= has)

    def values_of(self, name: str, label: str) -> set[str]:
        """Return all values of a label in samples with that name."""
        return {
            value for (found, has), _ in self.samples.items() if found == name for key, value in has if key == label
        }


def parse(text: str) -> Metrics:
    """Parse our own samples and those of the process; others are skipped."""
    samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = defaultdict(float)
    for name, labels, value in _SAMPLE.findall(text):
        samples[name, frozenset(_LABEL.findall(labels))] += float(value)
    return Metrics(dict(samples))


def broken_laws(metrics: Metrics) -> list[str]:
    """Return every channel and store whose frames or points are not accounted for; empty if both laws hold.

    Frames: received = invalid + filtered + used. Points: produced + recovered from the spool = acknowledged + rejected
    + dropped + in queue + in batch + in spool.
    """
    broken = []
    channels = metrics.values_of("marketdata_frames_received_total", "channel")
    stores = metrics.values_of("marketdata_points_produced_total", "store")
    if not channels or not stores:
        return ["/metrics has no frames or no points to account for"]
    for channel in sorted(channels):
        received = metrics.total("marketdata_frames_received_total", channel=channel)
        went = sum(
            metrics.total(f"marketdata_frames_{way}_total", channel=channel) for way in ("invalid", "filtered", "used")
        )
        if received != went:
            broken.append(f"frames of {channel}: {received:.0f} received, {went:.0f} accounted for")
    for store in sorted(stores):
        came = sum(metrics.total(f"marketdata_points_{way}", store=store) for way in POINTS_CAME)
        are = sum(metrics.total(f"marketdata_points_{place}", store=store) for place in POINTS_ARE)
        if came != are:
            broken.append(f"points of store {store}: {came:.0f} came, {are:.0f} accounted for")
    return broken
