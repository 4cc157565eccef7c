"""What a converged host is like: its clock, its firewall, its services."""

import pytest
import testinfra
import yaml

from tests.lab.machine import Machine
from tests.lab.played import play
from tests.support import eventually
from tools.lab.hosts import ROOT, Lab

pytestmark = pytest.mark.usefixtures("converged")

PLATFORM = ["influx1", "collector1", "collector2", "feeder1", "monitor1"]

HARDENED = [
    ("influx1", "influxdb.service", 20),
    ("collector1", "marketdata-collector.service", 20),
    ("monitor1", "prometheus.service", 20),
    ("monitor1", "prometheus-alertmanager.service", 20),
    ("monitor1", "marketdata-sentinel.service", 20),
    *((name, "prometheus-node-exporter.service", 40) for name in PLATFORM),
]


@pytest.fixture(params=PLATFORM)
def host(request: pytest.FixtureRequest, lab: Lab) -> testinfra.host.Host:
    return testinfra.get_host(f"docker://{lab.container(request.param)}")


def test_a_host_is_on_utc_with_a_bounded_journal(host: testinfra.host.Host) -> None:
    assert host.check_output("date +%Z") == "UTC"
    assert "\nSystemMaxUse=2G\n" in host.file("/etc/systemd/journald.conf.d/marketdata.conf").content_string
    assert host.service("chrony").is_enabled
    assert host.service("marketdata-firewall").is_enabled


def test_no_unit_has_failed(host: testinfra.host.Host) -> None:
    assert host.check_output("systemctl --failed --no-legend --plain") == ""


def test_influxd_serves_under_a_unit_of_its_own(lab: Lab) -> None:
    host = testinfra.get_host(f"docker://{lab.container('influx1')}")
    assert host.service("influxdb").is_enabled
    assert host.service("influxdb").is_running
    assert host.socket("tcp://:::8086").is_listening
    assert {process.user for process in host.process.filter(comm="influxd")} == {"influxdb"}


def test_the_store_is_open_to_those_who_need_it_alone(machines: dict[str, Machine]) -> None:
    reached = {name for name, machine in machines.items() if machine.reaches(machines["influx1"], 8086)}
    assert reached == {"influx1", "collector1", "collector2", "feeder1", "monitor1"}


def test_a_host_of_no_group_reaches_nothing_of_the_platform(machines: dict[str, Machine]) -> None:
    table = yaml.safe_load((ROOT / "ansible/group_vars/all/ports.yml").read_text(encoding="utf-8"))["platform_ports"]
    ports = {entry["port"] for entry in table if entry["group"] != "simulator"}
    assert {8086, 9090, 9108} <= ports
    stranger = machines["legacy1"]
    assert not [(name, port) for name in PLATFORM for port in ports if stranger.reaches(machines[name], port)]
    assert stranger.reaches(machines["monitor1"], 22)  # ssh stays open: it is the firewall that says no


@pytest.mark.parametrize(("name", "unit", "tenths"), HARDENED)
def test_a_unit_can_do_little(machines: dict[str, Machine], name: str, unit: str, tenths: int) -> None:
    # The threshold is the score times ten; the command fails above it.
    machines[name].run(f"systemd-analyze security --no-pager --threshold={tenths} {unit}")


def test_a_port_that_nobody_needs_is_closed_even_if_something_listens(machines: dict[str, Machine]) -> None:
    target = machines["monitor1"]
    target.run("systemd-run --quiet --unit=stray python3 -m http.server --bind 0.0.0.0 8000")
    eventually(lambda: target.reaches(target, 8000), 20, what="the stray server")
    assert not [name for name, machine in machines.items() if machine is not target and machine.reaches(target, 8000)]
    target.run("systemctl stop stray.service")


def test_rules_that_lock_the_control_host_out_come_back_by_themselves(lab: Lab, machines: dict[str, Machine]) -> None:
    target = machines["collector2"]
    rules = "nft --stateless list table inet marketdata; cat /etc/marketdata-firewall.nft"
    before = target.run(rules)
    seconds = ("-e", '{"base_ssh_sources": ["203.0.113.7"], "base_firewall_return_seconds": 15}')
    locked_out = play(lab, "site.yml", "--limit", "collector2", "--tags", "base", *seconds)
    assert not locked_out
    eventually(lambda: target.run(rules) == before, 30, what="the old rules")
    clean = play(lab, "site.yml", "--limit", "collector2", "--tags", "base", "--check")
    assert clean, clean.output
    assert clean.changed == {}
