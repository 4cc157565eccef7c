"""Metrics of the exchange's REST API: weight, requests, refusals."""

from collector.metrics.families import Families, counter, gauge
from collector.metrics.parts import Parts
from exchange.circuit import CircuitState
from marketdata.schema import EXCHANGE

REFUSALS = (403, 418, 429, 451)


def exchange(parts: Parts) -> Families:
    """What was asked of the exchange, and what it allows."""
    snapshot = parts.client.snapshot()
    budget = snapshot.budget
    used = gauge("exchange_weight_used", "Weight this process spent in the running UTC minute", ("exchange",))
    share = gauge("exchange_weight_share", "Weight this process may spend in a minute", ("exchange",))
    address = gauge(
        "exchange_address_weight_used",
        "Weight of the whole address in this minute, as the exchange last told it",
        ("exchange",),
    )
    refused = counter("exchange_refused", "Answers that refuse us, by status", ("exchange", "status"))
    failed = counter("exchange_failed", "Requests that failed, by error", ("exchange", "error"))
    requests = counter("exchange_requests", "Requests sent, by route", ("exchange", "route"))
    circuit = gauge("exchange_circuit_open", "1 while no request may leave after a refusal", ("exchange",))
    used.add_metric([EXCHANGE], budget.used_in_minute)
    share.add_metric([EXCHANGE], budget.share)
    address.add_metric([EXCHANGE], budget.ip_used_in_minute)
    for status in REFUSALS:
        refused.add_metric([EXCHANGE, str(status)], budget.refused.get(status, 0))
    for error, count in snapshot.failed_total.items():
        failed.add_metric([EXCHANGE, error], count)
    for route, count in snapshot.requests_total.items():
        requests.add_metric([EXCHANGE, route], count)
    circuit.add_metric([EXCHANGE], budget.circuit is not CircuitState.CLOSED)
    yield from (used, share, address, refused, failed, requests, circuit)
