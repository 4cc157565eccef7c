"""From the inventory to the targets of Prometheus: file_sd entries with their `host` (prometheus/prometheus.yml)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit


def scrape_targets(
    name: str,
    ports: Iterable[Mapping[str, Any]],
    groups: Mapping[str, Sequence[str]],
    hostvars: Mapping[str, Mapping[str, str]],
    scheme: str = "http",
) -> list[dict[str, Any]]:
    """The hosts that serve the port of this name in the table of ports; none if the inventory lacks their group.

    With TLS a host is asked by the name that is in its certificate.
    """
    entry = next(entry for entry in ports if entry["name"] == name)
    hosts = groups.get(entry["group"], ())
    called = "platform_tls_name" if scheme == "https" else "base_address"
    return [_target(_address(hostvars[host][called], entry["port"]), host, **_scheme(scheme)) for host in hosts]


def service_urls(
    name: str,
    ports: Iterable[Mapping[str, Any]],
    groups: Mapping[str, Sequence[str]],
    hostvars: Mapping[str, Mapping[str, str]],
) -> list[dict[str, str]]:
    """The instances of a service in the table of ports, each with its name and its URL."""
    return [
        {"name": hostvars[target["labels"]["host"]]["platform_instance"], "url": f"http://{target['targets'][0]}"}
        for target in scrape_targets(name, ports, groups, hostvars)
    ]


def store_targets(stores: Iterable[Mapping[str, str]]) -> list[dict[str, Any]]:
    """The InfluxDBs, each with its name in the collectors' configuration."""
    split = [(urlsplit(store["url"]), store) for store in stores]
    return [
        _target(url.netloc, store["token_server"], store=store["name"], **_scheme(url.scheme)) for url, store in split
    ]


def probe_targets(
    stores: Iterable[Mapping[str, str]],
    collectors: Iterable[Mapping[str, Any]],
    rest_url: str,
    host: str,
    exporter: str,
    grafana: Iterable[Mapping[str, Any]] = (),
) -> list[dict[str, Any]]:
    """What blackbox_exporter at `exporter` (host:port), on `host`, asks: stores' and collectors' health, the exchange.

    The exchange is on no host of ours: it counts as the exporter's. Grafana's targets are asked if they speak TLS: a
    probe tells when the certificate ends.
    """

    def probe(url: str, host: str, module: str, **labels: str) -> dict[str, Any]:
        return _target(url, host, __param_module=module, __blackbox=exporter, **labels)

    return [
        *(
            probe(
                f"{store['url']}/health",
                store["token_server"],
                "https_2xx" if store["url"].startswith("https://") else "http_2xx",
                service="influxdb",
                store=store["name"],
            )
            for store in stores
        ),
        *(
            probe(f"https://{entry['targets'][0]}/api/health", entry["labels"]["host"], "https_2xx", service="grafana")
            for entry in grafana
            if entry["labels"].get("__scheme__") == "https"
        ),
        *(
            probe(f"http://{entry['targets'][0]}/healthz", entry["labels"]["host"], "http_2xx", service="collector")
            for entry in collectors
        ),
        probe(f"{rest_url}/fapi/v1/ping", host, "exchange_ping", service="exchange"),
    ]


def _target(address: str, host: str, **labels: str) -> dict[str, Any]:
    return {"targets": [address], "labels": {"host": host, **labels}}


def _scheme(scheme: str) -> dict[str, str]:
    """Prometheus asks by http unless this label says otherwise."""
    return {"__scheme__": "https"} if scheme == "https" else {}


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Any]:
        filters = (scrape_targets, service_urls, store_targets, probe_targets)
        return {function.__name__: function for function in filters}
