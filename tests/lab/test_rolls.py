"""The collectors on converged hosts: what their unit allows, and rolls that succeed, fail and are refused."""

from datetime import UTC, datetime

import pytest

from tests.lab.audited import audit
from tests.lab.machine import Machine
from tests.lab.played import Played, play
from tests.lab.releases import COLLECTORS, PLAY, UNIT, Release, Rolled, running
from tests.support import eventually
from tools.lab.hosts import Lab

pytestmark = pytest.mark.usefixtures("converged")


def is_ready(machine: Machine) -> bool:
    return machine.run("curl --silent --max-time 5 http://127.0.0.1:9108/readyz || true") == "ready\n"


def left_over(machine: Machine) -> str:
    """Copies of configuration and unit, and wheels, that a play forgot."""
    return machine.run("find /etc/marketdata-collector /etc/systemd/system /opt -name '*~' -o -name '*.wheels'")


@pytest.mark.parametrize("name", COLLECTORS)
def test_a_collector_is_ready_under_a_hardened_unit(machines: dict[str, Machine], name: str) -> None:
    machine = machines[name]
    assert is_ready(machine)
    assert machine.run(f"systemctl show --property=StatusText --value {UNIT}") == "ready\n"
    # The threshold is the score times ten; the command fails above it.
    machine.run(f"systemd-analyze security --no-pager --threshold=20 {UNIT}")


@pytest.mark.parametrize("name", COLLECTORS)
def test_a_collectors_tokens_are_read_by_systemd_alone(machines: dict[str, Machine], name: str) -> None:
    credentials = "/etc/marketdata-collector/credentials"
    listing = machines[name].run(f"find {credentials} -printf '%U:%G %m %f\\n' | sort")
    assert listing.splitlines() == ["0:0 600 ingest-main.token", "0:0 600 repair-main.token", "0:0 700 credentials"]


def test_an_operator_runs_the_collectors_commands_with_its_tokens(machines: dict[str, Machine]) -> None:
    said = machines["collector1"].run("marketdata-collector check")
    assert "1 store(s) and tokens are right" in said


def test_the_collectors_are_open_to_prometheus_and_the_gateways_alone(machines: dict[str, Machine]) -> None:
    target = machines["collector1"]
    reached = {name for name, machine in machines.items() if machine.reaches(target, 9108)}
    assert reached == {"collector1", "feeder1", "monitor1"}


def test_a_collector_that_hangs_is_ended_by_the_watchdog_and_started_again(machines: dict[str, Machine]) -> None:
    machine = machines["collector2"]
    _, pid = running(machine)
    machine.run(f"kill -STOP {pid}")

    def restarted() -> bool:
        return machine.run(f"systemctl show --property=NRestarts --value {UNIT}").strip() == "1"

    eventually(restarted, 180, what="the watchdog's restart")
    eventually(lambda: is_ready(machine), 60, what="the collector ready again")
    assert running(machine)[1] != pid


def test_a_ready_collector_is_not_stopped_while_its_peer_is_not_ready(lab: Lab, machines: dict[str, Machine]) -> None:
    before = running(machines["collector1"])
    config = machines["collector1"].run("cat /etc/marketdata-collector/collector.toml")
    machines["collector2"].run(f"systemctl stop {UNIT}")

    rolled = play(lab, PLAY, "-e", "collector_log_level=WARNING", "-e", "collector_gate_seconds=6")

    assert not rolled
    assert "The roll ended at collector1: Gate before" in rolled.output
    assert "collector2: Status code was -1" in rolled.output
    assert running(machines["collector1"]) == before
    assert machines["collector1"].run("cat /etc/marketdata-collector/collector.toml") == config
    machines["collector2"].run(f"systemctl start {UNIT}")
    eventually(lambda: is_ready(machines["collector2"]), 60, what="the peer ready again")
    assert play(lab, PLAY).changed == {}  # nothing waits to be read: what was put back has its old times


def test_a_token_that_came_by_another_way_is_read_by_the_next_run(lab: Lab, machines: dict[str, Machine]) -> None:
    machines["collector1"].run("touch /etc/marketdata-collector/credentials/ingest-main.token")

    rolled = play(lab, PLAY)

    assert rolled, rolled.output
    assert rolled.changed == {"collector1": ["Roll | Restart the collector"]}
    assert play(lab, PLAY).changed == {}


def test_a_configuration_that_the_collector_refuses_stops_nothing(lab: Lab, machines: dict[str, Machine]) -> None:
    before = [running(machines[name]) for name in COLLECTORS]

    rolled = play(lab, PLAY, "-e", '{"collector_fill": {"hours": 100000}}')

    assert not rolled
    assert "fill.hours = 100000" in rolled.output
    assert [running(machines[name]) for name in COLLECTORS] == before


@pytest.mark.short
def test_a_release_is_rolled_to_every_host(rolled: Rolled) -> None:
    """That no candle was lost is seen in test_zero_loss.py, once its candles have closed."""
    assert rolled.played, rolled.played.output
    assert rolled.after == dict.fromkeys(COLLECTORS, rolled.after["collector1"])
    assert rolled.after["collector1"] != rolled.before


def test_a_broken_release_is_returned_at_the_first_host_and_no_candle_is_lost(
    lab: Lab, machines: dict[str, Machine], release: Release
) -> None:
    began = datetime.now(UTC)
    for line, why in (
        ('raise RuntimeError("broken at its start")', "broken at its start"),
        ('health.not_ready = lambda *_: ["broken later"]', "broken later"),
    ):
        before = running(machines["collector1"])[0]
        peer = running(machines["collector2"])
        broken = play(lab, PLAY, *release(line), "-e", "collector_gate_seconds=30")
        assert_returned(broken, why, machines, before, peer)

    shipped = play(lab, PLAY)
    assert shipped, shipped.output
    for name in COLLECTORS:
        assert left_over(machines[name]) == ""
        assert len(machines[name].run("ls /opt/marketdata-collector/releases").split()) <= 3
    audit(machines["collector1"], began)


def assert_returned(
    broken: Played, why: str, machines: dict[str, Machine], release: str, peer: tuple[str, str]
) -> None:
    """The roll failed at the first host, which runs what it ran before; the second was not touched."""
    assert not broken
    assert why in broken.output
    assert "Running as before" in broken.output
    assert running(machines["collector1"])[0] == release
    assert is_ready(machines["collector1"])
    assert running(machines["collector2"]) == peer
