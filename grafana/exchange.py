"""Exchange: connections, frames, latency, and how much of its limits is used."""

from grafana_foundation_sdk.models import dashboard as models

from grafana import board
from grafana.panels import BAD, CAREFUL, GOOD, Panel, column, density, graph, listing, number, state, steps
from grafana.queries import buckets, now, over_time, rows

OF = 'exchange="$exchange"'
LATENCY = f"sum by (le) (rate(marketdata_receive_latency_seconds_bucket{{{OF}}}[$__rate_interval]))"
WEIGHT_SHARE = f"max(marketdata_exchange_weight_used{{{OF}}} / marketdata_exchange_weight_share{{{OF}}})"


def build() -> models.Dashboard:
    """Build the dashboard marketdata-exchange."""
    return board.board(
        "marketdata-exchange",
        "Exchange",
        "What arrives from the exchange, how late, and how much of its limits is left.",
        variables=[board.prometheus_source(), board.exchange()],
        annotations=[
            board.restarts(),
            board.firing(f'{OF}, alertname=~"Exchange.+|ReconnectStorm|ReceiveLatencyHigh|WeightBudgetExhausted"'),
        ],
        rows=[
            (4, [(4, _open()), (4, _silent()), (4, _p99()), (4, _weight()), (4, _address()), (4, _circuit())]),
            (8, [(8, _connections()), (8, _ended()), (8, _frames())]),
            (8, [(12, _latency_heatmap()), (12, _latency())]),
            "REST and its limits",
            (8, [(8, _budget()), (8, _spent()), (8, _requests())]),
            (7, [(8, _waits()), (8, _refused()), (8, _clock())]),
            "Closes and frames",
            (8, [(8, _closes()), (8, _fate()), (8, _busiest())]),
        ],
    )


def _open() -> Panel:
    return number(
        "Connections open",
        "Share of the configured WebSocket connections that are open.",
        now(
            f"sum(marketdata_connections_open{{{OF}}}) / sum(marketdata_connections_configured{{{OF}}})",
        ),
        unit="percentunit",
        decimals=0,
        colors=steps(BAD, (0.5, CAREFUL), (1, GOOD)),
    )


def _silent() -> Panel:
    return number(
        "Silent streams",
        "Streams that deliver nothing on a working connection; REST updates their pairs instead.",
        now(f"sum(max by (channel) (marketdata_streams_silent{{{OF}}}))"),
        unit="none",
        colors=steps(GOOD, (1, CAREFUL)),
        link=board.dashboard_url("marketdata-freshness", "exchange"),
    )


def _p99() -> Panel:
    return number(
        "Latency, p99",
        "Exchange event time to our receipt, 99 % of the frames of the last 5 minutes. Clock differences are included.",
        now(f"histogram_quantile(0.99, sum by (le) (rate(marketdata_receive_latency_seconds_bucket{{{OF}}}[5m])))"),
        unit="s",
        decimals=2,
        colors=steps(GOOD, (1, CAREFUL), (5, BAD)),
    )


def _weight() -> Panel:
    return number(
        "Weight used, of our share",
        "On the collector that used the most, in the current minute. At 100 % its requests wait for the next minute.",
        now(WEIGHT_SHARE),
        unit="percentunit",
        decimals=0,
        colors=steps(GOOD, (0.8, CAREFUL), (1, BAD)),
    )


def _address() -> Panel:
    return number(
        "Weight of the address",
        "Weight used in the minute by everyone behind this address, as last reported by the exchange. It bans at "
        "2,400; we stop at 80 % of that.",
        now(f"max(marketdata_exchange_address_weight_used{{{OF}}})"),
        unit="none",
        colors=steps(GOOD, (1440, CAREFUL), (1920, BAD)),
    )


def _circuit() -> Panel:
    return state(
        "Requests allowed?",
        "After a refusal (403, 418, 429) no requests are sent until the exchange's Retry-After is over.",
        now(f"max(marketdata_exchange_circuit_open{{{OF}}})"),
        words={0: ("yes", GOOD), 1: ("refused", BAD)},
    )


def _connections() -> Panel:
    return graph(
        "Connections",
        "Open WebSocket connections by channel, and how many are configured. A replacement opens before the old one "
        "closes, so one more for a while is normal.",
        over_time(f"sum by (channel) (marketdata_connections_open{{{OF}}})", "{{channel}} open"),
        over_time(f"sum by (channel) (marketdata_connections_configured{{{OF}}})", "{{channel}} wanted", "B"),
        unit="none",
    )


def _ended() -> Panel:
    return graph(
        "Connections opened and ended",
        "Ended by reason; `replaced` is planned.",
        over_time(f"sum(increase(marketdata_connections_opened_total{{{OF}}}[$__rate_interval]))", "opened", "B"),
        over_time(
            f"sum by (reason) (increase(marketdata_connections_ended_total{{{OF}}}[$__rate_interval]))", "{{reason}}"
        ),
        unit="none",
        bars=True,
    )


def _frames() -> Panel:
    return graph(
        "Frames per second",
        "By channel, all collectors together.",
        over_time(
            f"sum by (channel) (rate(marketdata_frames_received_total{{{OF}}}[$__rate_interval]))", "{{channel}}"
        ),
        unit="short",
    )


def _latency_heatmap() -> Panel:
    return density(
        "How late do frames come?",
        "Frames by exchange event time to our receipt. Closing frames of candles normally arrive about 2 s late.",
        buckets(f"sum by (le) (increase(marketdata_receive_latency_seconds_bucket{{{OF}}}[$__rate_interval]))"),
        unit="s",
        counted=True,
    )


def _latency() -> Panel:
    return graph(
        "Latency",
        "Exchange event time to our receipt.",
        *(
            over_time(f"histogram_quantile({share}, {LATENCY})", name, ref)
            for ref, share, name in (("A", 0.5, "p50"), ("B", 0.9, "p90"), ("C", 0.99, "p99"))
        ),
        unit="s",
    )


def _budget() -> Panel:
    return graph(
        "Weight per minute",
        "Used by each collector compared with its share, and by the whole address as reported by the exchange.",
        over_time(f"max by (host, instance) (marketdata_exchange_weight_used{{{OF}}})", "{{host}} {{instance}}"),
        over_time(f"max(marketdata_exchange_weight_share{{{OF}}})", "share", "B"),
        over_time(f"max(marketdata_exchange_address_weight_used{{{OF}}})", "address", "C"),
        unit="none",
    )


def _spent() -> Panel:
    return graph(
        "Weight per minute, by purpose",
        "confirm: overdue closes; repair: gaps; universe: symbols; history: fills and backfills. "
        "Saved: what the closes would have cost if they had not come by stream.",
        over_time(
            f"60 * sum by (priority) (rate(marketdata_exchange_weight_spent_total{{{OF}}}[$__rate_interval]))",
            "{{priority}}",
        ),
        over_time(
            f"60 * sum(rate(marketdata_exchange_weight_saved_total{{{OF}}}[$__rate_interval]))", "saved by streams", "B"
        ),
        unit="short",
    )


def _requests() -> Panel:
    return graph(
        "Requests per minute, by route",
        "REST requests of all collectors.",
        over_time(
            f"60 * sum by (route) (rate(marketdata_exchange_requests_total{{{OF}}}[$__rate_interval]))", "{{route}}"
        ),
        unit="short",
    )


def _waits() -> Panel:
    return graph(
        "Requests that waited for the budget",
        "By purpose. History waits by design; confirm must not.",
        over_time(
            f"sum by (priority) (increase(marketdata_exchange_budget_waits_total{{{OF}}}[$__rate_interval]))",
            "{{priority}}",
        ),
        unit="none",
        bars=True,
    )


def _refused() -> Panel:
    return graph(
        "Refused and failed requests",
        "Refused: 403, 418, 429, 451. Failed: timeouts, 5xx, responses that are not JSON.",
        over_time(
            f"sum by (status) (increase(marketdata_exchange_refused_total{{{OF}}}[$__rate_interval]))",
            "refused {{status}}",
        ),
        over_time(
            f"sum by (error) (increase(marketdata_exchange_failed_total{{{OF}}}[$__rate_interval]))", "{{error}}", "B"
        ),
        unit="none",
        bars=True,
    )


def _clock() -> Panel:
    return graph(
        "Our clock against the exchange's",
        "Time of the scrape minus the exchange's time as the collector knows it: the difference between the clocks "
        "plus the frames' delay. Deadlines follow the exchange's clock.",
        over_time(
            f"max by (host, instance) (timestamp(marketdata_exchange_timestamp_seconds{{{OF}}}) "
            f"- marketdata_exchange_timestamp_seconds{{{OF}}})",
            "{{host}} {{instance}}",
        ),
        unit="s",
        least=None,
    )


def _closes() -> Panel:
    return graph(
        "Final candles per minute, by origin",
        "Closes by stream, and those confirmed by REST because the closing frame was late or lost.",
        over_time(
            f"60 * sum by (origin) (rate(marketdata_candles_final_total{{{OF}}}[$__rate_interval]))", "{{origin}}"
        ),
        over_time(
            f"60 * sum(rate(marketdata_candle_conflicts_total{{{OF}}}[$__rate_interval]))", "contradicted later", "B"
        ),
        unit="short",
        stack=True,
    )


def _fate() -> Panel:
    return graph(
        "What happens to frames?",
        "Frames per second. Used: a final candle or a sample. Filtered: nothing new (forming candles, frames between "
        "samples, duplicates). Invalid: unreadable, or not subscribed.",
        over_time(f"sum(rate(marketdata_frames_used_total{{{OF}}}[$__rate_interval]))", "used"),
        over_time(
            f"sum by (reason) (rate(marketdata_frames_filtered_total{{{OF}}}[$__rate_interval]))",
            "filtered: {{reason}}",
            "B",
        ),
        over_time(
            f"sum by (reason) (rate(marketdata_frames_invalid_total{{{OF}}}[$__rate_interval]))",
            "invalid: {{reason}}",
            "C",
        ),
        unit="short",
        stack=True,
    )


def _busiest() -> Panel:
    panel = listing(
        "Frames per second by pair",
        "The 20 busiest and the 20 quietest pairs, all channels, over 5 minutes.",
        rows(
            f"topk(20, sum by (pair) (rate(marketdata_messages_total{{{OF}}}[5m]))) "
            f"or bottomk(20, sum by (pair) (rate(marketdata_messages_total{{{OF}}}[5m])))"
        ),
        columns={"pair": "Pair", "Value": "Frames/s"},
        by="Frames/s",
    )
    column(panel, "Frames/s", unit="short", decimals=2)
    return column(panel, "Pair", links=board.pair_link(pair_field="${__data.fields.Pair:percentencode}"))
