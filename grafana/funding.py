"""Funding: current and settled rates of all pairs, and when each settles next."""

from grafana_foundation_sdk.models import dashboard as models

from grafana import board
from grafana.panels import BAD, CAREFUL, GOOD, Panel, column, density, graph, listing, number, steps
from grafana.queries import Flux, now, over_time

OF = '{exchange="$exchange"}'
OF_EXCHANGE = "r.exchange == ${exchange:doublequote}"
SHOWN = "|> range(start: v.timeRangeStart, stop: v.timeRangeStop)"

CURRENT = f"""from(bucket: "market_data_samples")
  |> range(start: -1h)
  |> filter(fn: (r) => r._measurement == "funding_rate" and {OF_EXCHANGE})
  |> last()
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> group()"""
"""One row per pair: its newest rate and next_funding_time."""

CURRENT_ROWS = f"""{CURRENT}
  |> keep(columns: ["pair", "rate", "next_funding_time"])"""

SETTLED_ROWS = f"""from(bucket: "market_data")
  |> range(start: -2d)
  |> filter(fn: (r) => r._measurement == "funding_settled" and {OF_EXCHANGE} and r._field == "rate")
  |> last()
  |> group()
  |> map(fn: (r) => ({{pair: r.pair, settled_rate: r._value, settled_time: r._time}}))"""

NEXT_TIMES = f"""{CURRENT}
  |> group(columns: ["next_funding_time"])
  |> count(column: "rate")
  |> group()
  |> sort(columns: ["next_funding_time"])"""

SPREAD = f"""from(bucket: "market_data_samples")
  {SHOWN}
  |> filter(fn: (r) => r._measurement == "funding_rate" and {OF_EXCHANGE} and r._field == "rate")
  |> aggregateWindow(every: v.windowPeriod, fn: last, createEmpty: false, timeSrc: "_start")
  |> keep(columns: ["_time", "_value", "pair"])"""


def build() -> models.Dashboard:
    """Build the dashboard marketdata-funding."""
    return board.board(
        "marketdata-funding",
        "Funding",
        "Funding rates of all pairs: the current period's estimate, settled rates, and when each settles next.",
        variables=[board.prometheus_source(), board.influxdb_source(), board.exchange()],
        rows=[
            (4, [(4, _count()), (4, _highest()), (4, _lowest()), (4, _mean()), (4, _next()), (4, _missing())]),
            (16, [(13, _rates()), (11, _spread())]),
            (8, [(8, _times()), (8, _settled()), (8, _requests())]),
        ],
    )


def summary(aggregate: str) -> Flux:
    """An aggregate of the newest rates of all pairs."""
    return Flux(
        f"""{CURRENT}
  |> keep(columns: ["rate"])
  |> {aggregate}(column: "rate")"""
    )


def _count() -> Panel:
    return number(
        "Pairs with a rate",
        "Pairs with a sample in the last hour.",
        summary("count"),
        unit="none",
        decimals=0,
    )


def _highest() -> Panel:
    return number("Highest rate", "In the current periods.", summary("max"), unit="percentunit", decimals=4)


def _lowest() -> Panel:
    return number("Lowest rate", "In the current periods.", summary("min"), unit="percentunit", decimals=4)


def _mean() -> Panel:
    return number("Mean rate", "In the current periods, unweighted.", summary("mean"), unit="percentunit", decimals=4)


def _next() -> Panel:
    return number(
        "Next settlement",
        "The earliest of all pairs.",
        now(f"1000 * min(max by (pair) (marketdata_next_funding_timestamp_seconds{OF}))"),
        unit="dateTimeFromNow",
    )


def _missing() -> Panel:
    return number(
        "Settled rates missing",
        "Settled rates of the last 30 days that a store lacks. The collector fetches them within the hour.",
        now('max(marketdata_funding_settled_missing{exchange="$exchange"})'),
        unit="none",
        colors=steps(GOOD, (1, CAREFUL)),
    )


def _rates() -> Panel:
    panel = listing(
        "Rates of all pairs",
        "Estimate for the current period, the newest settled rate, and the next settlement. "
        "Click a heading to sort, the funnel to filter.",
        Flux(CURRENT_ROWS),
        Flux(SETTLED_ROWS, "B"),
        columns={
            "pair": "Pair",
            "rate": "Estimate",
            "settled_rate": "Settled",
            "settled_time": "Settled at",
            "next_funding_time": "Next",
        },
        by="Estimate",
    )
    signs = steps(BAD, (0, GOOD)).build()
    column(panel, "Pair", links=board.pair_link(pair_field="${__data.fields.Pair:percentencode}"))
    for name in ("Estimate", "Settled"):
        column(
            panel, name, unit="percentunit", decimals=4, thresholds=signs, custom__cellOptions={"type": "color-text"}
        )
    column(panel, "Settled at", unit="dateTimeFromNow")
    return column(panel, "Next", unit="dateTimeFromNow")


def _spread() -> Panel:
    return density(
        "How are the rates spread?",
        "Pairs by their estimated rate over time: most pairs are in the bright band.",
        Flux(SPREAD),
        unit="percentunit",
    ).max_data_points(72)


def _times() -> Panel:
    panel = listing(
        "Next settlements",
        "How many pairs settle at each time.",
        Flux(NEXT_TIMES),
        columns={"next_funding_time": "Settles", "rate": "Pairs"},
    )
    return column(panel, "Settles", unit="dateTimeAsIso")


def _settled() -> Panel:
    return graph(
        "Age of the newest settled rate",
        "Oldest and median of all pairs. Rates settle every 1, 4 or 8 hours, and are fetched after each hour.",
        over_time(
            'time() - min(max by (pair) (marketdata_funding_settled_timestamp_seconds{exchange="$exchange"} > 0))',
            "oldest",
        ),
        over_time(
            "time() - quantile(0.5, max by (pair) "
            '(marketdata_funding_settled_timestamp_seconds{exchange="$exchange"} > 0))',
            "median",
            "B",
        ),
        unit="s",
    )


def _requests() -> Panel:
    return graph(
        "Requests for funding rates",
        "Requests of each collector in the last 5 minutes that count towards the limit of the funding routes, "
        "and the limit it observes.",
        over_time('max by (host, instance) (marketdata_exchange_funding_requests{exchange="$exchange"})', "{{host}}"),
        over_time('max(marketdata_exchange_funding_requests_limit{exchange="$exchange"})', "limit", "B"),
        unit="none",
    )
