"""All metrics of the sentinel, read from the watches at scrape time; documented in docs/metrics.md (generated)."""

from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from marketdata.timeframes import timeframe_ms
from sentinel.candles import INTERVALS
from sentinel.watch import StoreWatch


def candles(watches: Sequence[StoreWatch]) -> Iterator[Metric]:
    """Age and completeness of the stored candles."""
    labels = ("store", "exchange", "pair", "interval")
    ends = _gauge("stored_candle_timestamp_seconds", "End time of the newest stored candle or window of each current"
                  " pair", labels)  # fmt: skip
    missing = _gauge(
        "stored_candles_missing",
        "Candles missing before the newest one of each current pair: of the last 2 h, or the last 3 windows due",
        ("store", "exchange", "interval"),
    )
    lengths = _gauge("stored_candle_interval_seconds", "Length of the interval", ("interval",))
    for watch in watches:
        for interval, by_pair in watch.ends_ms.items():
            for (exchange, pair), end_ms in by_pair.items():
                ends.add_metric([watch.name, exchange, pair, interval], end_ms / 1000)
        for interval, by_exchange in watch.missing.items():
            for exchange, count in by_exchange.items():
                missing.add_metric([watch.name, exchange, interval], count)
    for interval in INTERVALS:
        lengths.add_metric([interval], timeframe_ms(interval) / 1000)
    yield from (ends, missing, lengths)


def itself(watches: Sequence[StoreWatch]) -> Iterator[Metric]:
    """Whether the sentinel can read the stores."""
    last = _gauge("sentinel_last_success_timestamp_seconds", "When the store was last read completely; 0 if"
                  " never", ("store",))  # fmt: skip
    took = _gauge("sentinel_query_duration_seconds", "Duration of the latest query", ("store", "interval"))
    failures = CounterMetricFamily("marketdata_sentinel_failures", "Failed rounds, by reason",
                                   labels=["store", "reason"])  # fmt: skip
    buckets = _gauge("bucket_info", "1; maps a bucket's id, which InfluxDB's own metrics use as bucket, to its name",
                     ("store", "bucket", "name"))  # fmt: skip
    for watch in watches:
        last.add_metric([watch.name], watch.last_success_seconds)
        for interval, seconds in watch.query_seconds.items():
            took.add_metric([watch.name, interval], seconds)
        for reason, count in watch.failures.items():
            failures.add_metric([watch.name, reason], count)
        for bucket, name in watch.buckets.items():
            buckets.add_metric([watch.name, bucket, name], 1)
    info = _gauge("sentinel_build_info", "1; the version is a label", ("version",))
    info.add_metric([version("marketdata-platform")], 1)
    yield from (last, took, failures, buckets, info)


SECTIONS = {"Sentinel: what is stored": candles, "Sentinel: its own health": itself}
"""The metrics by their heading in docs/metrics.md."""


class Exposition(Collector):
    """Converts the watches' results to metric families."""

    def __init__(self, watches: Sequence[StoreWatch]) -> None:
        self._watches = watches

    def collect(self) -> Iterator[Metric]:
        """Yield every family."""
        for reading in SECTIONS.values():
            yield from reading(self._watches)


def _gauge(name: str, help_text: str, labels: Iterable[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"marketdata_{name}", help_text, labels=list(labels))
