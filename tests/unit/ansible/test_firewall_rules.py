"""From the table of ports to the rules of one host."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PLUGIN = Path(__file__).resolve().parents[3] / "ansible/plugins/filter/firewall.py"
GROUPS = {"influxdb": ["db"], "collectors": ["c1", "c2"], "prometheus": ["mon"]}
HOSTVARS = {name: {"base_address": f"10.0.0.{number}"} for number, name in enumerate(["db", "c1", "c2", "mon"], 1)}
PORTS: list[dict[str, Any]] = [
    {"name": "store", "port": 8086, "group": "influxdb", "clients": ["collectors", "prometheus", "sentinel"]},
    {"name": "collector", "port": 9108, "group": "collectors", "clients": ["prometheus"]},
    {"name": "dashboards", "port": 3000, "group": "prometheus", "clients": [], "addresses": ["10.9.0.0/16"]},
    {"name": "nobody's", "port": 1, "group": "influxdb", "clients": ["sentinel"]},
]


@pytest.fixture(scope="module")
def plugin() -> ModuleType:
    """The file as Ansible loads it: it is in no package."""
    specification = importlib.util.spec_from_file_location("firewall_filter", PLUGIN)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_a_host_opens_its_ports_to_the_addresses_of_the_groups_that_need_them(plugin: ModuleType) -> None:
    assert plugin.firewall_rules(PORTS, ["influxdb", "platform"], GROUPS, HOSTVARS) == [
        {"name": "store", "port": 8086, "sources": ["10.0.0.2", "10.0.0.3", "10.0.0.4"]}
    ]


def test_networks_of_people_join_the_hosts(plugin: ModuleType) -> None:
    assert plugin.firewall_rules(PORTS, ["prometheus"], GROUPS, HOSTVARS) == [
        {"name": "dashboards", "port": 3000, "sources": ["10.9.0.0/16"]}
    ]


def test_a_port_that_nobody_needs_stays_closed(plugin: ModuleType) -> None:
    rules = plugin.firewall_rules(PORTS, ["influxdb", "collectors"], {"influxdb": ["db"]}, HOSTVARS)
    assert rules == []
