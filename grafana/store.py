"""The panels of Pipeline about the store: InfluxDB, its tasks, and what the sentinel reads back."""

from grafana.panels import BAD, GOOD, Panel, column, graph, listing, steps
from grafana.queries import COLLECTORS, OVERDUE, PAIRS_OVERDUE, over_time, rows

INFLUXDB = 'job="influxdb"'
NAMED = "* on (bucket) group_left (name) max by (bucket, name) (marketdata_bucket_info)"


def writes() -> Panel:
    """Write requests by status."""
    return graph(
        "Writes to InfluxDB",
        "Requests a second by status. 204 is stored; 4xx is refused data, tokens or buckets; 5xx is trouble.",
        over_time(f"sum by (status) (rate(http_write_request_count{{{INFLUXDB}}}[$__rate_interval]))", "{{status}}"),
        unit="reqps",
    )


def queries() -> Panel:
    """Flux queries by result."""
    return graph(
        "Flux queries",
        "Queries a second by result. Tasks, dashboards and re-rolls.",
        over_time(f"sum by (result) (rate(qc_requests_total{{{INFLUXDB}}}[$__rate_interval]))", "{{result}}"),
        unit="reqps",
    )


def reads() -> Panel:
    """How long queries take."""
    return graph(
        "How long do queries take?",
        "p99 of Flux and of InfluxQL (the reader library and the sentinel).",
        over_time(
            "histogram_quantile(0.99, sum by (le) "
            f"(rate(qc_all_duration_seconds_bucket{{{INFLUXDB}}}[$__rate_interval])))",
            "Flux",
        ),
        over_time(
            "histogram_quantile(0.99, sum by (le) "
            f"(rate(influxql_service_executing_duration_seconds_bucket{{{INFLUXDB}}}[$__rate_interval])))",
            "InfluxQL",
            "B",
        ),
        unit="s",
    )


def series() -> Panel:
    """Series by bucket."""
    return graph(
        "Series by bucket",
        "A pair has a handful in each bucket. A sudden climb is a tag that should be a field.",
        over_time(f"max by (bucket) (storage_bucket_series_num{{{INFLUXDB}}}) {NAMED}", "{{name}}"),
        unit="short",
    )


def disk() -> Panel:
    """Disk by bucket."""
    return graph(
        "Disk by bucket",
        "Shards on disk.",
        over_time(f"sum by (bucket) (storage_shard_disk_size{{{INFLUXDB}}}) {NAMED}", "{{name}}"),
        unit="bytes",
        stack=True,
    )


def wal() -> Panel:
    """What is not in shards yet."""
    return graph(
        "Write-ahead log and cache",
        "Written, not yet in shards.",
        over_time(f"sum(storage_wal_size{{{INFLUXDB}}})", "log"),
        over_time(f"sum(storage_cache_inuse_bytes{{{INFLUXDB}}})", "cache", "B"),
        unit="bytes",
    )


def compactions() -> Panel:
    """Compactions that wait."""
    return graph(
        "Compactions queued",
        "By level. A queue that never empties is a disk that is too slow.",
        over_time(f"sum by (level) (storage_compactions_queued{{{INFLUXDB}}})", "level {{level}}"),
        unit="none",
    )


def late() -> Panel:
    """Overdue candles."""
    return graph(
        "Overdue candles by interval",
        "How long the next candle of the slowest pair is overdue; flat at 0 in health.",
        over_time(OVERDUE, "{{store}} {{interval}}"),
        unit="s",
    )


def pairs_late() -> Panel:
    """How many are overdue."""
    return graph(
        "Pairs overdue by interval",
        "Pairs whose next stored candle is overdue: one is a hole, all are a task or a delivery that stands still.",
        over_time(PAIRS_OVERDUE, "{{store}} {{interval}}"),
        unit="none",
    )


def incomplete() -> Panel:
    """Missing candles."""
    return graph(
        "Stored candles missing by interval",
        "By interval: of the last 2 hours of 3m, of the last 3 windows that are due.",
        over_time(
            'sum by (store, interval) (marketdata_stored_candles_missing{exchange="$exchange"})',
            "{{store}} {{interval}}",
        ),
        unit="none",
    )


def runs() -> Panel:
    """Runs of the tasks."""
    return graph(
        "Task runs",
        "Runs of the roll-up tasks that ended, by outcome. Each of four runs every 15 minutes; a run that failed is "
        "not repeated, the next one covers its windows.",
        over_time(
            f"sum by (status) (increase(task_executor_total_runs_complete{{{INFLUXDB}}}[$__rate_interval]))",
            "{{status}}",
        ),
        unit="none",
        bars=True,
    )


def run_time() -> Panel:
    """How long a task takes."""
    return graph(
        "How long does a task run take?",
        "p99 by task, of the last runs.",
        over_time(
            f'max by (taskID) (task_executor_run_duration{{{INFLUXDB}, taskID!="all", quantile="0.99"}})', "{{taskID}}"
        ),
        unit="s",
    )


def workers() -> Panel:
    """How busy the task workers are."""
    return graph(
        "Task workers busy",
        "Share of the workers and of their queue that is taken. Nothing runs late below 80 %.",
        over_time(f"max(task_executor_workers_busy{{{INFLUXDB}}})", "workers"),
        over_time(f"max(task_executor_promise_queue_usage{{{INFLUXDB}}})", "queue", "B"),
        unit="percentunit",
        limit=steps(GOOD, (0.8, BAD)),
    ).axis_soft_max(0.1)


def rerolls() -> Panel:
    """Windows rolled again by collectors."""
    return graph(
        "Windows rolled again",
        "Windows that late candles touched and that wait to be rolled again, and runs that did or failed.",
        over_time("sum by (store) (marketdata_rollup_windows_dirty)", "{{store}} waiting"),
        over_time(
            "sum by (store) (increase(marketdata_rollup_repair_runs_total[$__rate_interval]))", "{{store}} runs", "B"
        ),
        over_time(
            "sum by (store) (increase(marketdata_rollup_repair_failures_total[$__rate_interval]))",
            "{{store}} failures",
            "C",
        ),
        unit="short",
    )


def ledger() -> Panel:
    """The book of what each store should hold."""
    panel = listing(
        "Ledger",
        "What each store should hold, and does: as the collector that knows most says.",
        rows("max by (store) (marketdata_gaps_open)", "A"),
        rows("max by (store) (marketdata_exchange_holes)", "B"),
        rows("max by (store) (marketdata_exchange_invalid)", "G"),
        rows("max by (store) (sum by (instance, store) (increase(marketdata_exchange_holes_filled_total[7d])))", "H"),
        rows("1000 * max by (store) (marketdata_ledger_pass_timestamp_seconds)", "C"),
        rows("1000 * max by (store) (marketdata_rollup_repair_timestamp_seconds > 0)", "D"),
        rows("sum by (store) (marketdata_spool_files)", "E"),
        rows("sum by (store) (marketdata_spool_bytes)", "F"),
        columns={
            "store": "Store",
            "Value #A": "Gaps open",
            "Value #B": "Exchange holes",
            "Value #G": "Invalid",
            "Value #H": "Came late, 7 d",
            "Value #C": "Complete",
            "Value #D": "Rolled again",
            "Value #E": "Spool files",
            "Value #F": "Spool",
        },
    )
    for name in ("Gaps open", "Exchange holes", "Invalid", "Came late, 7 d", "Spool files"):
        column(panel, name, unit="short")
    for name in ("Complete", "Rolled again"):
        column(panel, name, unit="dateTimeFromNow")
    return column(panel, "Spool", unit="bytes")


def other_missing() -> Panel:
    """What else is complete or not."""
    return graph(
        "Settled rates and mark hours missing",
        "Of the last 30 days, in any store; and candles an hour that were due and that the exchange itself lacks.",
        over_time("max by (exchange) (marketdata_funding_settled_missing)", "settled funding"),
        over_time("max by (exchange) (marketdata_mark_candles_missing)", "mark price hours", "B"),
        over_time("sum by (exchange) (increase(marketdata_candles_absent_total[1h]))", "candles absent", "C"),
        unit="short",
    )


def stored_pairs() -> Panel:
    """How many pairs the store has candles of."""
    return graph(
        "Pairs with current candles in the store",
        "By interval, as the sentinel reads them back, and the pairs that are collected. A pair that was listed today "
        "has no day yet.",
        over_time(
            'count by (store, interval) (marketdata_stored_candle_timestamp_seconds{exchange="$exchange"})',
            "{{store}} {{interval}}",
        ),
        over_time('max(marketdata_pairs_watched{exchange="$exchange"})', "collected", "B"),
        unit="none",
    )


def sentinel() -> Panel:
    """How long the sentinel's queries take."""
    return graph(
        "The sentinel's own queries",
        "How long it takes to read the newest candles back, by interval.",
        over_time("max by (store, interval) (marketdata_sentinel_query_duration_seconds)", "{{store}} {{interval}}"),
        over_time(
            "sum by (store, reason) (increase(marketdata_sentinel_failures_total[$__rate_interval]))",
            "{{store}} failed: {{reason}}",
            "B",
        ),
        unit="s",
    )


def versions() -> Panel:
    """What runs where."""
    return listing(
        "Versions",
        "What runs where.",
        rows(f"max by (host, instance, job, version, cryptofeed) (marketdata_build_info{{{COLLECTORS}}})", "A"),
        rows('max by (host, instance, job, version) (marketdata_sentinel_build_info{job="sentinel"})', "B"),
        rows(f"max by (host, instance, job, version) (influxdb_info{{{INFLUXDB}}})", "C"),
        rows('max by (host, instance, job, version) (prometheus_build_info{job="prometheus"})', "D"),
        columns={
            "job": "Program",
            "version": "Version",
            "cryptofeed": "cryptofeed",
            "host": "Host",
            "instance": "Address",
        },
    )
