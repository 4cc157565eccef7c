"""Creates metric families: every name begins with marketdata_, counters end in _total."""

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

type Families = Iterator[Metric]


def counter(name: str, help_text: str, labels: Iterable[str]) -> CounterMetricFamily:
    """Create a counter without samples; `name` has neither prefix nor `_total`."""
    return CounterMetricFamily(f"marketdata_{name}", help_text, labels=list(labels))


def gauge(name: str, help_text: str, labels: Iterable[str]) -> GaugeMetricFamily:
    """Create a gauge without samples; `name` has no prefix."""
    return GaugeMetricFamily(f"marketdata_{name}", help_text, labels=list(labels))
