"""A gateway on a converged feeder host: who may ask it what, what its unit allows, and rolls that fail and return."""

import json
from pathlib import Path

import pytest

from tests.lab.machine import Machine
from tests.lab.played import play
from tests.support import eventually
from tools.lab.hosts import Lab

pytestmark = pytest.mark.usefixtures("converged")

UNIT = "marketdata-gateway.service"
PLAY = "playbooks/gateways.yml"
KLINES = "/fapi/v1/klines?symbol=BTCUSDT&interval=3m&limit=5"


@pytest.fixture
def host(machines: dict[str, Machine]) -> Machine:
    return machines["feeder1"]


def running(host: Machine) -> tuple[str, str]:
    """The release that runs, and its process."""
    pid = host.run(f"systemctl show --property=MainPID --value {UNIT}").strip()
    return Path(host.run(f"readlink /proc/{pid}/cwd").strip()).name, pid


def is_ready(host: Machine) -> bool:
    return host.run("curl --silent --max-time 5 http://127.0.0.1:8090/readyz || true") == "ready\n"


def test_a_gateway_is_ready_under_a_hardened_unit(host: Machine) -> None:
    assert is_ready(host)
    assert host.run(f"systemctl show --property=StatusText --value {UNIT}") == "ready\n"
    # The threshold is the score times ten; the command fails above it.
    host.run(f"systemd-analyze security --no-pager --threshold=20 {UNIT}")
    listing = host.run("find /etc/marketdata-gateway/credentials -printf '%U:%G %m %f\\n' | sort")
    assert listing.splitlines() == ["0:0 600 reader-main.token", "0:0 700 credentials"]


def test_bots_of_its_host_are_answered_from_memory(host: Machine) -> None:
    rows = json.loads(host.run(f"curl --silent --fail --max-time 10 'http://127.0.0.1:8090{KLINES}'"))
    assert [row[0] - rows[0][0] for row in rows] == [n * 180_000 for n in range(5)]
    assert 'marketdata_gateway_exchange_requests_total{route="/fapi/v1/klines"} 0.0' in host.run(
        "curl --silent --fail http://127.0.0.1:8090/metrics"
    )


def test_prometheus_may_read_its_metrics_and_no_candle(machines: dict[str, Machine], host: Machine) -> None:
    assert {name for name, machine in machines.items() if machine.reaches(host, 8090)} == {"feeder1", "monitor1"}
    asked = "curl --silent --output /dev/null --write-out '%{http_code}' --max-time 10 "
    assert machines["monitor1"].run(f"{asked} http://{host.address}:8090/metrics") == "200"
    assert machines["monitor1"].run(f"{asked} 'http://{host.address}:8090{KLINES}'") == "401"


def test_an_operator_runs_the_gateways_commands_with_its_token(host: Machine) -> None:
    assert "2 collector(s), 1 store(s) and exchange are right" in host.run("marketdata-gateway check")


def test_a_token_that_came_by_another_way_is_read_by_the_next_run(lab: Lab, host: Machine) -> None:
    host.run("touch /etc/marketdata-gateway/credentials/reader-main.token")
    rolled = play(lab, PLAY)
    assert rolled, rolled.output
    assert rolled.changed == {"feeder1": ["Roll | Restart the gateway"]}
    assert play(lab, PLAY).changed == {}


def test_a_configuration_that_the_gateway_refuses_stops_nothing(lab: Lab, host: Machine) -> None:
    before = running(host)
    rolled = play(lab, PLAY, "-e", '{"gateway_refuse_intervals": ["7x"]}')
    assert not rolled
    assert "gateway.refuse_intervals" in rolled.output
    assert running(host) == before


def test_a_gateway_that_does_not_come_up_is_put_back_as_it_was(lab: Lab, host: Machine) -> None:
    release, _ = running(host)
    # An address that the host does not have: the file is right, the process ends.
    rolled = play(lab, PLAY, "-e", "gateway_listen=203.0.113.9:8090", "-e", "gateway_gate_seconds=6")
    assert not rolled
    assert "The roll ended at feeder1: Roll | Restart the gateway" in rolled.output
    assert "cannot listen" in rolled.output
    assert f"Running as before: {release}" in rolled.output
    eventually(lambda: is_ready(host), 60, what="the gateway ready again")
    assert host.run("find /etc/marketdata-gateway /etc/systemd/system /opt -name '*~' -o -name '*.wheels'") == ""
    assert play(lab, PLAY).changed == {}  # nothing waits to be read: what was put back has its old times
