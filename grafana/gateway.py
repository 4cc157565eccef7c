"""Gateway: which responses bots get, how fast, from which data, and the weight spent and saved at the exchange."""

from grafana_foundation_sdk.models import dashboard as models

from grafana import board
from grafana.panels import BAD, CAREFUL, GOOD, Panel, density, graph, number, state, steps, timeline
from grafana.queries import buckets, now, over_time

OF = 'host=~"$host"'
KLINES = f'{OF}, route="/fapi/v1/klines"'
REFUSED = f'{OF}, status=~"429|5.."'
SECONDS = "marketdata_gateway_request_seconds_bucket"
SHARES = (("A", 0.5, "p50"), ("B", 0.9, "p90"), ("C", 0.99, "p99"))


def build() -> models.Dashboard:
    """Build the dashboard marketdata-gateway."""
    return board.board(
        "marketdata-gateway",
        "Gateway",
        "Do bots get answers in time and from our own data? What does that still cost at the exchange?",
        variables=[board.prometheus_source(), board.host("marketdata_gateway_ready")],
        annotations=[board.firing(f'alertname=~"Gateway.+", {OF}')],
        rows=[
            (4, [(4, _ready()), (4, _behind()), (4, _asked()), (4, _p99()), (4, _refused_share()), (4, _saved())]),
            (8, [(12, _routes()), (12, _statuses())]),
            (8, [(12, _heatmap()), (12, _latency())]),
            "The close",
            (8, [(12, _held()), (12, _held_seconds())]),
            "Data sources",
            (8, [(8, _collectors()), (8, _pairs()), (8, _windows())]),
            (7, [(8, _stores()), (8, _age()), (8, _memory())]),
            "The exchange",
            (8, [(8, _weight()), (8, _spent()), (8, _budget())]),
            (8, [(8, _upstream()), (8, _stretch()), (8, _failed())]),
        ],
    )


def _ready() -> Panel:
    return state(
        "All ready?",
        "A gateway that is not ready has no fresh data: load balancers skip it, and bots are told to wait.",
        now(f"min(marketdata_gateway_ready{{{OF}}})"),
        words={0: ("not all", BAD), 1: ("yes", GOOD)},
    )


def _behind() -> Panel:
    return number(
        "Pairs behind",
        "Pairs whose newest candle is not final 60 s after its close, on the gateway that has the most.",
        now(f"max(marketdata_gateway_pairs_behind{{{OF}}})"),
        unit="none",
        colors=steps(GOOD, (1, CAREFUL), (10, BAD)),
        link=board.dashboard_url("marketdata-freshness"),
    )


def _asked() -> Panel:
    return number(
        "Requests per second",
        "From all bots, over the last 5 minutes.",
        now(f"sum(rate(marketdata_gateway_requests_total{{{OF}}}[5m]))"),
        unit="reqps",
        decimals=1,
    )


def _p99() -> Panel:
    return number(
        "Response time for candles, p99",
        "Time within which 99 % of the candle requests of the last 5 minutes were answered, including those held at a "
        "close: a hold lasts 5 s at most.",
        now(f"histogram_quantile(0.99, sum by (le) (rate({SECONDS}{{{KLINES}}}[5m])))"),
        unit="s",
        decimals=3,
        colors=steps(GOOD, (5, CAREFUL), (6, BAD)),
    )


def _refused_share() -> Panel:
    return number(
        "Refused",
        "Share of the requests of the last 5 minutes that were answered with 429 or with an error of the gateway "
        "itself. Bots wait and retry.",
        now(
            f"(sum(rate(marketdata_gateway_requests_total{{{REFUSED}}}[5m])) or vector(0)) "
            f"/ sum(rate(marketdata_gateway_requests_total{{{OF}}}[5m]))"
        ),
        unit="percentunit",
        decimals=1,
        colors=steps(GOOD, (0.01, CAREFUL), (0.05, BAD)),
    )


def _saved() -> Panel:
    return number(
        "Weight saved at the exchange",
        "Share of the weight that the last hour's requests would have cost at the exchange and that was "
        "not spent there.",
        now(
            f"1 - sum(increase(marketdata_gateway_exchange_weight_total{{{OF}}}[1h])) "
            f"/ sum(increase(marketdata_gateway_asked_weight_total{{{OF}}}[1h]))"
        ),
        unit="percentunit",
        decimals=1,
        colors=steps(CAREFUL, (0.9, GOOD)),
    )


def _routes() -> Panel:
    return graph(
        "Requests, by route",
        "`other` are unknown routes, which are refused: signed requests, other exchanges.",
        over_time(f"sum by (route) (rate(marketdata_gateway_requests_total{{{OF}}}[$__rate_interval]))", "{{route}}"),
        unit="reqps",
        stack=True,
    )


def _statuses() -> Panel:
    return graph(
        "Responses, by status and gateway",
        "400: invalid parameters, as at the exchange. 401, 404: signed or unknown. 429: try again later.",
        over_time(
            f"sum by (host, status) (rate(marketdata_gateway_requests_total{{{OF}}}[$__rate_interval]))",
            "{{host}} {{status}}",
        ),
        unit="reqps",
        stack=True,
    )


def _heatmap() -> Panel:
    return density(
        "How long do responses take?",
        "All routes. Responses between half a second and five seconds were held at a close or came from the exchange.",
        buckets(f"sum by (le) (increase({SECONDS}{{{OF}}}[$__rate_interval]))"),
        unit="s",
        counted=True,
    )


def _latency() -> Panel:
    return graph(
        "Responses to candle requests",
        "Including those held at a close.",
        *(
            over_time(
                f"histogram_quantile({share}, sum by (le) (rate({SECONDS}{{{KLINES}}}[$__rate_interval])))", name, ref
            )
            for ref, share, name in SHARES
        ),
        unit="s",
    )


def _held() -> Panel:
    return graph(
        "Requests held at a close",
        "Held until the candle that has just closed is final; otherwise the response ends one candle earlier.",
        over_time(
            f'sum(increase(marketdata_gateway_held_seconds_count{{{OF}, final="true"}}[$__rate_interval]))',
            "with the candle",
        ),
        over_time(
            f'sum(increase(marketdata_gateway_held_seconds_count{{{OF}, final="false"}}[$__rate_interval]))',
            "without it",
            "B",
        ),
        unit="none",
        bars=True,
    )


def _held_seconds() -> Panel:
    return density(
        "How long are they held?",
        "Closing frames normally arrive about 2 s after the close; no request is held for more than five seconds.",
        buckets(f"sum by (le) (increase(marketdata_gateway_held_seconds_bucket{{{OF}}}[$__rate_interval]))"),
        unit="s",
        counted=True,
    )


def _collectors() -> Panel:
    return timeline(
        "Which collectors deliver?",
        "Candles are the union of what all collectors deliver. Without any, the stores are read every few seconds.",
        over_time(f"max by (host, collector) (marketdata_gateway_collector_live{{{OF}}})", "{{host}} {{collector}}"),
        words={0: ("away", BAD), 1: ("heard", GOOD)},
    )


def _pairs() -> Panel:
    return graph(
        "Pairs in memory, and behind",
        "Behind: the newest candle is not final 60 s after its close.",
        over_time(f"max by (host) (marketdata_gateway_pairs{{{OF}}})", "{{host}}"),
        over_time(f"max by (host) (marketdata_gateway_pairs_behind{{{OF}}})", "{{host}} behind", "B"),
        unit="none",
    )


def _windows() -> Panel:
    return graph(
        "Candles read for long ranges",
        "From the store; from the exchange only those older than the store.",
        over_time(
            f"sum by (source) (rate(marketdata_gateway_history_windows_total{{{OF}}}[$__rate_interval]))", "{{source}}"
        ),
        unit="short",
        stack=True,
    )


def _stores() -> Panel:
    return timeline(
        "Is a store reachable?",
        "Without one the newest candles still come from memory; long ranges and settled funding are missing.",
        over_time(f"max by (host) (marketdata_gateway_store_answers{{{OF}}})", "{{host}}"),
        words={0: ("no", BAD), 1: ("yes", GOOD)},
    )


def _age() -> Panel:
    return graph(
        "Time since the newest event",
        "From the exchange, for any pair. Normally less than a second.",
        over_time(f"max by (host) (marketdata_gateway_newest_event_age_seconds{{{OF}}})", "{{host}}"),
        unit="s",
    )


def _memory() -> Panel:
    return graph(
        "Memory",
        "Of the gateway's process.",
        over_time(f'max by (host) (process_resident_memory_bytes{{job="gateway", {OF}}})', "{{host}}"),
        unit="bytes",
    )


def _weight() -> Panel:
    return graph(
        "Weight per minute, requested and spent",
        "What the bots would have spent at the exchange, and what the gateways spent.",
        over_time(f"60 * sum(rate(marketdata_gateway_asked_weight_total{{{OF}}}[$__rate_interval]))", "asked by bots"),
        over_time(f"60 * sum(rate(marketdata_gateway_exchange_weight_total{{{OF}}}[$__rate_interval]))", "spent", "B"),
        unit="short",
    )


def _spent() -> Panel:
    return graph(
        "Weight spent per minute, by route",
        "Candles should cost nothing once everything that is requested is in the store.",
        over_time(
            f"60 * sum by (route) (rate(marketdata_gateway_exchange_weight_total{{{OF}}}[$__rate_interval]))",
            "{{route}}",
        ),
        unit="short",
        stack=True,
    )


def _budget() -> Panel:
    return graph(
        "Weight per minute",
        "Used by each gateway compared with its share.",
        over_time(f"max by (host) (marketdata_gateway_budget_used{{{OF}}})", "{{host}}"),
        over_time(f"min(marketdata_gateway_budget_share{{{OF}}})", "share", "B"),
        unit="none",
    )


def _upstream() -> Panel:
    return graph(
        "Order books, tickers and others, by source",
        "asked: from the exchange. coalesced, shared: together with other bots, or still fresh. stale: the last good "
        "response, marked. refused: 429.",
        over_time(
            f"sum by (outcome) (rate(marketdata_gateway_upstream_answers_total{{{OF}}}[$__rate_interval]))",
            "{{outcome}}",
        ),
        unit="reqps",
        stack=True,
    )


def _stretch() -> Panel:
    return graph(
        "How much longer responses are shared",
        "1 is the normal time: 2 s for order books and prices, 15 s for 24 h tickers. Longer if the weight would not "
        "suffice.",
        over_time(f"max by (host) (marketdata_gateway_upstream_stretch{{{OF}}})", "{{host}}"),
        unit="none",
    )


def _failed() -> Panel:
    return graph(
        "Failed requests at the exchange, and refusals",
        "By error. The circuit is open while a refusal blocks all requests.",
        over_time(
            f"sum by (error) (increase(marketdata_gateway_exchange_failed_total{{{OF}}}[$__rate_interval]))",
            "{{error}}",
        ),
        over_time(f"max(marketdata_gateway_circuit_open{{{OF}}})", "circuit open", "B"),
        unit="none",
    )
