"""The gateway's metrics besides those of its requests; read at scrape time."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from exchange.binance.limits import ROUTES
from exchange.client import ExchangeClient
from exchange.errors import BadRequest, ExchangeError, Refused, ShareTooSmall, Unavailable, Unreachable, Untrusted
from gateway.intake.stream import CollectorStream
from gateway.memory.health import behind
from gateway.memory.memory import Memory
from gateway.past.fetched import Fetched
from gateway.past.stored import Stored
from gateway.upstream.upstream import Upstream

PREFIX = "marketdata_gateway"
BROKEN = ("ended", "exchange", "gap", "malformed", "protocol", "refused", "silent", "unreachable")
ERRORS = (Unreachable, Untrusted, Unavailable, Refused, BadRequest, ShareTooSmall, ExchangeError)
OUTCOMES = ("asked", "coalesced", "shared", "stale", "refused")
_HELD_BUCKETS = (0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0)


class HeldRequests:
    """How long requests were held at a close, and whether the candle became final."""

    def __init__(self, registry: CollectorRegistry) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped in prometheus_client
        self._seconds = Histogram(
            f"{PREFIX}_held_seconds",
            "Time a candle request was held for the candle that had just ended, by whether it was final in the end.",
            ["final"],
            buckets=_HELD_BUCKETS,
            registry=registry,
        )
        for final in ("true", "false"):
            self._seconds.labels(final)

    def __call__(self, seconds: float, final: bool) -> None:
        self._seconds.labels("true" if final else "false").observe(seconds)


@dataclass(frozen=True, slots=True)
class Parts:
    """The objects that the exposition reads."""

    memory: Memory
    streams: Mapping[str, CollectorStream]
    stored: Stored
    fetched: Fetched
    upstream: Upstream
    client: ExchangeClient
    not_ready: Callable[[], list[str]]


class Exposition(Collector):
    """All metrics but those of the requests."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of every part."""
        yield from self._memory()
        yield from self._collectors()
        yield from self._past()
        yield from self._exchange()

    def _memory(self) -> Iterator[Metric]:
        memory = self._parts.memory
        yield _gauge("ready", "1 if /readyz reports ready.", float(not self._parts.not_ready()))
        yield _gauge("pairs", "Pairs whose candles are in memory.", len(memory.pairs))
        yield _gauge(
            "pairs_behind", "Pairs whose newest candle is not final 60 s after its close.", len(behind(memory))
        )
        candles = sum(len(state.rows) for state in memory.pairs.values())
        yield _gauge("memory_candles", "Final 3m candles in memory; diagnostic.", candles)
        ages = [memory.age_ms(symbol) for symbol in memory.pairs]
        known = [age for age in ages if age is not None]
        if known:
            yield _gauge(
                "newest_event_age_seconds", "Time since the exchange last reported on any pair.", min(known) / 1000
            )

    def _collectors(self) -> Iterator[Metric]:
        live = GaugeMetricFamily(f"{PREFIX}_collector_live", "1 while a collector is streaming.", labels=["collector"])
        lines = CounterMetricFamily(
            f"{PREFIX}_collector_lines", "Lines read from a collector; diagnostic.", labels=["collector"]
        )
        broken = CounterMetricFamily(
            f"{PREFIX}_collector_broken",
            "Ends of a collector's response, by reason; diagnostic.",
            labels=["collector", "reason"],
        )
        for name, stream in self._parts.streams.items():
            live.add_metric([name], float(stream.live))
            lines.add_metric([name], stream.lines_total)
            for reason in BROKEN:
                broken.add_metric([name, reason], stream.broken_total[reason])
        yield from (live, lines, broken)

    def _past(self) -> Iterator[Metric]:
        stored, fetched = self._parts.stored, self._parts.fetched
        yield _gauge("store_answers", "1 if a store responded to the last query.", float(stored.answered))
        yield _counter("store_failed", "Queries that no store answered; diagnostic.", stored.failed_total)
        windows = CounterMetricFamily(
            f"{PREFIX}_history_windows", "Final candles read to answer requests, by source.", labels=["source"]
        )
        windows.add_metric(["store"], stored.windows_total)
        windows.add_metric(["exchange"], fetched.windows_total)
        yield windows
        answers = CounterMetricFamily(
            f"{PREFIX}_upstream_answers",
            "Answers from the exchange: asked, coalesced, shared, stale (the last good one), refused.",
            labels=["route", "outcome"],
        )
        snapshot = self._parts.upstream.snapshot()
        for route in ROUTES:
            for outcome in OUTCOMES:
                answers.add_metric([route, outcome], snapshot.answers_total.get((route, outcome), 0))
        yield answers
        yield _gauge("upstream_stretch", "Factor by which answers are shared longer than usual.", snapshot.stretch)

    def _exchange(self) -> Iterator[Metric]:
        snapshot = self._parts.client.snapshot()
        requests = CounterMetricFamily(
            f"{PREFIX}_exchange_requests", "Requests sent to the exchange, by route; diagnostic.", labels=["route"]
        )
        weight = CounterMetricFamily(
            f"{PREFIX}_exchange_weight", "Request weight spent at the exchange, by route.", labels=["route"]
        )
        failed = CounterMetricFamily(
            f"{PREFIX}_exchange_failed", "Requests to the exchange that failed, by error.", labels=["error"]
        )
        for route in ROUTES:
            requests.add_metric([route], snapshot.requests_total.get(route, 0))
            weight.add_metric([route], snapshot.weight_total.get(route, 0))
        for error in ERRORS:
            failed.add_metric([error.__name__], snapshot.failed_total.get(error.__name__, 0))
        yield from (requests, weight, failed)
        budget = snapshot.budget
        yield _gauge("budget_share", "Weight this gateway may spend per minute.", budget.share)
        yield _gauge("budget_used", "Weight it has spent in the current minute.", budget.used_in_minute)
        yield _gauge(
            "circuit_open", "1 while a refusal by the exchange holds back requests.", float(budget.circuit_open)
        )


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"{PREFIX}_{name}", text, value=value)
