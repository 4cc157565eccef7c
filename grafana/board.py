"""What all dashboards share: frame, variables, links, annotations, and the grid of panels."""

from collections.abc import Sequence

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as models

from grafana.panels import Panel
from grafana.queries import INFLUXDB, PROMETHEUS, RESTARTS, Flux

WIDTH = 24
TAG = "marketdata"
RUNBOOKS = "https://github.com/marketdata-platform/marketdata-platform/blob/main/docs/runbooks"

type Row = str | tuple[int, Sequence[tuple[int, Panel]]]
"""A heading, or a height and panels side by side with their widths, which add up to 24."""


def board(
    uid: str,
    title: str,
    description: str,
    *,
    variables: Sequence[object],
    rows: Sequence[Row],
    annotations: Sequence[dashboard.AnnotationQuery] = (),
) -> models.Dashboard:
    """A dashboard of rows: last 6 hours, refreshed every 30 s, linked to the others, read-only."""
    built = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .time("now-6h", "now")
        .refresh("30s")
        .timezone("utc")
        .readonly()
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(
            dashboard.DashboardLink("Market data")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(True)
            .keep_time(True)
        )
        .variables(list(variables))  # type: ignore[arg-type]  # its builders are of one kind: VariableModel
        .annotations(list(annotations))
        .build()
    )
    built.panels = laid_out(rows)
    return built


def laid_out(rows: Sequence[Row]) -> list[models.Panel | models.RowPanel]:
    """Return the panels of the rows with their grid positions, numbered from 1. Raises ValueError for a gap."""
    placed: list[models.Panel | models.RowPanel] = []
    y = 0
    for row in rows:
        if isinstance(row, str):
            place = models.GridPos(x=0, y=y, w=WIDTH, h=1)
            placed.append(models.RowPanel(id_val=len(placed) + 1, title=row, grid_pos=place, collapsed=False))
            y += 1
            continue
        height, side_by_side = row
        x = 0
        for width, unplaced in side_by_side:
            panel = unplaced.build()
            panel.id_val = len(placed) + 1
            panel.grid_pos = models.GridPos(x=x, y=y, w=width, h=height)
            placed.append(panel)
            x += width
        if x != WIDTH:
            raise ValueError(f"the row at {y} is {x} wide, not {WIDTH}")
        y += height
    return placed


def prometheus_source() -> dashboard.DatasourceVariable:
    """The data source for metrics."""
    return dashboard.DatasourceVariable("prometheus_datasource").label("Prometheus data source").type("prometheus")


def influxdb_source() -> dashboard.DatasourceVariable:
    """The data source for candles, mark prices and funding rates; its query language is Flux."""
    return dashboard.DatasourceVariable("influxdb_datasource").label("InfluxDB data source").type("influxdb")


def exchange() -> dashboard.QueryVariable:
    """The selected exchange."""
    return _labels("exchange", "Exchange", "label_values(marketdata_pairs_watched, exchange)")


def pair() -> dashboard.QueryVariable:
    """The selected pair: any pair that a collector watched in the selected time range."""
    first = models.VariableOption(selected=True, text="BTC/USDT:USDT", value="BTC/USDT:USDT")
    query = 'label_values(marketdata_messages_total{exchange="$exchange"}, pair)'
    return _labels("pair", "Pair", query).current(first)


def host(metric: str) -> dashboard.QueryVariable:
    """The selected hosts, by default all, including targets without the label."""
    every = models.VariableOption(selected=True, text=["All"], value=["$__all"])
    hosts = _labels("host", "Host", f"label_values({metric}, host)")
    return hosts.multi(True).include_all(True).all_value(".*").current(every)


def dashboard_url(uid: str, *variables: str) -> str:
    """A link to a dashboard that keeps the time range and these variables."""
    carried = "".join(f"&${{{name}:queryparam}}" for name in variables)
    return f"/d/{uid}?${{__url_time_range}}{carried}"


def pair_link(
    exchange_field: str = "${exchange}", pair_field: str = "${__data.fields.pair:percentencode}"
) -> list[dict[str, object]]:
    """The links in a table's pair column: to the pair, with the same time range."""
    url = f"/d/marketdata-pair?${{__url_time_range}}&var-exchange={exchange_field}&var-pair={pair_field}"
    return [{"title": "Show the pair", "url": url}]


def restarts() -> dashboard.AnnotationQuery:
    """Collector starts."""
    return (
        _annotation("Collector starts", "purple")
        .datasource(PROMETHEUS)
        .expr(RESTARTS)
        .use_value_for_time(True)
        .title_format("Collector started")
        .text_format("{{host}} {{instance}}")
        .step("60s")
    )


def firing(selector: str) -> dashboard.AnnotationQuery:
    """Periods in which alerts fire; `selector` goes inside the braces of ALERTS."""
    return (
        _annotation("Alerts", "red")
        .datasource(PROMETHEUS)
        .expr(f'ALERTS{{alertstate="firing", severity!="none", {selector}}}')
        .title_format("{{alertname}}")
        .text_format("{{pair}} {{channel}} {{interval}} {{host}}")
        .tag_keys("severity")
        .step("60s")
    )


def counted(name: str, color: str, expr: str, text: str) -> dashboard.AnnotationQuery:
    """Points in time at which a PromQL expression has a value."""
    return _annotation(name, color).datasource(PROMETHEUS).expr(expr).title_format(name).text_format(text).step("60s")


def stored(name: str, color: str, query: str) -> dashboard.AnnotationQuery:
    """Rows of a Flux query with time, timeEnd and text."""
    return _annotation(name, color).datasource(INFLUXDB).target(Flux(query, "Anno"))


def _annotation(name: str, color: str) -> dashboard.AnnotationQuery:
    return dashboard.AnnotationQuery().name(name).icon_color(color).enable(True).hide(False)


def _labels(name: str, label: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(PROMETHEUS)
        .query({"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"})
        .definition(query)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
    )
