"""The configuration files that the demo writes: collector, gateway, sentinel, Prometheus and its targets. Pure."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from tools.demo.due import FILL_HOURS, ROLLUP_WINDOWS

EXCHANGE_SHARE_PERCENT = 30
"""Share of the real exchange's weight: a collector's default."""

SIMULATOR_SHARE_PERCENT = 60
"""Share of the simulator's, which has no other users: with the gateway's share, the 80 % at which all stop."""

GATEWAY_SHARE_PERCENT = 20
COLLECTOR = "collector-1"
GATEWAY = "gateway"
READER = "probe"
SENTINEL = "sentinel"
GRAFANA = "grafana"
"""Consumers of influx/schema.yml; their token files are <kind>-<consumer>.token."""

STORE = "main"


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
    weight_share_percent: int,
) -> str:
    """Return the collector's configuration: all eligible pairs."""
    # A JSON string is a valid TOML basic string.
    lines = [
        "[collector]",
        f"name = {json.dumps(COLLECTOR)}",
        f"state_dir = {json.dumps(str(state))}",
        f"listen = {json.dumps(listen)}",
        "[exchange]",
        f"rest_url = {json.dumps(rest_url)}",
        f"websocket_url = {json.dumps(websocket_url)}",
        *([f"ca_file = {json.dumps(ca_file)}"] if ca_file else []),
        f"weight_share_percent = {weight_share_percent}",
        "[fill]",
        f"hours = {FILL_HOURS}",
        f"rollup_windows = {ROLLUP_WINDOWS}",
        "[[store]]",
        f"name = {json.dumps(STORE)}",
        f"url = {json.dumps(influx_url)}",
        f"org = {json.dumps(org)}",
        f"ingest_token_file = {json.dumps(str(secrets / f'ingest-{COLLECTOR}.token'))}",
        f"repair_token_file = {json.dumps(str(secrets / f'repair-{COLLECTOR}.token'))}",
    ]
    return "\n".join(lines) + "\n"


def gateway_toml(
    *, state: Path, listen: str, rest_url: str, ca_file: str | None, collector_url: str, influx_url: str, secrets: Path
) -> str:
    """Return the gateway's configuration: for bots on this machine, with the one collector and the one store."""
    lines = [
        "[gateway]",
        f"name = {json.dumps(GATEWAY)}",
        f"state_dir = {json.dumps(str(state))}",
        f"listen = {json.dumps(listen)}",
        "[exchange]",
        f"rest_url = {json.dumps(rest_url)}",
        *([f"ca_file = {json.dumps(ca_file)}"] if ca_file else []),
        f"weight_share_percent = {GATEWAY_SHARE_PERCENT}",
        "[[collector]]",
        f"name = {json.dumps(COLLECTOR)}",
        f"url = {json.dumps(collector_url)}",
        "[[store]]",
        f"name = {json.dumps(STORE)}",
        f"url = {json.dumps(influx_url)}",
        f"reader_token_file = {json.dumps(str(secrets / f'reader-{GATEWAY}.token'))}",
    ]
    return "\n".join(lines) + "\n"


def sentinel_toml(*, listen: str, influx_url: str, token_file: Path) -> str:
    """Return the sentinel's configuration: one store, with the collector's name for it."""
    lines = [
        "[sentinel]",
        f"listen = {json.dumps(listen)}",
        "[[store]]",
        f"name = {json.dumps(STORE)}",
        f"url = {json.dumps(influx_url)}",
        f"token_file = {json.dumps(str(token_file))}",
    ]
    return "\n".join(lines) + "\n"


type Target = tuple[str, Mapping[str, str]]
"""host:port, or a URL for job `blackbox`; and labels other than `host`."""


def target_files(jobs: Mapping[str, Sequence[Target]], host: str) -> dict[str, str]:
    """Return the files in targets/ of prometheus/prometheus.yml by name: one per job, each target with its `host`."""
    return {
        f"{job}.yml": json.dumps(
            [{"targets": [address], "labels": {"host": host, **labels}} for address, labels in targets]
        )
        for job, targets in jobs.items()
    }


def blackbox_targets(exporter: str, *, influx_url: str, collector_urls: Sequence[str], rest_url: str) -> list[Target]:
    """Return what blackbox_exporter at `exporter` (host:port) probes: health of store and collectors, the exchange."""
    asked: list[tuple[str, str, Mapping[str, str]]] = [
        (f"{influx_url}/health", "http_2xx", {"service": "influxdb", "store": STORE}),
        *((f"{url}/healthz", "http_2xx", {"service": "collector"}) for url in collector_urls),
        (f"{rest_url}/fapi/v1/ping", "exchange_ping", {"service": "exchange"}),
    ]
    return [(url, {**labels, "__param_module": module, "__blackbox": exporter}) for url, module, labels in asked]


def blackbox_yml(source: str, ca_file: str | None) -> str:
    """Return prometheus/blackbox.yml with an additional CA for the exchange: the simulator's."""
    if ca_file is None:
        return source
    config = yaml.safe_load(source)
    config["modules"]["exchange_ping"]["http"]["tls_config"] = {"ca_file": ca_file}
    return str(yaml.safe_dump(config))


def scrape_interval(source: str) -> str:
    """Return Prometheus' scrape interval from prometheus/prometheus.yml, which Grafana must know."""
    return str(yaml.safe_load(source)["global"]["scrape_interval"])
