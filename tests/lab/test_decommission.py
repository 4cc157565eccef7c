"""The old services of the legacy host: reported, stopped, removed and brought back, each of it twice."""

from collections.abc import Iterator

import pytest

from tests.lab.machine import Machine
from tests.lab.played import Played, play
from tools.lab.hosts import Lab

pytestmark = pytest.mark.usefixtures("converged")

UNITS = [f"freqtrade-data-producer-73{letter}.service" for letter in ("", "a", "b", "c", "d", "e", "f")]
PLAY = "playbooks/decommission.yml"
STEPS = "Decommission the units"
MISSING, MASKED, DROPPED_IN = UNITS[4], UNITS[5], UNITS[6]


@pytest.fixture(scope="module")
def legacy(lab: Lab, machines: dict[str, Machine]) -> Iterator[Machine]:
    """All seven as host 73 has them; then one is removed by hand, one masked by hand, and one has a drop-in."""
    host = machines["legacy1"]
    installed = play(lab, "playbooks/lab-legacy.yml")
    assert installed, installed.output
    host.run(f"systemctl disable --now {MISSING} {MASKED}; cd /etc/systemd/system; rm {MISSING} {MASKED}")
    host.run(f"systemctl daemon-reload; systemctl mask {MASKED}")
    drop_in = f"/etc/systemd/system/{DROPPED_IN}.d"
    host.run(f"mkdir -p {drop_in}; echo '[Service]\nNice=5' > {drop_in}/a.conf")
    host.run("systemctl daemon-reload")
    yield host
    host.run(f"systemctl disable --now {' '.join(UNITS)} 2>&1; rm -rf /var/backups/decommission; true")


def phase(lab: Lab, name: str, *options: str) -> Played:
    done = play(lab, PLAY, "-e", f"decommission_phase={name}", *options, "--diff")
    assert done, done.output
    return done


def files(host: Machine) -> str:
    return host.run("cd /etc/systemd/system; find . -name '*freqtrade*' -printf '%p %y %m %l\\n' | sort")


def running(host: Machine) -> int:
    return len(
        host.run("systemctl list-units --state=active --plain --no-legend 'freqtrade-data-producer-*'").splitlines()
    )


def test_each_phase_is_done_once_and_all_of_it_can_be_undone(lab: Lab, legacy: Machine) -> None:
    before = files(legacy)
    assert running(legacy) == 5
    confirmed = ("-e", "decommission_confirm=legacy1")

    for _ in range(2):
        assert phase(lab, "report").changed == {}
    assert "not-found inactive" in phase(lab, "report").output

    assert phase(lab, "quiesce", "--check").changed == {"legacy1": [STEPS]}
    assert running(legacy) == 5
    assert phase(lab, "quiesce").changed == {"legacy1": [STEPS]}
    assert running(legacy) == 0
    assert phase(lab, "quiesce").changed == {}

    assert not play(lab, PLAY, "-e", "decommission_phase=remove")  # not confirmed
    assert f"remove {DROPPED_IN}\n" in phase(lab, "remove", *confirmed).diffs
    assert files(legacy).count(" l 777 /dev/null\n") == 6
    assert f"{DROPPED_IN}.d/a.conf" not in files(legacy)
    assert phase(lab, "remove", *confirmed).changed == {}

    assert phase(lab, "rollback").changed == {"legacy1": [STEPS]}
    assert files(legacy) == before
    assert running(legacy) == 5
    assert phase(lab, "rollback").changed == {}


def test_nothing_is_stopped_while_what_replaces_it_is_not_ready(
    lab: Lab, legacy: Machine, machines: dict[str, Machine]
) -> None:
    machines["collector1"].run("systemctl stop marketdata-collector.service")
    try:
        assert not play(lab, PLAY, "-e", "decommission_phase=quiesce")
    finally:
        machines["collector1"].run("systemctl start marketdata-collector.service")
    assert running(legacy) == 5
