"""Queries of the two data sources, and expressions that more than one dashboard shows."""

from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.cog import builder, variants
from grafana_foundation_sdk.models.common import DataSourceRef
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

PROMETHEUS = DataSourceRef(type_val="prometheus", uid="${prometheus_datasource}")
INFLUXDB = DataSourceRef(type_val="influxdb", uid="${influxdb_datasource}")

OBJECTIVE = 0.995
"""The freshness SLO: the share of pairs x channels x time that is fresh. What is over is the error budget."""

CANDLE_AGE_LIMIT_SECONDS = 240
"""A candle closes each 180 s and is stale 60 s after the close it should have had."""

MESSAGE_AGE_LIMIT_SECONDS = 60
STORED_AGE_LIMIT_SECONDS = 360
"""CandlesLate: two intervals after the newest stored candle's end."""

WINDOW_GRACE_SECONDS = 1200
"""RollupsLate: a window is there 15 minutes and 40 s after its end, the sentinel looks each minute."""

STALE = 'exchange_pair_channel:marketdata_stale:bool{exchange="$exchange"}'
STALE_PAIRS = f"max by (exchange, pair) ({STALE})"

AGES = 'exchange_pair_channel:marketdata_age_seconds:min{exchange="$exchange"}'
"""By pair and channel: since the newest final candle's close, since the newest frame."""

AGE_SHARES = (
    f'exchange_pair_channel:marketdata_age_seconds:min{{exchange="$exchange", channel="candles_3m"}} '
    f"/ {CANDLE_AGE_LIMIT_SECONDS} "
    f'or exchange_pair_channel:marketdata_age_seconds:min{{exchange="$exchange", channel!="candles_3m"}} '
    f"/ {MESSAGE_AGE_LIMIT_SECONDS}"
)
"""The same in relation to what is allowed: 1 is stale."""

_STORED = 'marketdata_stored_candle_timestamp_seconds{exchange="$exchange"'
OVERDUE = (
    f'clamp_min(time() - min by (store, interval) ({_STORED}, interval="3m"}}) - {STORED_AGE_LIMIT_SECONDS}, 0) '
    f'or clamp_min(time() - min by (store, interval) ({_STORED}, interval!="3m"}}) '
    "- on (interval) group_left () max by (interval) (marketdata_stored_candle_interval_seconds) "
    f"- {WINDOW_GRACE_SECONDS}, 0)"
)
"""By store and interval, how long the slowest pair's next stored candle is overdue; 0 is on time."""

PAIRS_OVERDUE = (
    f'sum by (store, interval) (time() - {_STORED}, interval="3m"}} > bool {STORED_AGE_LIMIT_SECONDS}) '
    f'or sum by (store, interval) (time() - {_STORED}, interval!="3m"}} '
    "- on (interval) group_left () max by (interval) (marketdata_stored_candle_interval_seconds) "
    f"> bool {WINDOW_GRACE_SECONDS})"
)
"""By store and interval, how many pairs' next stored candle is overdue."""

OLDEST_UNWRITTEN = (
    "(time() - marketdata_spool_oldest_timestamp_seconds) * (marketdata_spool_oldest_timestamp_seconds > bool 0)"
)
"""By collector and store, how long the oldest spool file has waited; 0 without one."""

COLLECTORS = 'job="collector", host=~"$host"'
"""Selects series of the chosen collectors."""

RESTARTS = 'process_start_time_seconds{job="collector"} * 1000'


class FluxQuery(variants.Dataquery):
    """A Flux query as Grafana's InfluxDB data source stores it; the SDK has no model of it."""

    def __init__(self, query: str, ref_id: str = "A") -> None:
        self.query = query
        self.ref_id = ref_id

    def to_json(self) -> dict[str, object]:
        """The query as it stands in a dashboard."""
        return {"datasource": INFLUXDB, "query": self.query, "refId": self.ref_id}


class Flux(builder.Builder[variants.Dataquery]):
    """Builds a FluxQuery."""

    def __init__(self, query: str, ref_id: str = "A") -> None:
        self._built = FluxQuery(query, ref_id)

    def build(self) -> FluxQuery:
        """The query."""
        return self._built


type Query = builder.Builder[variants.Dataquery]


def over_time(expr: str, legend: str = "", ref: str = "A") -> prometheus.Dataquery:
    """A range query, for graphs."""
    return _prometheus(expr, ref).range().legend_format(legend)


def now(expr: str, legend: str = "", ref: str = "A") -> prometheus.Dataquery:
    """An instant query at the end of the shown time, for single numbers."""
    return _prometheus(expr, ref).instant().legend_format(legend)


def rows(expr: str, ref: str = "A") -> prometheus.Dataquery:
    """An instant query as a table: a column for each label, and the value."""
    return now(expr, ref=ref).format(PromQueryFormat.TABLE)


def buckets(expr: str) -> prometheus.Dataquery:
    """A range query of a histogram's buckets by `le`, for heatmaps."""
    return over_time(expr, "{{le}}").format(PromQueryFormat.HEATMAP)


def _prometheus(expr: str, ref: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().datasource(PROMETHEUS).expr(expr).ref_id(ref)
