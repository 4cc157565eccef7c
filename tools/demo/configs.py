"""The configuration files the demo writes: the collector's and Prometheus'. Pure."""

import json
from pathlib import Path

from tools.demo.due import FILL_HOURS, ROLLUP_WINDOWS

WEIGHT_SHARE_PERCENT = 30
COLLECTOR = "collector-1"
READER = "probe"
"""Consumers of influx/schema.yml; their token files are <kind>-<consumer>.token."""


def collector_toml(
    *,
    state: Path,
    listen: str,
    rest_url: str,
    websocket_url: str,
    ca_file: str | None,
    influx_url: str,
    org: str,
    secrets: Path,
) -> str:
    """The collector's configuration: all eligible pairs, the share of the weight a host is given by default."""
    # A JSON text is a TOML basic string.
    lines = [
        "[collector]",
        f"name = {json.dumps(COLLECTOR)}",
        f"state_dir = {json.dumps(str(state))}",
        f"listen = {json.dumps(listen)}",
        "[exchange]",
        f"rest_url = {json.dumps(rest_url)}",
        f"websocket_url = {json.dumps(websocket_url)}",
        *([f"ca_file = {json.dumps(ca_file)}"] if ca_file else []),
        f"weight_share_percent = {WEIGHT_SHARE_PERCENT}",
        "[fill]",
        f"hours = {FILL_HOURS}",
        f"rollup_windows = {ROLLUP_WINDOWS}",
        "[[store]]",
        'name = "main"',
        f"url = {json.dumps(influx_url)}",
        f"org = {json.dumps(org)}",
        f"ingest_token_file = {json.dumps(str(secrets / f'ingest-{COLLECTOR}.token'))}",
        f"repair_token_file = {json.dumps(str(secrets / f'repair-{COLLECTOR}.token'))}",
    ]
    return "\n".join(lines) + "\n"


def prometheus_yml(targets: dict[str, str]) -> str:
    """Scrape each job's one target (host:port) every 5 s: who watches a demo does not wait for a minute."""
    jobs = "".join(
        f"  - job_name: {job}\n    static_configs:\n      - targets: [{json.dumps(target)}]\n"
        for job, target in targets.items()
    )
    return f"global:\n  scrape_interval: 5s\n  scrape_timeout: 4s\nscrape_configs:\n{jobs}"
