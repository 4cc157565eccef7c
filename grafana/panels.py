"""The kinds of panels that dashboards use, with a common look. Every panel has a title and a description."""

from collections.abc import Mapping, Sequence

from grafana_foundation_sdk.builders import (
    candlestick,
    common,
    dashboard,
    heatmap,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as shared
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode

from grafana.queries import INFLUXDB, PROMETHEUS, FluxQuery, Query

GOOD, CAREFUL, BAD, PLAIN = "green", "orange", "red", "blue"

type Panel = Builder[models.Panel]
type Steps = Sequence[tuple[float, str]]


def steps(base: str, *above: tuple[float, str]) -> dashboard.ThresholdsConfig:
    """Colors: `base` below the first value, then each color from its value up."""
    first = models.Threshold(value=None, color=base)
    return (
        dashboard.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([first, *(models.Threshold(value=value, color=color) for value, color in above)])
    )


def number(
    title: str,
    description: str,
    *queries: Query,
    unit: str,
    colors: dashboard.ThresholdsConfig | None = None,
    decimals: int | None = None,
    link: str | None = None,
    line: bool = False,
) -> stat.Panel:
    """One number (or a few, with names), colored by threshold; `line` draws its history behind it."""
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(_source(queries))
        .targets(list(queries))
        .unit(unit)
        .thresholds(colors or steps(PLAIN))
        .color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
        .color_mode(shared.BigValueColorMode.VALUE)
        .graph_mode(shared.BigValueGraphMode.AREA if line else shared.BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )
    if decimals is not None:
        panel.decimals(decimals)
    if link:
        panel.links([dashboard.DashboardLink("Details").url(link)])
    return panel


def state(title: str, description: str, *queries: Query, words: Mapping[float, tuple[str, str]]) -> stat.Panel:
    """A number shown as a word: value -> (word, color)."""
    return number(title, description, *queries, unit="none").mappings([_words(words)])


def graph(
    title: str,
    description: str,
    *queries: Query,
    unit: str,
    least: float | None = 0,
    most: float | None = None,
    limit: dashboard.ThresholdsConfig | None = None,
    stack: bool = False,
    bars: bool = False,
) -> timeseries.Panel:
    """Lines over time; `limit` draws its steps as horizontal lines, `bars` is for counts per interval."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(_source(queries))
        .targets(list(queries))
        .unit(unit)
        .color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC))
        .line_width(0 if bars else 1)
        .fill_opacity(80 if bars else 30 if stack else 8)
        .show_points(shared.VisibilityMode.NEVER)
        .draw_style(shared.GraphDrawStyle.BARS if bars else shared.GraphDrawStyle.LINE)
        .legend(common.VizLegendOptions().show_legend(True).placement(shared.LegendPlacement.BOTTOM).calcs([]))
        .tooltip(common.VizTooltipOptions().mode(shared.TooltipDisplayMode.MULTI).sort(shared.SortOrder.DESCENDING))
    )
    if least is not None:
        panel.min(least)
    if most is not None:
        panel.max(most)
    if limit:
        panel.thresholds(limit)
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(shared.GraphThresholdsStyleMode.DASHED))
    if stack or bars:
        panel.stacking(common.StackingConfig().mode(shared.StackingMode.NORMAL))
    return panel


def listing(title: str, description: str, *queries: Query, columns: Mapping[str, str], by: str = "") -> table.Panel:
    """A table. `columns`: the columns to show, in order, with their headings; `by`: the heading to sort by, descending.

    Rows of several queries with identical labels are merged into one row.
    """
    panel = (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(_source(queries))
        .targets(list(queries))
        .cell_height(shared.TableCellHeight.SM)
        .filterable(True)
        .unit("none")
        .color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
        .thresholds(steps("text"))
        .transformations(
            [
                models.DataTransformerConfig(id_val="merge", options={}),
                models.DataTransformerConfig(
                    id_val="filterFieldsByName", options={"include": {"names": list(columns)}}
                ),
                models.DataTransformerConfig(
                    id_val="organize",
                    options={
                        "indexByName": {name: index for index, name in enumerate(columns)},
                        "renameByName": dict(columns),
                        "excludeByName": {},
                    },
                ),
            ]
        )
    )
    if by:
        panel.sort_by([common.TableSortByFieldState().display_name(by).desc(True)])
    return panel


def density(title: str, description: str, *queries: Query, unit: str, counted: bool = False) -> heatmap.Panel:
    """Distribution of values over time. `counted`: the queries return histogram buckets; else series are counted."""
    panel = (
        heatmap.Panel()
        .title(title)
        .description(description)
        .datasource(_source(queries))
        .targets(list(queries))
        .unit(unit)
        .calculate(not counted)
        .color(
            heatmap.HeatmapColorOptions()
            .mode(HeatmapColorMode.SCHEME)
            .scheme("Spectral")
            .steps(64)
            .reverse(True)
            .exponent(0.5)
            .fill("dark-orange")
        )
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .filter_values(heatmap.FilterValueRange().le(1e-9))
        .show_legend()
    )
    if not counted:
        panel.calculation(
            common.HeatmapCalculationOptions().y_buckets(
                common.HeatmapCalculationBucketConfig().mode(shared.HeatmapCalculationMode.COUNT).value("30")
            )
        )
    return panel


def timeline(
    title: str, description: str, *queries: Query, words: Mapping[float, tuple[str, str]]
) -> statetimeline.Panel:
    """States over time, one row per series: value -> (word, color)."""
    return (
        statetimeline.Panel()
        .title(title)
        .description(description)
        .datasource(_source(queries))
        .targets(list(queries))
        .unit("none")
        .mappings([_words(words)])
        .merge_values(True)
        .show_value(shared.VisibilityMode.NEVER)
        .row_height(0.8)
        .legend(common.VizLegendOptions().show_legend(True).placement(shared.LegendPlacement.BOTTOM).calcs([]))
    )


def candles(title: str, description: str, query: Query) -> candlestick.Panel:
    """Candlesticks with volume, from a frame with open, high, low, close and volume."""
    fields = candlestick.CandlestickFieldMap().open("open").high("high").low("low").close("close").volume("volume")
    return (
        candlestick.Panel()
        .title(title)
        .description(description)
        .datasource(_source([query]))
        .targets([query])
        .unit("none")
        .fields(fields)
        .include_all_fields(False)
        .legend(common.VizLegendOptions().show_legend(False).calcs([]).placement(shared.LegendPlacement.BOTTOM))
    )


def column(panel: table.Panel, name: str, **properties: object) -> table.Panel:
    """Set properties of a table column, given its heading: unit, decimals, links, thresholds, custom.width, ..."""
    values = [
        models.DynamicConfigValue(id_val=key.replace("__", "."), value=value) for key, value in properties.items()
    ]
    return panel.override_by_name(name, values)


def said(panel: table.Panel, name: str, words: Mapping[float, tuple[str, str]]) -> table.Panel:
    """Show a table column as words: value -> (word, color)."""
    return column(panel, name, mappings=[_words(words)], custom__cellOptions={"type": "color-text"})


def _words(words: Mapping[float, tuple[str, str]]) -> models.ValueMap:
    return models.ValueMap(
        options={
            f"{value:g}": models.ValueMappingResult(text=text, color=color, index=index)
            for index, (value, (text, color)) in enumerate(words.items())
        }
    )


def _source(queries: Sequence[Query]) -> shared.DataSourceRef:
    return INFLUXDB if isinstance(queries[0].build(), FluxQuery) else PROMETHEUS
