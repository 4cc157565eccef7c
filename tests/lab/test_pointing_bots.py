"""Bots are pointed at their gateway and back, one by one, and what does not start returns by itself."""

import json

import pytest

from tests.lab.machine import Machine
from tests.lab.played import Played, play
from tools.lab.hosts import Lab

pytestmark = pytest.mark.usefixtures("converged")

BOTS = {name: f"freqtrade-feeder1{name}.service" for name in "abc"}
FILES = "ls -d /etc/marketdata-feeder /etc/systemd/system/freqtrade-feeder1*.service.d 2>/dev/null || true"


@pytest.fixture(scope="module")
def host(lab: Lab, machines: dict[str, Machine]) -> Machine:
    bots = play(lab, "playbooks/lab-bots.yml")
    assert bots, bots.output
    return machines["feeder1"]


def feeders(lab: Lab, *options: str) -> Played:
    return play(lab, "playbooks/feeders.yml", *options)


def runs(host: Machine) -> dict[str, tuple[str, str]]:
    """By bot the process and its command line."""
    found = {}
    for name, unit in BOTS.items():
        process = host.run(f"systemctl show --property=MainPID --value {unit}").strip()
        found[name] = (process, host.run(f"tr '\\0' ' ' < /proc/{process}/cmdline").strip())
    return found


def commands(host: Machine) -> dict[str, str]:
    return {name: command for name, (_, command) in runs(host).items()}


def test_bots_get_the_gateways_block_and_go_back_to_what_they_were(lab: Lab, host: Machine) -> None:
    before = commands(host)
    rehearsed = feeders(lab, "--check", "--diff")
    assert rehearsed, rehearsed.output
    assert "fapiPublic" in rehearsed.diffs
    assert commands(host) == before
    assert host.run(FILES) == ""

    switched = feeders(lab)
    assert switched, switched.output
    assert commands(host) == {
        name: f"{command} --config /etc/marketdata-feeder/{name}.json" for name, command in before.items()
    }
    shares = [
        json.loads(host.run(f"cat /etc/marketdata-feeder/{name}.json"))["exchange"]["pair_whitelist"] for name in BOTS
    ]
    assert [len(pairs) for pairs in shares] == [2, 2, 1]

    processes = runs(host)
    again = feeders(lab)
    assert again, again.output
    assert (again.changed, runs(host)) == ({}, processes)

    back = feeders(lab, "-e", "feeder_state=direct")
    assert back, back.output
    assert (commands(host), host.run(FILES)) == (before, "")
    assert feeders(lab, "-e", "feeder_state=direct").changed == {}


def test_a_bot_that_does_not_come_up_returns_to_the_exchange_and_ends_the_run(lab: Lab, host: Machine) -> None:
    before = runs(host)
    broken = feeders(lab, "-e", json.dumps({"feeder_pairs": ["A/exit_at_once:X", "B/U:U", "C/U:U"]}))
    assert not broken
    assert f"{BOTS['a']} did not come up with the gateway" in broken.output
    after = runs(host)
    assert after["a"][1] == before["a"][1]
    assert (after["b"], after["c"]) == (before["b"], before["c"])


def test_one_bot_goes_first_with_its_part_of_the_pairs(lab: Lab, host: Machine) -> None:
    before = commands(host)
    switched = feeders(lab, "-e", '{"feeder_only": ["b"]}')
    assert switched, switched.output
    assert {name for name, command in commands(host).items() if command != before[name]} == {"b"}
    assert len(json.loads(host.run("cat /etc/marketdata-feeder/b.json"))["exchange"]["pair_whitelist"]) == 2
    assert feeders(lab, "-e", "feeder_state=direct")
    assert (commands(host), host.run(FILES)) == (before, "")


def test_a_bot_that_is_not_named_any_more_keeps_its_file_when_the_others_go_back(lab: Lab, host: Machine) -> None:
    before = commands(host)
    switched = feeders(lab)
    assert switched, switched.output
    named = [{"name": name, "unit": BOTS[name]} for name in "ab"]
    back = feeders(lab, "-e", json.dumps({"feeder_state": "direct", "feeder_bots": named}))
    assert back, back.output
    assert host.run("ls /etc/marketdata-feeder").split() == ["c.json"]
    assert {name for name, command in commands(host).items() if command != before[name]} == {"c"}
    assert feeders(lab, "-e", "feeder_state=direct")
    assert (commands(host), host.run(FILES)) == (before, "")


def test_a_stopped_bot_stays_stopped(lab: Lab, host: Machine) -> None:
    host.run(f"systemctl stop {BOTS['c']}")
    switched = feeders(lab)
    assert switched, switched.output
    assert host.run(f"systemctl is-active {BOTS['c']} || true").strip() == "inactive"
    assert feeders(lab, "-e", "feeder_state=direct")
    host.run(f"systemctl start {BOTS['c']}")


def test_no_bot_is_pointed_at_a_gateway_that_is_not_ready(lab: Lab, host: Machine) -> None:
    before = runs(host)
    host.run("systemctl stop marketdata-gateway.service")
    try:
        refused = feeders(lab)
        assert not refused
        assert runs(host) == before
    finally:
        host.run("systemctl start marketdata-gateway.service")
