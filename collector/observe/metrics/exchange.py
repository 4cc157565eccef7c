"""Metrics of the exchange's REST API: weight, requests, refusals. Every series exists at 0 from the start."""

from collector.observe.metrics.families import Families, counter, gauge
from collector.observe.metrics.parts import Parts
from exchange.budget import Priority
from exchange.circuit import CircuitState
from exchange.errors import (
    BadRequest,
    ExchangeError,
    Refused,
    ShareTooSmall,
    Unavailable,
    Unreachable,
    Untrusted,
)

REFUSALS = (403, 418, 429, 451)
ERRORS = (Unreachable, Untrusted, Unavailable, Refused, BadRequest, ShareTooSmall, ExchangeError)


def weight(parts: Parts) -> Families:
    """How much of the exchange's limits this process used and saved, and which requests had to wait for them."""
    budget = parts.client.snapshot().budget
    used = gauge("exchange_weight_used", "Weight used by this process in the current UTC minute", ("exchange",))
    used.add_metric([parts.exchange], budget.used_in_minute)
    share = gauge("exchange_weight_share", "Weight this process may use per minute", ("exchange",))
    share.add_metric([parts.exchange], budget.share)
    address = gauge(
        "exchange_address_weight_used",
        "Weight used by the whole address in this minute, as last reported by the exchange",
        ("exchange",),
    )
    address.add_metric([parts.exchange], budget.ip_used_in_minute)
    spent = counter("exchange_weight_spent", "Weight used by this process, by priority", ("exchange", "priority"))
    waits = counter(
        "exchange_budget_waits",
        "Requests that had to wait for the budget (weight, rate, funding requests) before they were sent",
        ("exchange", "priority"),
    )
    for priority in Priority:
        spent.add_metric([parts.exchange, priority.name.lower()], budget.weight_total[priority])
        waits.add_metric([parts.exchange, priority.name.lower()], budget.waits_total[priority])
    saved = counter(
        "exchange_weight_saved",
        "Weight saved by closes from the stream: each would have been a request of weight 1",
        ("exchange",),
    )
    saved.add_metric([parts.exchange], parts.ingest.final_by_origin["stream"])
    requests = gauge(
        "exchange_funding_requests",
        "Requests of this process in the last 5 minutes that count against the limit of the funding routes",
        ("exchange",),
    )
    requests.add_metric([parts.exchange], budget.funding_requests)
    limit = gauge(
        "exchange_funding_requests_limit", "How many of these this process may send in 5 minutes", ("exchange",)
    )
    limit.add_metric([parts.exchange], budget.funding_share)
    yield from (used, share, address, spent, saved, waits, requests, limit)


def requests(parts: Parts) -> Families:
    """What was requested from the exchange, and the outcome."""
    snapshot = parts.client.snapshot()
    refused = counter("exchange_refused", "Responses that refuse us, by status", ("exchange", "status"))
    for status in REFUSALS:
        refused.add_metric([parts.exchange, str(status)], snapshot.budget.refused.get(status, 0))
    failed = counter("exchange_failed", "Requests that failed, by error", ("exchange", "error"))
    for error in ERRORS:
        failed.add_metric([parts.exchange, error.__name__], snapshot.failed_total.get(error.__name__, 0))
    sent = counter("exchange_requests", "Requests sent, by route", ("exchange", "route"))
    for route in parts.client.routes:
        sent.add_metric([parts.exchange, route], snapshot.requests_total.get(route, 0))
    circuit = gauge("exchange_circuit_open", "1 while no requests are sent because of a refusal", ("exchange",))
    circuit.add_metric([parts.exchange], snapshot.budget.circuit is not CircuitState.CLOSED)
    yield from (refused, failed, sent, circuit)
