"""The platform's playbook on new hosts: shown, done, done again, and put right what a hand has changed."""

from dataclasses import dataclass

import pytest

from tests.lab.conftest import VirginCheck
from tests.lab.machine import Machine
from tests.lab.played import Played, play
from tests.lab.secrets import secrets_of, seen
from tools.lab.hosts import Lab


@dataclass(frozen=True)
class Drift:
    """What a hand does on a host, the tasks that must show it (and no other), and a line of what they show."""

    host: str
    tag: str
    tasks: list[str]
    line: str
    command: str = ""
    store: tuple[str, ...] = ()

    def make(self, machine: Machine) -> None:
        if self.command:
            machine.run(self.command)
        if self.store:
            machine.script("store.py", *self.store)


PROVISION = ["Provision | Keep organization, buckets, tokens and tasks"]
FIREWALL = ["Firewall | Keep the rules, on disk and in the kernel"]
DRIFTS = {
    "a limit of the journal": Drift(
        "monitor1",
        "base",
        ["Journal | Set its limits", "Base | Restart journald"],
        "-MaxRetentionSec=1day\n+MaxRetentionSec=30day\n",
        command="sed -i s/=30day/=1day/ /etc/systemd/journald.conf.d/marketdata.conf",
    ),
    "rules flushed": Drift(
        "collector1", "base", FIREWALL, '+\t\ttcp dport 22 accept comment "ssh"\n', command="nft flush ruleset"
    ),
    "a port opened": Drift(
        "collector1",
        "base",
        FIREWALL,
        "-\t\ttcp dport 8000 accept\n",
        command="nft add rule inet marketdata input tcp dport 8000 accept",
    ),
    "influxd stopped": Drift(
        "influx1", "influxdb", ["Run | Start InfluxDB"], "", command="systemctl stop influxdb.service"
    ),
    "a line of the unit": Drift(
        "influx1",
        "influxdb",
        ["Run | Write the unit", "Restart InfluxDB"],
        "-ProtectHome=no\n+ProtectHome=yes\n",
        command="sed -i s/ProtectHome=yes/ProtectHome=no/ /etc/systemd/system/influxdb.service",
    ),
    "a token file for everybody": Drift(
        "influx1",
        "influxdb",
        PROVISION,
        "~ token file repair-collector1.token: readable by its owner only\n",
        command="chmod 0644 /etc/influxdb/tokens/repair-collector1.token",
    ),
    "retention": Drift(
        "influx1",
        "influxdb",
        PROVISION,
        "~ bucket market_data_samples: retention 7d, shards 1d -> retention 30d, shards 1d\n",
        store=("retention", "market_data_samples", "604800"),
    ),
    "a task inactive": Drift(
        "influx1",
        "influxdb",
        PROVISION,
        "~ task ohlcv_1h: it is inactive; run once\n",
        store=("inactive", "ohlcv_1h"),
    ),
}


@pytest.mark.short
def test_check_mode_on_new_hosts_succeeds_and_shows_what_will_be(virgin: VirginCheck) -> None:
    assert virgin.played, virgin.played.output
    assert set(virgin.played.changed) == {"influx1", "collector1", "collector2", "feeder1", "monitor1"}
    assert "+ token ingest-collector1: may write " in virgin.played.diffs
    assert "+ExecStart=/usr/local/bin/influxd\n" in virgin.played.diffs


@pytest.mark.short
def test_check_mode_on_new_hosts_changes_nothing(virgin: VirginCheck) -> None:
    assert virgin.after == virgin.before


def test_hosts_that_are_not_of_the_platform_are_left_alone(
    converged: Played, virgin: VirginCheck, machines: dict[str, Machine]
) -> None:
    assert "legacy1" not in converged.changed
    assert machines["legacy1"].state() == virgin.before["legacy1"]


@pytest.mark.short
def test_no_secret_is_in_the_output_of_a_verbose_play(converged: Played, machines: dict[str, Machine]) -> None:
    assert seen(secrets_of(machines["influx1"]), converged.output) == []


@pytest.mark.short
def test_a_second_run_changes_nothing(lab: Lab, converged: Played) -> None:
    again = play(lab, "site.yml")
    assert again, again.output
    assert again.changed == {}


@pytest.mark.usefixtures("converged")
@pytest.mark.parametrize("drift", DRIFTS.values(), ids=DRIFTS)
def test_check_mode_shows_a_drift_alone_and_the_play_repairs_it(
    lab: Lab, machines: dict[str, Machine], drift: Drift
) -> None:
    options = ("--limit", drift.host, "--tags", drift.tag)
    drift.make(machines[drift.host])
    checked = play(lab, "site.yml", *options, "--check", "--diff")
    assert checked, checked.output
    assert checked.changed == {drift.host: drift.tasks}
    assert drift.line in checked.diffs
    repaired = play(lab, "site.yml", *options)
    assert repaired, repaired.output
    assert repaired.changed == {drift.host: drift.tasks}


@pytest.mark.usefixtures("converged")
def test_check_mode_shows_nothing_once_all_is_repaired(lab: Lab) -> None:
    clean = play(lab, "site.yml", "--check", "--diff")
    assert clean, clean.output
    assert (clean.changed, clean.diffs) == ({}, "")
