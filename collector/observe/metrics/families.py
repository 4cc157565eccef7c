"""How a metric family is made: every name begins with marketdata_, counters end in _total."""

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

type Families = Iterator[Metric]


def counter(name: str, help_text: str, labels: Iterable[str]) -> CounterMetricFamily:
    """Make a counter without samples; its name is given without prefix and `_total`."""
    return CounterMetricFamily(f"marketdata_{name}", help_text, labels=list(labels))


def gauge(name: str, help_text: str, labels: Iterable[str]) -> GaugeMetricFamily:
    """Make a gauge without samples; its name is given without prefix."""
    return GaugeMetricFamily(f"marketdata_{name}", help_text, labels=list(labels))
