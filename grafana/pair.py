"""Pair: one pair as a quant sees it, and whether its stored data can be trusted."""

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as models

from grafana import board
from grafana.panels import BAD, CAREFUL, GOOD, Panel, candles, graph, number, state, steps
from grafana.queries import Flux, now, over_time

SELECTED = 'exchange="$exchange", pair=${pair:doublequote}'
"""The pair's series in Prometheus; Grafana quotes the value, because a coin's name may contain any character."""

SERIES = "r.exchange == ${exchange:doublequote} and r.pair == ${pair:doublequote}"
CONTRACT = f"""began = from(bucket: "market_data")
  |> range(start: 2019-01-01T00:00:00Z)
  |> filter(fn: (r) => r._measurement == "contracts" and {SERIES})
  |> last()
  |> findColumn(fn: (key) => true, column: "_time")
since = if length(arr: began) > 0 and began[0] > v.timeRangeStart then began[0] else v.timeRangeStart
"""
"""The selected time range, limited to the present contract: the ticker may have belonged to another coin before."""

SHOWN = "|> range(start: since, stop: v.timeRangeStop)"
BUCKET = 'if ${interval:doublequote} == "3m" then "market_data" else "market_data_rollup"'

CANDLES = f"""{CONTRACT}from(bucket: {BUCKET})
  {SHOWN}
  |> filter(fn: (r) => r._measurement == "ohlcv_${{interval:raw}}" and {SERIES})
  |> filter(fn: (r) => contains(value: r._field, set: ["open", "high", "low", "close", "volume"]))
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> group()
  |> map(fn: (r) => ({{
      _time: r._time,
      open: if exists r.open then r.open else r.close,
      high: if exists r.high then r.high else r.close,
      low: if exists r.low then r.low else r.close,
      close: r.close,
      volume: r.volume,
  }}))
  |> sort(columns: ["_time"])"""

HOURS = f"""import "date"
{CONTRACT}start = date.truncate(t: since, unit: 1h)
stop = date.truncate(t: v.timeRangeStop, unit: 1h)
stored = (field) => from(bucket: "market_data_rollup")
  |> range(start: start, stop: stop)
  |> filter(fn: (r) => r._measurement == "ohlcv_1h" and {SERIES} and r._field == field)
  |> set(key: "_field", value: field + "_1h")
rolled = (field, fn) => from(bucket: "market_data")
  |> range(start: start, stop: stop)
  |> filter(fn: (r) => r._measurement == "ohlcv_3m" and {SERIES} and r._field == field)
  |> aggregateWindow(every: 1h, fn: fn, createEmpty: false, timeSrc: "_start")
  |> set(key: "_field", value: field + "_3m")
union(tables: [
    stored(field: "close"),
    stored(field: "volume"),
    rolled(field: "close", fn: last),
    rolled(field: "volume", fn: sum),
])
  |> group()
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> filter(fn: (r) => exists r.close_1h and exists r.close_3m and exists r.volume_1h and exists r.volume_3m)
  |> map(fn: (r) => ({{_time: r._time, close: r.close_3m - r.close_1h, volume: r.volume_3m - r.volume_1h}}))
  |> sort(columns: ["_time"])"""

GAPS = f"""{CONTRACT}from(bucket: "market_data")
  {SHOWN}
  |> filter(fn: (r) => r._measurement == "gaps" and {SERIES})
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> group()
  |> map(fn: (r) => ({{
      time: r._time,
      timeEnd: time(v: int(v: r._time) + int(v: 3m)),
      text: "missing candle: " + r.reason + ", " + r.state,
  }}))"""


def build() -> models.Dashboard:
    """Build the dashboard marketdata-pair."""
    return board.board(
        "marketdata-pair",
        "Pair",
        "One pair: its stored candles, mark price and funding, and whether they can be trusted.",
        variables=[board.prometheus_source(), board.influxdb_source(), board.exchange(), board.pair(), interval()],
        annotations=[
            board.stored("Gaps", "orange", GAPS),
            board.counted(
                "Reconnects",
                "yellow",
                'sum by (channel, reason) (increase(marketdata_connections_ended_total{exchange="$exchange"}'
                "[$__rate_interval])) > 0",
                "{{channel}}: {{reason}}",
            ),
            board.restarts(),
            board.firing(SELECTED),
        ],
        rows=[
            (
                4,
                [
                    (4, _close()),
                    (4, _mark()),
                    (4, _rate()),
                    (4, _next()),
                    (4, _age()),
                    (4, _channels()),
                ],
            ),
            (12, [(24, candles(*CANDLESTICK, Flux(CANDLES)).interval("3m"))]),
            (8, [(8, _marks()), (8, _funding()), (8, _hours())]),
            (7, [(8, _trades()), (8, _messages()), (8, _ages())]),
        ],
    )


CANDLESTICK = (
    "Candles of $pair, $interval",
    "Final candles from the store. A candle without trades is a flat line at the last close. Annotations: gaps, "
    "reconnects, collector starts, alerts.",
)


def interval() -> dashboard.CustomVariable:
    """The interval of the candles."""
    chosen = models.VariableOption(selected=True, text="3m", value="3m")
    return dashboard.CustomVariable("interval").label("Interval").values("3m,15m,1h,4h,1d").current(chosen)


def newest(bucket: str, measurement: str, *fields: str, value: str) -> Flux:
    """The newest point's value (an expression of r, using these fields) within the last day."""
    wanted = " or ".join(f'r._field == "{field}"' for field in fields)
    return Flux(
        f"""from(bucket: "{bucket}")
  |> range(start: -1d)
  |> filter(fn: (r) => r._measurement == "{measurement}" and {SERIES} and ({wanted}))
  |> last()
  |> map(fn: (r) => ({{_time: r._time, value: {value}}}))"""
    )


def shown(bucket: str, measurement: str, fields: dict[str, str], ref: str = "A") -> Flux:
    """These fields (and their display names) over the selected time range, thinned out to the panel's width."""
    wanted = " or ".join(f'r._field == "{field}"' for field in fields)
    names = ", ".join(f'{field}: "{name}"' for field, name in fields.items())
    return Flux(
        f"""{CONTRACT}from(bucket: "{bucket}")
  {SHOWN}
  |> filter(fn: (r) => r._measurement == "{measurement}" and {SERIES} and ({wanted}))
  |> aggregateWindow(every: v.windowPeriod, fn: last, createEmpty: false, timeSrc: "_start")
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> group()
  |> keep(columns: ["_time", {", ".join(f'"{field}"' for field in fields)}])
  |> rename(columns: {{{names}}})
  |> sort(columns: ["_time"])""",
        ref,
    )


def _close() -> Panel:
    return number(
        "Last close",
        "Close of the newest stored 3m candle.",
        newest("market_data", "ohlcv_3m", "close", value="r._value"),
        unit="none",
    )


def _mark() -> Panel:
    return number(
        "Mark price",
        "Newest stored mark price.",
        newest("market_data_samples", "mark_price", "mark", value="r._value"),
        unit="none",
    )


def _rate() -> Panel:
    return number(
        "Funding rate",
        "Estimate for the current period, from the newest sample.",
        newest("market_data_samples", "funding_rate", "rate", value="r._value"),
        unit="percentunit",
        decimals=4,
    )


def _next() -> Panel:
    return number(
        "Next funding",
        "When the current period settles.",
        newest("market_data_samples", "funding_rate", "next_funding_time", value="r._value"),
        unit="dateTimeFromNow",
    )


def _age() -> Panel:
    return number(
        "Age of the newest candle",
        "Time since the close of the newest final candle. Normally up to 180 s; stale from 240 s.",
        now(f"exchange_pair:marketdata_candle_age_seconds:min{{{SELECTED}}}"),
        unit="s",
        decimals=0,
        colors=steps(GOOD, (190, CAREFUL), (240, BAD)),
    )


def _channels() -> Panel:
    return state(
        "Is it fresh?",
        "By channel.",
        now(f"exchange_pair_channel:marketdata_stale:bool{{{SELECTED}}}", "{{channel}}"),
        words={0: ("fresh", GOOD), 1: ("stale", BAD)},
    )


def _marks() -> Panel:
    return graph(
        "Mark and index price",
        "Samples every 10 s.",
        shown("market_data_samples", "mark_price", {"mark": "mark", "index": "index"}),
        unit="none",
        least=None,
    )


def _funding() -> Panel:
    panel = graph(
        "Funding rate, estimated and settled",
        "The current period's estimate, once a minute, and the settled rates (points).",
        shown("market_data_samples", "funding_rate", {"rate": "estimate"}),
        shown("market_data", "funding_settled", {"rate": "settled"}, "B"),
        unit="percentunit",
        least=None,
    )
    points = {"custom.drawStyle": "points", "custom.pointSize": 8, "custom.showPoints": "always"}
    panel.override_by_name("settled", [models.DynamicConfigValue(id_val=key, value=points[key]) for key in points])
    return panel.decimals(4).span_nulls(True)  # the two series have different times


def _hours() -> Panel:
    return (
        graph(
            "Do 3m and 1h agree?",
            "By hour: close of the last 3m candle minus the close of the 1h candle, and sum of the 3m volumes minus "
            "the 1h volume. Both are 0, except for the last digits of the sum. Hours not rolled up yet are left out.",
            Flux(HOURS),
            unit="none",
            least=None,
        )
        .axis_soft_min(-1)
        .axis_soft_max(1)
    )


def _trades() -> Panel:
    return graph(
        "Trades per 3m candle",
        "From the stored candles.",
        shown("market_data", "ohlcv_3m", {"trades": "trades"}),
        unit="short",
    ).interval("3m")


def _messages() -> Panel:
    return graph(
        "Frames per second by channel",
        "On the collector that receives the most.",
        over_time(
            f"max by (channel) (rate(marketdata_messages_total{{{SELECTED}}}[$__rate_interval]))",
            "{{channel}}",
        ),
        unit="short",
    )


def _ages() -> Panel:
    return graph(
        "Age of the newest data",
        "Time since the newest final candle's close, or since the newest frame for the other channels.",
        over_time(
            f"exchange_pair_channel:marketdata_age_seconds:min{{{SELECTED}}}",
            "{{channel}}",
        ),
        unit="s",
        limit=steps(GOOD, (240, BAD)),
    )
