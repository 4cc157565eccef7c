"""Queries to both data sources, and expressions that several dashboards use."""

from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.cog import builder, variants
from grafana_foundation_sdk.models.common import DataSourceRef
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

PROMETHEUS = DataSourceRef(type_val="prometheus", uid="${prometheus_datasource}")
INFLUXDB = DataSourceRef(type_val="influxdb", uid="${influxdb_datasource}")

OBJECTIVE = 0.995
"""The freshness objective: the share of pairs x channels x time that is fresh. The rest is the error budget."""

CANDLE_AGE_LIMIT_SECONDS = 240
"""A candle closes every 180 s and is stale if missing 60 s after its close."""

MESSAGE_AGE_LIMIT_SECONDS = 60
STORED_AGE_LIMIT_SECONDS = 360
"""CandlesLate: two intervals after the newest stored candle's end."""

WINDOW_GRACE_SECONDS = 1200
"""RollupsLate: a window is written 15 minutes and 40 s after its end; the sentinel reads every minute."""

STALE = 'exchange_pair_channel:marketdata_stale:bool{exchange="$exchange"}'
STALE_PAIRS = f"max by (exchange, pair) ({STALE})"

AGES = 'exchange_pair_channel:marketdata_age_seconds:min{exchange="$exchange"}'
"""By pair and channel: time since the newest final candle's close, or since the newest frame."""

AGE_SHARES = (
    f'exchange_pair_channel:marketdata_age_seconds:min{{exchange="$exchange", channel="candles_3m"}} '
    f"/ {CANDLE_AGE_LIMIT_SECONDS} "
    f'or exchange_pair_channel:marketdata_age_seconds:min{{exchange="$exchange", channel!="candles_3m"}} '
    f"/ {MESSAGE_AGE_LIMIT_SECONDS}"
)
"""The same relative to the limit: 1 is stale."""

_STORED = 'marketdata_stored_candle_timestamp_seconds{exchange="$exchange"'
OVERDUE = (
    f'clamp_min(time() - min by (store, interval) ({_STORED}, interval="3m"}}) - {STORED_AGE_LIMIT_SECONDS}, 0) '
    f'or clamp_min(time() - min by (store, interval) ({_STORED}, interval!="3m"}}) '
    "- on (interval) group_left () max by (interval) (marketdata_stored_candle_interval_seconds) "
    f"- {WINDOW_GRACE_SECONDS}, 0)"
)
"""By store and interval: how long the slowest pair's next stored candle is overdue; 0 is on time."""

PAIRS_OVERDUE = (
    f'sum by (store, interval) (time() - {_STORED}, interval="3m"}} > bool {STORED_AGE_LIMIT_SECONDS}) '
    f'or sum by (store, interval) (time() - {_STORED}, interval!="3m"}} '
    "- on (interval) group_left () max by (interval) (marketdata_stored_candle_interval_seconds) "
    f"> bool {WINDOW_GRACE_SECONDS})"
)
"""By store and interval: how many pairs' next stored candle is overdue."""

OLDEST_UNWRITTEN = (
    "(time() - marketdata_spool_oldest_timestamp_seconds) * (marketdata_spool_oldest_timestamp_seconds > bool 0)"
)
"""By collector and store: how long the oldest spool file has been waiting; 0 if there is none."""

COLLECTORS = 'job="collector", host=~"$host"'
"""Selects the series of the selected collectors."""

RESTARTS = 'process_start_time_seconds{job="collector"} * 1000'


class FluxQuery(variants.Dataquery):
    """A Flux query in the format of Grafana's InfluxDB data source, for which the SDK has no model."""

    def __init__(self, query: str, ref_id: str = "A") -> None:
        self.query = query
        self.ref_id = ref_id

    def to_json(self) -> dict[str, object]:
        """Return the query as stored in a dashboard."""
        return {"datasource": INFLUXDB, "query": self.query, "refId": self.ref_id}


class Flux(builder.Builder[variants.Dataquery]):
    """Builds a FluxQuery."""

    def __init__(self, query: str, ref_id: str = "A") -> None:
        self._built = FluxQuery(query, ref_id)

    def build(self) -> FluxQuery:
        """Return the query."""
        return self._built


type Query = builder.Builder[variants.Dataquery]


def over_time(expr: str, legend: str = "", ref: str = "A") -> prometheus.Dataquery:
    """A range query, for graphs."""
    return _prometheus(expr, ref).range().legend_format(legend)


def now(expr: str, legend: str = "", ref: str = "A") -> prometheus.Dataquery:
    """An instant query at the end of the time range, for single numbers."""
    return _prometheus(expr, ref).instant().legend_format(legend)


def rows(expr: str, ref: str = "A") -> prometheus.Dataquery:
    """An instant query as a table: a column per label, and the value."""
    return now(expr, ref=ref).format(PromQueryFormat.TABLE)


def buckets(expr: str) -> prometheus.Dataquery:
    """A range query for a histogram's buckets by `le`, for heatmaps."""
    return over_time(expr, "{{le}}").format(PromQueryFormat.HEATMAP)


def _prometheus(expr: str, ref: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().datasource(PROMETHEUS).expr(expr).ref_id(ref)
