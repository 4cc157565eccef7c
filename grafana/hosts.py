"""Hosts: the machines, what they run, and whether the monitoring itself works."""

from grafana_foundation_sdk.models import dashboard as models

from grafana import board
from grafana.panels import BAD, CAREFUL, GOOD, Panel, column, graph, listing, number, said, steps
from grafana.queries import now, over_time, rows

NODE = 'job="node", host=~"$host"'
DISKS = f'{NODE}, fstype!~"tmpfs|ramfs|overlay|squashfs|fuse.*|nsfs"'
WIRES = f'{NODE}, device!~"lo|veth.*|docker.*|br-.*"'
AVAILABLE = f"node_filesystem_avail_bytes{{{DISKS}}}"
SIZE = f"node_filesystem_size_bytes{{{DISKS}}}"


def build() -> models.Dashboard:
    """Build the dashboard marketdata-hosts."""
    return board.board(
        "marketdata-hosts",
        "Hosts",
        "The machines, what they run, and whether the monitoring itself works.",
        variables=[board.prometheus_source(), board.host("up")],
        annotations=[board.firing('alertname=~"Host.+|Target.+|Filesystem.+|Clock.+|Systemd.+|Prometheus.+|Alertm.+"')],
        rows=[
            (4, [(4, _targets()), (5, _fullest()), (5, _units()), (5, _clock_now()), (5, _watchdog())]),
            (8, [(8, _cpu()), (8, _memory()), (8, _disk())]),
            (7, [(8, _in_a_day()), (8, _busy()), (8, _network())]),
            (8, [(9, _jobs()), (7, _probes()), (8, _clock())]),
            "Prometheus and Alertmanager",
            (7, [(6, _scrapes()), (6, _rules()), (6, _head()), (6, _notifications())]),
        ],
    )


def _targets() -> Panel:
    return number(
        "Targets down",
        "Programs that do not respond to Prometheus.",
        now('sum(up{host=~"$host"} == bool 0)'),
        unit="none",
        colors=steps(GOOD, (1, BAD)),
    )


def _fullest() -> Panel:
    return number(
        "Fullest filesystem",
        "On the selected hosts.",
        now(f"max(1 - {AVAILABLE} / {SIZE})"),
        unit="percentunit",
        decimals=0,
        colors=steps(GOOD, (0.6, CAREFUL), (0.9, BAD)),
    )


def _units() -> Panel:
    return number(
        "Units failed",
        "systemd units in the state failed.",
        now(f'sum(node_systemd_unit_state{{{NODE}, state="failed"}})'),
        unit="none",
        colors=steps(GOOD, (1, BAD)),
    )


def _clock_now() -> Panel:
    return number(
        "Clock offset",
        "The largest, as reported by the hosts' time services.",
        now(f"max(abs(node_timex_offset_seconds{{{NODE}}}))"),
        unit="s",
        decimals=1,
        colors=steps(GOOD, (0.01, CAREFUL), (0.05, BAD)),
    )


def _watchdog() -> Panel:
    return number(
        "Watchdog",
        "The alert that always fires: 1 means that rules are evaluated. An external service checks that it arrives.",
        now('count(ALERTS{alertname="Watchdog", alertstate="firing"})'),
        unit="none",
        colors=steps(BAD, (1, GOOD)),
    )


def _cpu() -> Panel:
    return graph(
        "CPU",
        "Share of all cores in use.",
        over_time(
            f'1 - avg by (host) (rate(node_cpu_seconds_total{{{NODE}, mode="idle"}}[$__rate_interval]))', "{{host}}"
        ),
        unit="percentunit",
        most=1,
    )


def _memory() -> Panel:
    return graph(
        "Memory",
        "Share in use; page cache that can be reclaimed counts as free.",
        over_time(
            f"1 - sum by (host) (node_memory_MemAvailable_bytes{{{NODE}}}) "
            f"/ sum by (host) (node_memory_MemTotal_bytes{{{NODE}}})",
            "{{host}}",
        ),
        unit="percentunit",
        most=1,
    )


def _disk() -> Panel:
    return graph(
        "Disk",
        "Share in use, by filesystem.",
        over_time(f"1 - max by (host, mountpoint) ({AVAILABLE} / {SIZE})", "{{host}} {{mountpoint}}"),
        unit="percentunit",
        most=1,
        limit=steps(GOOD, (0.9, BAD)),
    )


def _in_a_day() -> Panel:
    return graph(
        "Disk free in a day",
        "If the last 6 hours continue: share of the filesystem free in 24 hours. Below 0 it is full by then.",
        over_time(
            f"min by (host, mountpoint) (predict_linear({AVAILABLE}[6h], 86400) / {SIZE})", "{{host}} {{mountpoint}}"
        ),
        unit="percentunit",
        least=None,
        most=1,
        limit=steps(BAD, (0, GOOD)),
    )


def _busy() -> Panel:
    return graph(
        "Disk busy",
        "Share of the time in which the device was serving requests.",
        over_time(
            f"max by (host, device) (rate(node_disk_io_time_seconds_total{{{NODE}}}[$__rate_interval]))",
            "{{host}} {{device}}",
        ),
        unit="percentunit",
    )


def _network() -> Panel:
    return graph(
        "Network",
        "Bytes per second, received and sent (negative).",
        over_time(
            f"sum by (host) (rate(node_network_receive_bytes_total{{{WIRES}}}[$__rate_interval]))", "{{host}} in"
        ),
        over_time(
            f"-sum by (host) (rate(node_network_transmit_bytes_total{{{WIRES}}}[$__rate_interval]))",
            "{{host}} out",
            "B",
        ),
        unit="Bps",
        least=None,
    )


def _jobs() -> Panel:
    panel = listing(
        "Programs",
        "Every target that Prometheus scrapes, and the cost of a scrape.",
        rows('max by (job, host, instance) (up{host=~"$host"})', "A"),
        rows('max by (job, host, instance) (scrape_duration_seconds{host=~"$host"})', "B"),
        rows('max by (job, host, instance) (scrape_samples_scraped{host=~"$host"})', "C"),
        columns={
            "job": "Program",
            "host": "Host",
            "instance": "Address",
            "Value #A": "Up",
            "Value #B": "Scrape",
            "Value #C": "Samples",
        },
    )
    said(panel, "Up", {0: ("down", BAD), 1: ("up", GOOD)})
    column(panel, "Scrape", unit="s", decimals=3)
    return column(panel, "Samples", unit="short")


def _probes() -> Panel:
    panel = listing(
        "Probes from outside",
        "Does each service respond to a client that knows nothing about it?",
        rows('max by (service, instance) (probe_success{job="blackbox"})', "A"),
        rows('max by (service, instance) (probe_duration_seconds{job="blackbox"})', "B"),
        columns={"service": "Service", "instance": "Address", "Value #A": "Answers", "Value #B": "Took"},
    )
    said(panel, "Answers", {0: ("no", BAD), 1: ("yes", GOOD)})
    return column(panel, "Took", unit="s", decimals=3)


def _clock() -> Panel:
    return graph(
        "Clock offset by host",
        "As reported by the host's time service, and whether it is synchronised (1).",
        over_time(f"max by (host) (node_timex_offset_seconds{{{NODE}}})", "{{host}}"),
        unit="s",
        least=None,
    )


def _scrapes() -> Panel:
    return graph(
        "Slowest scrape by program",
        "Must stay below the scrape interval of 15 s.",
        over_time('max by (job) (scrape_duration_seconds{host=~"$host"})', "{{job}}"),
        unit="s",
    )


def _rules() -> Panel:
    return graph(
        "Rule groups",
        "Evaluation time of a group relative to its interval, and failed rules.",
        over_time(
            'max by (rule_group) (prometheus_rule_group_last_duration_seconds{job="prometheus"} '
            '/ prometheus_rule_group_interval_seconds{job="prometheus"})',
            "{{rule_group}}",
        ),
        over_time(
            'sum(increase(prometheus_rule_evaluation_failures_total{job="prometheus"}[$__rate_interval]))',
            "failed",
            "B",
        ),
        unit="percentunit",
    )


def _head() -> Panel:
    return graph(
        "Series in Prometheus",
        "In memory. A sudden increase means a label with too many values.",
        over_time('max(prometheus_tsdb_head_series{job="prometheus"})', "series"),
        unit="short",
    )


def _notifications() -> Panel:
    return graph(
        "Notifications",
        "Notifications sent, by receiver type, and those that failed.",
        over_time(
            'sum by (integration) (increase(alertmanager_notifications_total{job="alertmanager"}[$__rate_interval]))',
            "{{integration}}",
        ),
        over_time(
            'sum(increase(alertmanager_notifications_failed_total{job="alertmanager"}[$__rate_interval]))',
            "failed",
            "B",
        ),
        unit="none",
        bars=True,
    )
