"""The histograms, which must be counted as events happen."""

from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics

from collector.store.write import Outcome, Retry
from exchange.events import CANDLES, MARK_PRICE

LATENCY_BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Histograms:
    """The histograms, counted as events happen; everything else is read at scrape time."""

    def __init__(self, registry: CollectorRegistry, exchange: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped in prometheus_client
        receive = Histogram(
            "marketdata_receive_latency_seconds",
            "Time from the exchange's event time to our receipt",
            ["exchange", "channel"],
            buckets=LATENCY_BUCKETS_SECONDS,
            registry=registry,
        )
        self._receive = {channel: receive.labels(exchange, channel) for channel in (CANDLES, MARK_PRICE)}
        self._write = Histogram(
            "marketdata_write_duration_seconds",
            "Duration of one write request to a store, by outcome",
            ["store", "outcome"],
            buckets=LATENCY_BUCKETS_SECONDS,
            registry=registry,
        )

    def observe_receive(self, channel: str, seconds: float) -> None:
        """Count one frame; a negative latency (the exchange's clock is ahead of ours) counts as 0."""
        self._receive[channel].observe(max(seconds, 0.0))

    def observe_write(self, store: str, outcome: Outcome, seconds: float) -> None:
        """Count one write request."""
        name = outcome.reason if isinstance(outcome, Retry) else type(outcome).__name__.lower()
        self._write.labels(store, name).observe(seconds)
