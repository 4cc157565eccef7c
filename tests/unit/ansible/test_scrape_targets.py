"""What Prometheus scrapes follows from the inventory: each target with the host it is on."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

PLUGINS = Path(__file__).parents[3] / "ansible/plugins/filter"
PORTS = [
    {"name": "collector", "port": 9108, "group": "collectors", "clients": ["prometheus"]},
    {"name": "Grafana", "port": 3000, "group": "grafana", "clients": []},
]
GROUPS = {"collectors": ["feed1", "feed2"]}
HOSTVARS = {
    "feed1": {"base_address": "10.0.0.1", "platform_tls_name": "feed1.example"},
    "feed2": {"base_address": "fd00::2", "platform_tls_name": "fd00::2"},
}
STORES = [{"name": "main", "url": "http://10.0.0.9:8086", "token_server": "store1"}]


@pytest.fixture(scope="module")
def targets() -> ModuleType:
    spec = importlib.util.spec_from_file_location("targets", PLUGINS / "targets.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_host_of_the_group_is_a_target_under_its_inventory_name(targets: ModuleType) -> None:
    assert targets.scrape_targets("collector", PORTS, GROUPS, HOSTVARS) == [
        {"targets": ["10.0.0.1:9108"], "labels": {"host": "feed1"}},
        {"targets": ["[fd00::2]:9108"], "labels": {"host": "feed2"}},
    ]


def test_a_group_that_the_inventory_lacks_has_no_target(targets: ModuleType) -> None:
    assert targets.scrape_targets("Grafana", PORTS, GROUPS, HOSTVARS) == []


def test_a_store_carries_its_name_in_the_collectors_configuration(targets: ModuleType) -> None:
    assert targets.store_targets(STORES) == [
        {"targets": ["10.0.0.9:8086"], "labels": {"host": "store1", "store": "main"}}
    ]


def test_probes_say_what_they_ask_how_and_by_whom(targets: ModuleType) -> None:
    collectors = targets.scrape_targets("collector", PORTS, GROUPS, HOSTVARS)
    probes = targets.probe_targets(STORES, collectors, "https://exchange.example", "monitor1", "10.0.0.3:9115")
    assert [(probe["targets"], probe["labels"]["host"], probe["labels"]["service"]) for probe in probes] == [
        (["http://10.0.0.9:8086/health"], "store1", "influxdb"),
        (["http://10.0.0.1:9108/healthz"], "feed1", "collector"),
        (["http://[fd00::2]:9108/healthz"], "feed2", "collector"),
        (["https://exchange.example/fapi/v1/ping"], "monitor1", "exchange"),
    ]
    assert {probe["labels"]["__blackbox"] for probe in probes} == {"10.0.0.3:9115"}
    assert [probe["labels"]["__param_module"] for probe in probes] == ["http_2xx"] * 3 + ["exchange_ping"]


def test_a_target_with_tls_is_asked_by_the_name_in_its_certificate(targets: ModuleType) -> None:
    assert targets.scrape_targets("collector", PORTS, GROUPS, HOSTVARS, "https") == [
        {"targets": ["feed1.example:9108"], "labels": {"host": "feed1", "__scheme__": "https"}},
        {"targets": ["[fd00::2]:9108"], "labels": {"host": "feed2", "__scheme__": "https"}},
    ]
    assert targets.store_targets([{**STORES[0], "url": "https://store.example:8086"}]) == [
        {
            "targets": ["store.example:8086"],
            "labels": {"host": "store1", "store": "main", "__scheme__": "https"},
        }
    ]


def test_with_tls_the_probes_demand_it_and_look_at_grafanas_certificate_too(targets: ModuleType) -> None:
    stores = [{**STORES[0], "url": "https://store.example:8086"}]
    grafana = [
        {"targets": ["monitor.example:3000"], "labels": {"host": "monitor1", "__scheme__": "https"}},
        {"targets": ["10.0.0.3:3000"], "labels": {"host": "monitor2"}},
    ]
    probes = targets.probe_targets(stores, [], "https://exchange.example", "monitor1", "10.0.0.3:9115", grafana)
    assert [(probe["targets"], probe["labels"]["__param_module"]) for probe in probes] == [
        (["https://store.example:8086/health"], "https_2xx"),
        (["https://monitor.example:3000/api/health"], "https_2xx"),
        (["https://exchange.example/fapi/v1/ping"], "exchange_ping"),
    ]


def test_a_service_is_known_to_others_by_its_instance_and_its_url(targets: ModuleType) -> None:
    named = {host: {**of, "platform_instance": host} for host, of in HOSTVARS.items()}
    assert targets.service_urls("collector", PORTS, GROUPS, named) == [
        {"name": "feed1", "url": "http://10.0.0.1:9108"},
        {"name": "feed2", "url": "http://[fd00::2]:9108"},
    ]
