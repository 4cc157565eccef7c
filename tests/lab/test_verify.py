"""verify.yml on converged hosts: it proves what is right, and names what a hand or a failure has made wrong."""

import json
from dataclasses import dataclass
from functools import partial

import pytest

from tests.lab.known import is_known
from tests.lab.machine import Machine
from tests.lab.played import Played, play
from tests.support import eventually
from tools.lab.hosts import ROOT, Lab

pytestmark = pytest.mark.usefixtures("converged")

REPORT = ROOT / "dist/verify.json"
CONTROL = "curl --silent --fail --insecure https://127.0.0.1:9443/_control/faults"
BACKUP = "marketdata_backup_last_success_timestamp_seconds"
BACKUP_FILE = "/var/lib/node-exporter/marketdata_backup.prom"
STALE = 'exchange_pair_channel:marketdata_stale:bool{pair="ETH/USDT:USDT",channel="candles_3m"} == 1'


@dataclass(frozen=True)
class Fault:
    """What is done on a host, which proofs (host, check) must fail for it, and a part of what they say."""

    on: str
    named: set[tuple[str, str]]
    says: str
    command: str = ""
    store: tuple[str, ...] = ()
    seen: str = ""
    """An expression with a result as soon as Prometheus knows, and without one when it is over."""
    undo: str = ""
    """For what the playbook does not put right."""

    def make(self, machine: Machine) -> None:
        if self.command:
            machine.run(self.command)
        if self.store:
            machine.script("store.py", *self.store)
        if "failing" in self.store:
            eventually(lambda: "failed" in machine.script("store.py", "tasks"), 60, what="a run that failed")


SCHEMA = ("influx1", "the store is as its schema")
TASKS = ("influx1", "tasks run")
FEW = {
    "a task inactive": Fault("influx1", {TASKS, SCHEMA}, "ohlcv_4h is inactive", store=("inactive", "ohlcv_4h")),
    "a secret for everybody": Fault(
        "collector1",
        {("collector1", "secrets are their owners' alone")},
        "ingest-main.token has mode 0644",
        command="chmod 0644 /etc/marketdata-collector/credentials/ingest-main.token",
    ),
    "rules flushed": Fault(
        "collector2",
        {("collector2", "firewall rules are present")},
        "its table in the kernel",
        command="nft flush ruleset",
    ),
}
REST = {
    "a task failing at run time": Fault(
        "influx1", {TASKS, SCHEMA}, "ohlcv_1d: its last run failed", store=("failing", "ohlcv_1d")
    ),
    "a token inactive": Fault(
        "influx1",
        {("influx1", "tokens can do what they may and no more"), SCHEMA},
        "ingest-collector2 cannot write market_data",
        store=("inactive-token", "ingest-collector2"),
    ),
    "retention": Fault(
        "influx1",
        {SCHEMA},
        "bucket market_data_samples: retention 7d",
        store=("retention", "market_data_samples", "604800"),
    ),
    "a rule file removed": Fault(
        "monitor1",
        {("monitor1", "/etc/prometheus/rules is as shipped")},
        "pairs.yml is missing",
        command="rm /etc/prometheus/rules/pairs.yml",
    ),
    "a dashboard edited": Fault(
        "monitor1",
        {("monitor1", "/etc/grafana/dashboards/marketdata is as shipped")},
        "marketdata-overview.json was edited",
        command="echo >> /etc/grafana/dashboards/marketdata/marketdata-overview.json",
    ),
    "a scrape target down": Fault(
        "collector1",
        {("monitor1", "every target answers"), ("collector1", "services are active"), ("collector1", "ports are open")},
        "(collector1) is down",
        command="systemctl stop prometheus-node-exporter.service",
        seen='up{job="node",host="collector1"} == 0',
    ),
    "a backup of the day before yesterday's eve": Fault(
        "influx1",
        {("monitor1", "backups are young")},
        "influx1: the newest backup of market_data is 51 h old",
        command=f"sed -i -E \"s/^({BACKUP}.* )[0-9]+$/\\1$(date -d '51 hours ago 10 minutes ago' +%s)/\" {BACKUP_FILE}",
        seen=f"time() - max({BACKUP}) > 50 * 3600",
        undo="systemctl start marketdata-backup.service",
    ),
    "a pair stale": Fault(
        "exchange",
        {("monitor1", "every pair is fresh")},
        "ETH/USDT:USDT candles_3m is stale",
        command=" && ".join(
            f"{CONTROL} -d '{json.dumps({'kind': kind, 'symbol': 'ETHUSDT'})}'"
            for kind in ("silent_symbol", "rest_frozen")
        ),
        seen=STALE,
        undo=f"{CONTROL} -X DELETE",
    ),
}
STOPPED = {
    "influxd stopped": Fault(
        "influx1",
        {("influx1", "services are active"), ("influx1", "ports are open"), TASKS, SCHEMA},
        "influxdb.service is inactive",
        command="systemctl stop influxdb.service",
        seen='up{job="influxdb"} == 0',
    )
}


def settled(machine: Machine) -> list[str]:
    """What a play could have changed, without what moves by itself: data of services, and what a timer starts."""
    return [line for line in machine.state() if not (line.startswith("/var/lib/") or " loaded active " in line)]


def report() -> dict[tuple[str, str], str]:
    """What is wrong, by (host, check)."""
    proofs = json.loads(REPORT.read_text(encoding="utf-8"))["proofs"]
    return {(proof["host"], proof["check"]): proof["detail"] for proof in proofs if not proof["ok"]}


@dataclass(frozen=True)
class Proven:
    """A run of verify.yml without a fault, whether its report says so, and the hosts before and after it."""

    played: Played
    reported: bool
    before: dict[str, list[str]]
    after: dict[str, list[str]]


@pytest.fixture(scope="module")
def proven(lab: Lab, machines: dict[str, Machine], converged: Played) -> Proven:
    """All is right before the first fault: tasks have run, every pair is there. Each test leaves it so."""
    assert converged

    def proof() -> Proven | None:
        before = {name: settled(machine) for name, machine in machines.items()}
        if not (played := play(lab, "verify.yml")):
            return None
        reported = json.loads(REPORT.read_text(encoding="utf-8"))["ok"]
        return Proven(played, reported, before, {name: settled(machine) for name, machine in machines.items()})

    found = eventually(proof, 900, what="verify.yml without a fault")
    assert found is not None
    return found


@pytest.mark.short
def test_verify_proves_that_all_is_right_and_changes_nothing(proven: Proven) -> None:
    assert proven.played.changed == {}
    assert proven.after == proven.before
    assert proven.reported is True


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(FEW, id="three", marks=pytest.mark.short),
        pytest.param(REST, id="more"),
        pytest.param(STOPPED, id="influxd"),
    ],
)
@pytest.mark.usefixtures("proven")
def test_verify_names_each_fault_and_no_other_until_the_play_has_repaired_them(
    lab: Lab, machines: dict[str, Machine], faults: dict[str, Fault]
) -> None:
    for fault in faults.values():
        fault.make(machines[fault.on])
    wait_for(faults, machines["monitor1"], there=True)

    faulty = play(lab, "verify.yml")

    assert not faulty
    wrong = report()
    named = set().union(*(fault.named for fault in faults.values()))
    assert wrong.keys() >= named if faults is STOPPED else wrong.keys() == named  # whoever needs a store tells, too
    for name, fault in faults.items():
        assert any(fault.says in wrong[key] for key in fault.named), name
        assert fault.says in faulty.output, name

    for fault in faults.values():
        machines[fault.on].run(fault.undo or "true")
    hosts = sorted({fault.on for fault in faults.values() if not fault.undo})
    repaired = play(lab, "site.yml", "--limit", ",".join(hosts))
    assert repaired, repaired.output
    assert sorted(repaired.changed) == hosts
    wait_for(faults, machines["monitor1"], there=False)
    eventually(lambda: bool(play(lab, "verify.yml")), 300, what="verify.yml without a fault")


def wait_for(faults: dict[str, Fault], monitor: Machine, *, there: bool) -> None:
    """Return when Prometheus knows of all of them, or of none any more."""
    for fault in faults.values():
        if fault.seen:
            eventually(partial(is_known, monitor, fault.seen, there), 420, what=f"{fault.seen}: {there}")
