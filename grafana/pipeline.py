"""Pipeline: from the collector's queue to the store's last roll-up. Where is data held up?"""

from grafana_foundation_sdk.models import dashboard as models

from grafana import board, store
from grafana.panels import BAD, CAREFUL, GOOD, Panel, column, graph, listing, number, steps
from grafana.queries import COLLECTORS, OLDEST_UNWRITTEN, OVERDUE, now, over_time, rows

WAITING = "marketdata_points_in_queue + marketdata_points_in_batch + marketdata_points_in_spool"


def build() -> models.Dashboard:
    """Build the dashboard marketdata-pipeline."""
    return board.board(
        "marketdata-pipeline",
        "Pipeline",
        "Collector, spool, InfluxDB, roll-up tasks: how much flows, and where is it held up?",
        variables=[board.prometheus_source(), board.exchange(), board.host('up{job="collector"}')],
        annotations=[
            board.restarts(),
            board.firing('alertname=~"Collector.+|Write.+|Spool.+|Points.+|Gaps.+|Candle.+|Rollups.+|InfluxDB.+"'),
        ],
        rows=[
            (4, [(4, _waiting()), (4, _oldest()), (4, _lost()), (4, _gaps()), (4, _missing()), (4, _overdue())]),
            (8, [(8, _points()), (8, _in_flight()), (8, _write_time())]),
            (7, [(8, _spool()), (8, _losses()), (8, _gap_flow())]),
            "Collector processes",
            (7, [(6, _heartbeat()), (6, _cpu()), (6, _memory()), (6, _files())]),
            (7, [(6, _corrected()), (6, _readers()), (6, _events()), (6, _fill())]),
            (6, [(14, store.ledger()), (10, store.other_missing())]),
            "InfluxDB",
            (7, [(8, store.writes()), (8, store.queries()), (8, store.reads())]),
            (7, [(6, store.series()), (6, store.disk()), (6, store.wal()), (6, store.compactions())]),
            "Roll-ups",
            (8, [(6, store.late()), (6, store.pairs_late()), (6, store.incomplete()), (6, store.runs())]),
            (7, [(8, store.run_time()), (8, store.workers()), (8, store.rerolls())]),
            (7, [(8, store.stored_pairs()), (8, store.sentinel()), (8, store.versions())]),
        ],
    )


def _waiting() -> Panel:
    return number(
        "Points waiting",
        "In queue, batch and spool of all collectors.",
        now(f"sum({WAITING})"),
        unit="short",
        colors=steps(GOOD, (20_000, CAREFUL), (1_000_000, BAD)),
        line=True,
    )


def _oldest() -> Panel:
    return number(
        "Oldest unwritten",
        "How long the oldest spool file has been waiting for its store.",
        now(f"max({OLDEST_UNWRITTEN})"),
        unit="s",
        decimals=0,
        colors=steps(GOOD, (15, CAREFUL), (60, BAD)),
    )


def _lost() -> Panel:
    return number(
        "Points lost in 24 h",
        "Dropped on purpose (spool full, older than the retention) or rejected by the store as bad data.",
        now(
            "sum(increase(marketdata_points_dropped_total[24h])) + sum(increase(marketdata_points_rejected_total[24h]))"
        ),
        unit="short",
        decimals=0,
        colors=steps(GOOD, (1, BAD)),
    )


def _gaps() -> Panel:
    return number(
        "Gaps open",
        "Candles that a store lacks and that the exchange may have; the collector is fetching them.",
        now("sum(max by (store) (marketdata_gaps_open))"),
        unit="short",
        colors=steps(GOOD, (1, CAREFUL), (1000, BAD)),
    )


def _missing() -> Panel:
    return number(
        "Stored candles missing",
        "In the last 2 hours and the last 3 windows of each roll-up, as read back from the store by the sentinel.",
        now('sum(marketdata_stored_candles_missing{exchange="$exchange"})'),
        unit="short",
        colors=steps(GOOD, (1, CAREFUL), (100, BAD)),
    )


def _overdue() -> Panel:
    return number(
        "Most overdue candle",
        "For any pair, interval and store, as read back by the sentinel. 0 is on time.",
        now(f"max({OVERDUE})"),
        unit="s",
        decimals=0,
        colors=steps(GOOD, (1, CAREFUL), (900, BAD)),
    )


def _points() -> Panel:
    return graph(
        "Points per second",
        "Produced, and acknowledged by each store.",
        over_time("sum by (store) (rate(marketdata_points_produced_total[$__rate_interval]))", "{{store}} produced"),
        over_time(
            "sum by (store) (rate(marketdata_points_acknowledged_total[$__rate_interval]))",
            "{{store}} acknowledged",
            "B",
        ),
        over_time(
            "sum by (store) (rate(marketdata_points_recovered_from_spool_total[$__rate_interval]))",
            "{{store}} recovered from the spool",
            "C",
        ),
        unit="short",
    )


def _in_flight() -> Panel:
    return graph(
        "Points on the way",
        "Where points are waiting: queue (to be batched), batch (open), spool (on disk, not in the store yet).",
        over_time("sum by (store) (marketdata_points_in_queue)", "{{store}} queue"),
        over_time("sum by (store) (marketdata_points_in_batch)", "{{store}} batch", "B"),
        over_time("sum by (store) (marketdata_points_in_spool)", "{{store}} spool", "C"),
        unit="short",
        stack=True,
    )


def _write_time() -> Panel:
    return graph(
        "How long does a write take?",
        "Median and p99 of one request, by what the store's response means.",
        over_time(
            "histogram_quantile(0.5, sum by (le, outcome) "
            "(rate(marketdata_write_duration_seconds_bucket[$__rate_interval])))",
            "{{outcome}} p50",
        ),
        over_time(
            "histogram_quantile(0.99, sum by (le, outcome) "
            "(rate(marketdata_write_duration_seconds_bucket[$__rate_interval])))",
            "{{outcome}} p99",
            "B",
        ),
        unit="s",
    )


def _spool() -> Panel:
    return graph(
        "How full is the spool?",
        "The fuller of its two limits, bytes and files. At 100 % the oldest batches are dropped.",
        over_time(
            f"max by (host, instance, store) (marketdata_spool_fullness_ratio{{{COLLECTORS}}})",
            "{{host}} {{instance}} {{store}}",
        ),
        unit="percentunit",
        limit=steps(GOOD, (0.5, CAREFUL), (0.9, BAD)),
    ).axis_soft_max(0.1)


def _losses() -> Panel:
    return graph(
        "Points dropped and rejected",
        "Dropped by reason, and rejected by a store as bad data (kept in rejected/).",
        over_time(
            "sum by (store, reason) (increase(marketdata_points_dropped_total[$__rate_interval]))",
            "{{store}} {{reason}}",
        ),
        over_time(
            "sum by (store) (increase(marketdata_points_rejected_total[$__rate_interval]))", "{{store}} rejected", "B"
        ),
        unit="none",
        bars=True,
    )


def _gap_flow() -> Panel:
    return graph(
        "Gaps found and repaired",
        "Candles found missing in a store, by reason, and those that are back.",
        over_time(
            "sum by (store, reason) (increase(marketdata_gaps_found_total[$__rate_interval]))", "{{store}} {{reason}}"
        ),
        over_time(
            "sum by (store) (increase(marketdata_gaps_repaired_total[$__rate_interval]))", "{{store}} repaired", "B"
        ),
        unit="none",
        bars=True,
    )


def _heartbeat() -> Panel:
    return graph(
        "Event loop",
        "Time since the loop last ran. It runs every second.",
        over_time(
            f"timestamp(marketdata_event_loop_heartbeat_timestamp_seconds{{{COLLECTORS}}}) "
            f"- marketdata_event_loop_heartbeat_timestamp_seconds{{{COLLECTORS}}}",
            "{{host}} {{instance}}",
        ),
        unit="s",
        limit=steps(GOOD, (30, BAD)),
    )


def _cpu() -> Panel:
    return graph(
        "CPU",
        "Cores used by each collector; it can use one at most.",
        over_time(f"rate(process_cpu_seconds_total{{{COLLECTORS}}}[$__rate_interval])", "{{host}} {{instance}}"),
        unit="none",
    )


def _memory() -> Panel:
    return graph(
        "Memory",
        "Resident memory of each collector.",
        over_time(f"process_resident_memory_bytes{{{COLLECTORS}}}", "{{host}} {{instance}}"),
        unit="bytes",
    )


def _files() -> Panel:
    return graph(
        "Open files",
        "File descriptors of each collector relative to its limit.",
        over_time(f"process_open_fds{{{COLLECTORS}}} / process_max_fds{{{COLLECTORS}}}", "{{host}} {{instance}}"),
        unit="percentunit",
    )


def _corrected() -> Panel:
    return graph(
        "Candles verified and corrected",
        "The sweep compares stored candles with the exchange's, hour by hour, and rewrites wrong ones.",
        over_time(
            "sum by (store) (increase(marketdata_candles_verified_total[$__rate_interval]))", "{{store}} verified"
        ),
        over_time(
            "sum by (store) (increase(marketdata_candles_corrected_total[$__rate_interval]))",
            "{{store}} corrected",
            "B",
        ),
        unit="short",
    )


def _readers() -> Panel:
    return graph(
        "Readers of /stream",
        "Connected readers, and candles kept in memory for them because no store has acknowledged them.",
        over_time(f"sum by (host, instance) (marketdata_stream_readers{{{COLLECTORS}}})", "{{host}} readers"),
        over_time(
            f"sum by (host, instance) (marketdata_stream_candles_unacknowledged{{{COLLECTORS}}})",
            "{{host}} unacknowledged candles",
            "B",
        ),
        unit="short",
    )


def _events() -> Panel:
    return graph(
        "Events to readers",
        "Events per second, counted once per reader; readers cut off because they were too far behind; and candles "
        "dropped from memory at its limit.",
        over_time(f"sum(rate(marketdata_stream_events_sent_total{{{COLLECTORS}}}[$__rate_interval]))", "events/s"),
        over_time(
            f"sum(increase(marketdata_stream_readers_cut_off_total{{{COLLECTORS}}}[$__rate_interval]))", "cut off", "B"
        ),
        over_time(
            f"sum(increase(marketdata_stream_candles_forgotten_total{{{COLLECTORS}}}[$__rate_interval]))",
            "forgotten",
            "C",
        ),
        unit="short",
    )


def _fill() -> Panel:
    panel = listing(
        "Fill at the start",
        "What the stores lacked when each collector started, and how much of it has been requested so far.",
        rows(f"sum by (host, instance, kind) (marketdata_fill_missing{{{COLLECTORS}}})", "A"),
        rows(f"sum by (host, instance, kind) (marketdata_fill_fetched{{{COLLECTORS}}})", "B"),
        columns={"host": "Host", "instance": "Collector", "kind": "Kind", "Value #A": "Missing", "Value #B": "Fetched"},
    )
    column(panel, "Missing", unit="short")
    return column(panel, "Fetched", unit="short")
