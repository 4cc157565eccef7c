"""Who can do what with the secrets of a converged lab, and where none of them may be seen."""

import json

import pytest

from tests.lab.machine import Machine
from tests.lab.secrets import secrets_of, seen

ALL = ["market_data", "market_data_rollup", "market_data_samples"]


@pytest.mark.usefixtures("converged")
def test_no_secret_is_in_a_journal(machines: dict[str, Machine]) -> None:
    secrets = secrets_of(machines["influx1"])
    for machine in machines.values():
        assert seen(secrets, machine.run("journalctl --no-pager --output=cat")) == []


@pytest.mark.usefixtures("converged")
def test_secrets_are_files_of_root_alone(machines: dict[str, Machine]) -> None:
    listing = machines["influx1"].run("find /etc/influxdb -name '*.token' -printf '%U:%G %m\\n' | sort -u")
    assert listing == "0:0 600\n"


@pytest.mark.usefixtures("converged")
def test_each_token_can_do_what_the_design_gives_it_and_none_administers(machines: dict[str, Machine]) -> None:
    found = json.loads(machines["influx1"].script("store.py", "tokens"))
    kinds = {
        "ingest": {"reads": [], "writes": ALL, "administers": False},
        "repair": {"reads": ALL, "writes": ["market_data_rollup"], "administers": False},
        "reader": {"reads": ALL, "writes": [], "administers": False},
    }
    assert {name: kinds[name.partition("-")[0]] for name in found} == found
    assert set(found) == {
        *("ingest-collector1", "ingest-collector2", "repair-collector1", "repair-collector2"),
        *("reader-gateway-feeder1", "reader-grafana-monitor1", "reader-sentinel-monitor1"),
    }
