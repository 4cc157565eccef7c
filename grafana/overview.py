"""Overview, the first dashboard to open. Is everything fresh, written and rolled up?"""

from grafana_foundation_sdk.models import dashboard as models

from grafana import board
from grafana.panels import BAD, CAREFUL, GOOD, Panel, column, graph, listing, number, said, steps
from grafana.queries import OBJECTIVE, OLDEST_UNWRITTEN, OVERDUE, STALE_PAIRS, now, over_time, rows

FRESH_PAIRS = f"1 - avg({STALE_PAIRS})"


def build() -> models.Dashboard:
    """The dashboard marketdata-overview."""
    return board.board(
        "marketdata-overview",
        "Overview",
        "Is everything fresh, written and rolled up? Each number links to the dashboard that explains it.",
        variables=[board.prometheus_source(), board.exchange()],
        annotations=[board.restarts(), board.firing('alertname=~".+"')],
        rows=[
            (4, [(4, _fresh()), (4, _stale()), (4, _collectors()), (4, _unwritten()), (4, _overdue()), (4, _alerts())]),
            (8, [(8, _freshness()), (8, _written()), (8, _rolled_up())]),
            (8, [(10, _firing()), (14, _by_collector())]),
        ],
    )


def _fresh() -> Panel:
    return number(
        "Is everything fresh?",
        "Share of pairs whose newest candle, mark price and funding rate are all fresh. "
        "A candle is stale if missing 60 s after its close, mark price and funding after 60 s without a frame.",
        now(FRESH_PAIRS),
        unit="percentunit",
        decimals=2,
        colors=steps(BAD, (0.98, CAREFUL), (1, GOOD)),
        link=board.dashboard_url("marketdata-freshness", "exchange"),
        line=True,
    )


def _stale() -> Panel:
    return number(
        "Stale pairs",
        "Pairs with at least one stale channel.",
        now(f"sum({STALE_PAIRS})"),
        unit="none",
        colors=steps(GOOD, (1, BAD)),
        link=board.dashboard_url("marketdata-freshness", "exchange"),
    )


def _collectors() -> Panel:
    return number(
        "Collectors up",
        "Share of the collectors that respond to Prometheus. One is enough for data to flow.",
        now('avg(up{job="collector"})'),
        unit="percentunit",
        decimals=0,
        colors=steps(BAD, (0.01, CAREFUL), (1, GOOD)),
        link=board.dashboard_url("marketdata-pipeline"),
    )


def _unwritten() -> Panel:
    return number(
        "Is everything written?",
        "How long the oldest spool file has been waiting for its store. Normally files leave within a second or two.",
        now(f"max({OLDEST_UNWRITTEN})"),
        unit="s",
        decimals=0,
        colors=steps(GOOD, (15, CAREFUL), (60, BAD)),
        link=board.dashboard_url("marketdata-pipeline"),
    )


def _overdue() -> Panel:
    return number(
        "Is everything rolled up?",
        "How long the most overdue stored candle or roll-up window of any pair is overdue, as read back from the store "
        "by the sentinel. 0 is on time.",
        now(f"max({OVERDUE})"),
        unit="s",
        decimals=0,
        colors=steps(GOOD, (1, CAREFUL), (900, BAD)),
        link=board.dashboard_url("marketdata-pipeline"),
    )


def _alerts() -> Panel:
    return number(
        "Alerts firing",
        "Alerts that need a person now (critical) or soon (warning).",
        now('count(ALERTS{alertstate="firing", severity=~"critical|warning"}) or vector(0)'),
        unit="none",
        colors=steps(GOOD, (1, BAD)),
    )


def _freshness() -> Panel:
    return graph(
        "Fresh share by channel",
        "Share of pairs that are fresh. The dashed line is the objective, 99.5 %.",
        over_time('exchange_channel:marketdata_fresh:ratio{exchange="$exchange"}', "{{channel}}"),
        unit="percentunit",
        least=None,
        most=1,
        limit=steps(BAD, (OBJECTIVE, GOOD)),
    ).axis_soft_min(0.95)


def _written() -> Panel:
    return graph(
        "Points written and waiting",
        "Points per second acknowledged by stores, and points waiting in queue, batch or spool. "
        "If the number of waiting points climbs, a store is down: nothing is lost while the spool has room.",
        over_time(
            "sum by (store) (rate(marketdata_points_acknowledged_total[$__rate_interval]))", "{{store}} written/s"
        ),
        over_time(
            "sum by (store) (marketdata_points_in_queue + marketdata_points_in_batch + marketdata_points_in_spool)",
            "{{store}} waiting",
            "B",
        ),
        unit="short",
    )


def _rolled_up() -> Panel:
    return graph(
        "Overdue candles by interval",
        "How long the next candle of the slowest pair is overdue. Normally 0; it climbs by a second per second while "
        "a task or a delivery is stuck.",
        over_time(OVERDUE, "{{store}} {{interval}}"),
        unit="s",
    )


def _firing() -> Panel:
    panel = listing(
        "Firing alerts",
        "Each name links to its runbook.",
        rows('ALERTS{alertstate="firing", severity=~"critical|warning"}'),
        columns={
            "alertname": "Alert",
            "severity": "Severity",
            "pair": "Pair",
            "channel": "Channel",
            "interval": "Interval",
            "host": "Host",
        },
    ).no_value("No alert is firing")
    url = f"{board.RUNBOOKS}/${{__data.fields.Alert}}.md"
    return column(panel, "Alert", links=[{"title": "Runbook", "url": url, "targetBlank": True}])


def _by_collector() -> Panel:
    panel = listing(
        "Collectors",
        "The state of each collector. Two collectors with the same pairs receive the same frames.",
        rows('sum by (host, instance) (up{job="collector"})', "A"),
        rows('sum by (host, instance) (marketdata_pairs_watched{exchange="$exchange"})', "B"),
        rows(
            'sum by (host, instance) (marketdata_connections_open{exchange="$exchange"}) '
            '/ sum by (host, instance) (marketdata_connections_configured{exchange="$exchange"})',
            "C",
        ),
        rows('sum by (host, instance) (rate(marketdata_frames_received_total{exchange="$exchange"}[5m]))', "D"),
        rows("sum by (host, instance) (marketdata_points_in_spool)", "E"),
        rows("min by (host, instance) (marketdata_fill_complete)", "F"),
        rows('time() - max by (host, instance) (process_start_time_seconds{job="collector"})', "G"),
        columns={
            "host": "Host",
            "instance": "Collector",
            "Value #A": "Up",
            "Value #B": "Pairs",
            "Value #C": "Connections",
            "Value #D": "Frames/s",
            "Value #E": "In spool",
            "Value #F": "Filled",
            "Value #G": "Running for",
        },
    )
    said(panel, "Up", {0: ("down", BAD), 1: ("up", GOOD)})
    said(panel, "Filled", {0: ("not yet", CAREFUL), 1: ("yes", GOOD)})
    column(panel, "Connections", unit="percentunit", decimals=0)
    column(panel, "Frames/s", unit="short", decimals=0)
    column(panel, "In spool", unit="short")
    return column(panel, "Running for", unit="dtdurations", decimals=0)
