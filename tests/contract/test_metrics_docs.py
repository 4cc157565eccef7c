"""docs/metrics.md names every metric the collector exports, with its type and labels, and no other."""

import re
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from collector.batch import Batcher
from collector.clock import ExchangeClock
from collector.dirty import DirtyWindows
from collector.influx import Written
from collector.ingest import Ingest
from collector.metrics import Exposition, Histograms, Parts
from collector.points import PointCounters
from collector.rollups import RollupRepairer
from collector.spool import Spool
from collector.stream import Stream
from collector.writer import Writer
from exchange.budget import Budget
from exchange.client import ExchangeClient

DOCS = Path(__file__).parent.parent.parent / "docs" / "metrics.md"
ROW = re.compile(r"^\| `(marketdata_\w+)` \| (\w+) \| ([^|]*) \| ([^|]+) \|$", re.MULTILINE)


@pytest.fixture
def exposition(tmp_path: Path) -> str:
    registry = CollectorRegistry()
    histograms = Histograms(registry)
    histograms.observe_write("main", Written(), 0.01)
    points = {"main": PointCounters()}
    spool = Spool(tmp_path, points, max_bytes=1_000_000, max_files=100)
    clock = ExchangeClock(time.monotonic_ns)
    writer = Writer(Batcher(), spool, points, wake=lambda _bucket: None)
    ingest = Ingest(clock, writer, wall_seconds=time.time, observe_latency=histograms.observe_receive)
    ingest.watch("BTC/USDT:USDT", 1_790_000_100_000)
    parts = Parts(ingest, ExchangeClient("https://localhost", Budget()), points, spool, Stream("", "", clock))
    dirty = DirtyWindows(tmp_path / "dirty.json", {"15m": 900_000})
    parts.rollups["main"] = RollupRepairer("main", None, dirty, clock, wall_seconds=time.time)  # type: ignore[arg-type]  # never asked
    registry.register(Exposition(parts))
    return generate_latest(registry).decode()


def test_every_metric_is_documented_with_its_type_and_labels_and_no_other_is(exposition: str) -> None:
    exported = {}
    for family in text_string_to_metric_families(exposition):
        labels = {label for sample in family.samples for label in sample.labels if label != "le"}
        name = f"{family.name}_total" if family.type == "counter" else family.name
        exported[name] = (family.type, labels)
    documented = {
        name: (kind, {label.strip() for label in labels.split(",") if label.strip()})
        for name, kind, labels, _ in ROW.findall(DOCS.read_text(encoding="utf-8"))
    }
    sometimes_without_samples = {"marketdata_exchange_failed_total", "marketdata_exchange_requests_total"}
    for name in sometimes_without_samples:
        exported[name] = documented[name]
    assert documented == exported


def test_no_series_carries_a_creation_time(exposition: str) -> None:
    assert "_created" not in exposition
