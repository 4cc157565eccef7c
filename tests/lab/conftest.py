"""The lab of the tests: new hosts once a session, each step of their life once, in this order.

lab          containers, new; removed at the end (MARKETDATA_LAB_KEEP=1 leaves them for the next run with it)
virgin       the play in check mode on hosts that it has never seen, and their state before and after
converged    the play, at the highest verbosity that shows no connection
rolled       another release on the collectors
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from tests.lab.machine import Machine
from tests.lab.played import Played, play
from tests.lab.releases import COLLECTORS, PLAY, Release, Rolled, make, running
from tools.lab import containers
from tools.lab.hosts import Lab, from_environment

KEPT = bool(os.environ.get("MARKETDATA_LAB_KEEP"))


@dataclass(frozen=True)
class VirginCheck:
    played: Played
    before: dict[str, list[str]]
    after: dict[str, list[str]]


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A lab of its own, beside one that `make lab-up` may have started."""
    lab = from_environment("marketdata-lab-test", "192.168.57")
    if not KEPT:
        containers.down(lab)
    containers.up(lab, say=lambda _: None)
    exchange = play(lab, "playbooks/lab-exchange.yml")
    assert exchange, exchange.output
    yield lab
    if not KEPT:
        containers.down(lab)


@pytest.fixture(scope="session")
def machines(lab: Lab) -> dict[str, Machine]:
    return {name: Machine(lab, name) for name in lab.addresses}


@pytest.fixture(scope="session")
def virgin(lab: Lab, machines: dict[str, Machine]) -> VirginCheck:
    before = {name: machine.state() for name, machine in machines.items()}
    played = play(lab, "site.yml", "--check", "--diff")
    return VirginCheck(played, before, {name: machine.state() for name, machine in machines.items()})


@pytest.fixture(scope="session")
def converged(lab: Lab, request: pytest.FixtureRequest) -> Played:
    if not KEPT:
        request.getfixturevalue("virgin")
    done = play(lab, "site.yml", "--diff", verbosity=3)
    assert done, done.output
    return done


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    source = tmp_path_factory.mktemp("release") / "source"
    return lambda line: make(source, line)


@pytest.fixture(scope="session")
def rolled(lab: Lab, machines: dict[str, Machine], converged: Played, release: Release) -> Rolled:
    assert converged
    before = running(machines["collector1"])[0]
    options = release('log.info("one line more")')
    began = datetime.now(UTC)
    played = play(lab, PLAY, *options)
    return Rolled(played, began, before, {name: running(machines[name])[0] for name in COLLECTORS})
