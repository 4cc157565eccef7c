"""Tables of others, such as a container engine's, outlive everything that is done to ours: converge, drift, undo."""

from collections.abc import Iterator

import pytest

from tests.lab.machine import Machine
from tests.lab.played import Played, play
from tools.lab.hosts import Lab

pytestmark = pytest.mark.usefixtures("converged")

NAME = "collector2"
OURS = "nft --stateless list table inet marketdata"
SERVICE = "marketdata-firewall.service"
# Debian's file begins by taking every table away; this one spares the engine's own, by which the container has names.
FILE = """#!/usr/sbin/nft -f
destroy table inet marketdata
destroy table ip foreign
table ip foreign {
    chain forward {
        type filter hook forward priority filter; policy accept;
        ip daddr 198.51.100.7 tcp dport 443 accept
    }
}
"""


@pytest.fixture
def host(machines: dict[str, Machine]) -> Iterator[Machine]:
    """A host on which somebody else keeps a table in the kernel, and on disk for nftables.service."""
    machine = machines[NAME]
    shipped = machine.run("cat /etc/nftables.conf")
    machine.run("cat > /etc/nftables.conf", FILE)
    machine.run("sed 2d /etc/nftables.conf | nft --file -")
    try:
        yield machine
    finally:
        machine.run("cat > /etc/nftables.conf", shipped)
        machine.run("nft delete table ip foreign 2>&1 || true")


def foreign(host: Machine) -> str:
    return host.run("nft --stateless list table ip foreign; cat /etc/nftables.conf")


def converge(lab: Lab) -> Played:
    played = play(lab, "site.yml", "--limit", NAME, "--tags", "base")
    assert played, played.output
    return played


def test_a_table_of_somebody_else_stays_through_converge_drift_and_undo(lab: Lab, host: Machine) -> None:
    theirs, ours = foreign(host), host.run(OURS)

    assert converge(lab).changed == {}
    assert (foreign(host), host.run(OURS)) == (theirs, ours)

    for drift in (
        "nft add rule inet marketdata input tcp dport 1 accept",
        "nft delete table inet marketdata",
    ):
        host.run(drift)
        assert NAME in converge(lab).changed
        assert (foreign(host), host.run(OURS)) == (theirs, ours)

    tables = host.run("nft list tables").splitlines()
    host.run(f"systemctl disable --now {SERVICE}")  # as the README of the role has it
    assert host.run("nft list tables").splitlines() == [table for table in tables if table != "table inet marketdata"]
    assert foreign(host) == theirs

    assert NAME in converge(lab).changed  # as on a host that is new to us, and has the table already
    assert (foreign(host), host.run(OURS)) == (theirs, ours)
    assert host.run(f"systemctl is-enabled {SERVICE}; systemctl is-active {SERVICE}").split() == ["enabled", "active"]


@pytest.fixture
def distributions_service(host: Machine) -> Iterator[None]:
    """nftables.service runs beside ours, and takes ours away when it stops or loads its file."""
    folder = "/run/systemd/system/nftables.service.d"
    stop = "[Service]\nExecStop=\nExecStop=/usr/sbin/nft destroy table inet marketdata\n"
    host.run(f"mkdir -p {folder} && cat > {folder}/stop.conf && systemctl daemon-reload", stop)
    host.run(f"systemctl start nftables.service && systemctl restart {SERVICE}")
    yield
    host.run(f"systemctl stop nftables.service && systemctl start {SERVICE}")
    host.run(f"rm -r {folder} && systemctl daemon-reload")


@pytest.mark.usefixtures("distributions_service")
@pytest.mark.parametrize("job", ["reload", "restart"])
def test_ours_comes_back_when_somebody_reloads_or_restarts_the_distributions_service(host: Machine, job: str) -> None:
    theirs, ours = foreign(host), host.run(OURS)
    host.run(f"systemctl {job} nftables.service")
    assert (foreign(host), host.run(OURS)) == (theirs, ours)


def test_ours_is_there_however_often_its_service_is_restarted_in_a_row(host: Machine) -> None:
    theirs, ours = foreign(host), host.run(OURS)
    host.run(f"for time in 1 2 3 4 5 6 7 8; do systemctl restart {SERVICE} || exit 1; done")
    assert (foreign(host), host.run(OURS)) == (theirs, ours)


def test_rules_that_an_earlier_release_had_in_the_distributions_file_are_taken_out_of_it(
    lab: Lab, host: Machine
) -> None:
    ours = host.run(OURS)
    host.run("cp /etc/marketdata-firewall.nft /etc/nftables.conf; systemctl enable --quiet nftables.service")
    assert NAME in converge(lab).changed
    assert "table inet" not in host.run("cat /etc/nftables.conf")
    assert host.run("systemctl is-enabled nftables.service || true").strip() == "disabled"
    assert host.run(OURS) == ours
    assert "table ip foreign" in host.run("nft list tables")
