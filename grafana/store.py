"""The store's panels on Pipeline: InfluxDB, its tasks, and what the sentinel reads back."""

from grafana.panels import BAD, GOOD, Panel, column, graph, listing, steps
from grafana.queries import COLLECTORS, OVERDUE, PAIRS_OVERDUE, over_time, rows

INFLUXDB = 'job="influxdb"'
NAMED = "* on (bucket) group_left (name) max by (bucket, name) (marketdata_bucket_info)"


def writes() -> Panel:
    """Write requests by status."""
    return graph(
        "Writes to InfluxDB",
        "Requests per second by status. 204: stored; 4xx: data, token or bucket rejected; 5xx: server error.",
        over_time(f"sum by (status) (rate(http_write_request_count{{{INFLUXDB}}}[$__rate_interval]))", "{{status}}"),
        unit="reqps",
    )


def queries() -> Panel:
    """Flux queries by result."""
    return graph(
        "Flux queries",
        "Queries per second by result: tasks, dashboards and re-rolls.",
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
        "A pair has a few in each bucket. A sudden increase means a tag that should be a field.",
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
    """Data that is not in shards yet."""
    return graph(
        "Write-ahead log and cache",
        "Written, but not in shards yet.",
        over_time(f"sum(storage_wal_size{{{INFLUXDB}}})", "log"),
        over_time(f"sum(storage_cache_inuse_bytes{{{INFLUXDB}}})", "cache", "B"),
        unit="bytes",
    )


def compactions() -> Panel:
    """Queued compactions."""
    return graph(
        "Compactions queued",
        "By level. If the queue never empties, the disk is too slow.",
        over_time(f"sum by (level) (storage_compactions_queued{{{INFLUXDB}}})", "level {{level}}"),
        unit="none",
    )


def late() -> Panel:
    """Overdue candles."""
    return graph(
        "Overdue candles by interval",
        "How long the next candle of the slowest pair is overdue; normally 0.",
        over_time(OVERDUE, "{{store}} {{interval}}"),
        unit="s",
    )


def pairs_late() -> Panel:
    """Number of overdue pairs."""
    return graph(
        "Pairs overdue by interval",
        "Pairs whose next stored candle is overdue: a single one is a hole, all mean that a task or delivery is stuck.",
        over_time(PAIRS_OVERDUE, "{{store}} {{interval}}"),
        unit="none",
    )


def incomplete() -> Panel:
    """Missing candles."""
    return graph(
        "Stored candles missing by interval",
        "In the last 2 hours for 3m, in the last 3 windows that are due for the others.",
        over_time(
            'sum by (store, interval) (marketdata_stored_candles_missing{exchange="$exchange"})',
            "{{store}} {{interval}}",
        ),
        unit="none",
    )


def runs() -> Panel:
    """Task runs."""
    return graph(
        "Task runs",
        "Finished runs of the roll-up tasks, by outcome. Each of the four runs every 15 minutes; a failed run is "
        "not repeated, but the next one covers its windows.",
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
        "p99 by task, of recent runs.",
        over_time(
            f'max by (taskID) (task_executor_run_duration{{{INFLUXDB}, taskID!="all", quantile="0.99"}})', "{{taskID}}"
        ),
        unit="s",
    )


def workers() -> Panel:
    """Utilization of the task workers."""
    return graph(
        "Task workers busy",
        "Share of the workers and of their queue in use. Below 80 % nothing runs late.",
        over_time(f"max(task_executor_workers_busy{{{INFLUXDB}}})", "workers"),
        over_time(f"max(task_executor_promise_queue_usage{{{INFLUXDB}}})", "queue", "B"),
        unit="percentunit",
        limit=steps(GOOD, (0.8, BAD)),
    ).axis_soft_max(0.1)


def rerolls() -> Panel:
    """Windows re-rolled by collectors."""
    return graph(
        "Re-rolled windows",
        "Dirty windows waiting to be re-rolled, and runs that succeeded or failed.",
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
    """What each store should hold, and what it holds."""
    panel = listing(
        "Ledger",
        "What each store should hold and what it holds, according to the most complete collector.",
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
            "Value #D": "Re-rolled",
            "Value #E": "Spool files",
            "Value #F": "Spool",
        },
    )
    for name in ("Gaps open", "Exchange holes", "Invalid", "Came late, 7 d", "Spool files"):
        column(panel, name, unit="short")
    for name in ("Complete", "Re-rolled"):
        column(panel, name, unit="dateTimeFromNow")
    return column(panel, "Spool", unit="bytes")


def other_missing() -> Panel:
    """Completeness of funding and mark prices."""
    return graph(
        "Settled rates and mark hours missing",
        "In the last 30 days, in any store; and candles per hour that were due but that the exchange itself lacks.",
        over_time("max by (exchange) (marketdata_funding_settled_missing)", "settled funding"),
        over_time("max by (exchange) (marketdata_mark_candles_missing)", "mark price hours", "B"),
        over_time("sum by (exchange) (increase(marketdata_candles_absent_total[1h]))", "candles absent", "C"),
        unit="short",
    )


def stored_pairs() -> Panel:
    """How many pairs have candles in the store."""
    return graph(
        "Pairs with current candles in the store",
        "By interval, as read back by the sentinel, and the number of collected pairs. A pair listed today "
        "has no 1d window yet.",
        over_time(
            'count by (store, interval) (marketdata_stored_candle_timestamp_seconds{exchange="$exchange"})',
            "{{store}} {{interval}}",
        ),
        over_time('max(marketdata_pairs_watched{exchange="$exchange"})', "collected", "B"),
        unit="none",
    )


def sentinel() -> Panel:
    """Duration of the sentinel's queries."""
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
    """Versions by host."""
    return listing(
        "Versions",
        "Versions by host.",
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
