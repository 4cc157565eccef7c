"""Bots that one more file of configuration would not reach or not lead to the gateway: refused, or sent back."""

import json
from collections.abc import Callable, Iterator

import pytest

from tests.lab.machine import Machine
from tests.lab.played import Played, play
from tests.support import eventually
from tools.lab.hosts import Lab

pytestmark = pytest.mark.usefixtures("converged")

BOT = "freqtrade-feeder1a.service"
OURS = "/etc/marketdata-feeder/a.json"
FOLDER = f"/etc/systemd/system/{BOT}.d"
OWN = f"/etc/{BOT}.json"
IN_SHELL = f'/bin/bash -c "cd /etc && freqtrade trade --config {BOT}.json >> /run/bot-a.log 2>&1; true"'
ASKED = (
    "curl --silent --noproxy '*' http://127.0.0.1:8090/metrics | grep '^marketdata_gateway_bot_requests_total' || true"
)
FILES = f"ls {OURS} {FOLDER}/90-marketdata-gateway.conf 2>/dev/null || true"
# The command line of everything in the unit's control group.
PROCESSES = f"""for process in $(systemctl show --property=MainPID --value {BOT}); do
    for one in $process $(cat /proc/$process/task/*/children); do tr '\\0' ' ' < /proc/$one/cmdline; echo; done
done"""


@pytest.fixture(scope="module")
def bots(lab: Lab, machines: dict[str, Machine]) -> Machine:
    started = play(lab, "playbooks/lab-bots.yml")
    assert started, started.output
    return machines["feeder1"]


@pytest.fixture
def host(lab: Lab, bots: Machine) -> Iterator[Machine]:
    """The bots' host; afterwards the bot is what it was."""
    own = bots.run(f"cat {OWN}")
    yield bots
    back = feeders(lab, state="direct")
    bots.run(f"cat > {OWN}", own)
    bots.run(f"rm -rf {FOLDER} && systemctl daemon-reload && systemctl restart {BOT}")
    assert back, back.output


@pytest.fixture
def drop_in(host: Machine) -> Callable[[str, str], None]:
    def written(name: str, service: str) -> None:
        host.run(f"mkdir -p {FOLDER} && cat > {FOLDER}/{name}", f"[Service]\n{service}\n")
        host.run(f"systemctl daemon-reload && systemctl restart {BOT}")

    return written


def feeders(lab: Lab, *, state: str = "gateway", **variables: object) -> Played:
    given = json.dumps({"feeder_state": state, "feeder_only": ["a"], **variables})
    return play(lab, "playbooks/feeders.yml", "-e", given)


def printed(played: Played) -> str:
    """What the play printed, without the line breaks of long texts."""
    return " ".join(played.output.split())


def main_process(host: Machine) -> str:
    return host.run(f"systemctl show --property=MainPID --value {BOT}").strip()


def test_a_bot_in_a_shell_is_refused_and_switched_with_the_line_that_the_refusal_names(
    lab: Lab, host: Machine, drop_in: Callable[[str, str], None]
) -> None:
    drop_in("50-shell.conf", f"ExecStart=\nExecStart={IN_SHELL}")
    before = main_process(host)
    refused = feeders(lab)
    assert not refused
    instead = IN_SHELL.replace(f"{BOT}.json", f"{BOT}.json --config {{config}}")
    assert f"`command: {json.dumps(instead)}`" in printed(refused)
    assert (main_process(host), host.run(FILES)) == (before, "")

    others = [{"name": name, "unit": f"freqtrade-feeder1{name}.service"} for name in "bc"]
    switched = feeders(lab, feeder_bots=[{"name": "a", "unit": BOT, "command": instead}, *others])
    assert switched, switched.output
    assert f"freqtrade trade --config {BOT}.json --config {OURS} \n" in host.run(PROCESSES)
    assert 'bot="feeder1-a"' in host.run(ASKED)


def test_a_bot_that_asks_the_gateway_nothing_returns_however_well_it_runs(lab: Lab, host: Machine) -> None:
    other = feeders(lab, feeder_only=["b"])
    assert other, other.output
    counted = host.run(ASKED)
    deaf = feeders(lab, feeder_pairs=["A/asks_nobody:X", "B/U:U", "C/U:U"])
    assert not deaf
    assert "counted no request of feeder1-a within" in printed(deaf)
    assert host.run(FILES) == ""
    assert OURS not in host.run(PROCESSES)
    eventually(lambda: host.run(ASKED) != counted, 20, what="requests of the other bot")  # which are no proof
    assert feeders(lab, state="direct", feeder_only=["b"])


def test_a_proxy_in_the_bots_own_file_is_refused_by_name_before_anything_is_changed(lab: Lab, host: Machine) -> None:
    own = json.loads(host.run(f"cat {OWN}"))
    own["exchange"]["ccxt_config"] = {"httpsProxy": "http://user:hidden@10.0.0.9:3128"}
    host.run(f"cat > {OWN}", json.dumps(own))
    before = main_process(host)
    refused = feeders(lab)
    assert not refused
    assert f"exchange.ccxt_config.httpsProxy in {OWN}" in printed(refused)
    assert "hidden" not in printed(refused)
    assert (main_process(host), host.run(FILES)) == (before, "")


def test_a_proxy_in_the_units_environment_is_refused_unless_no_proxy_names_the_gateway(
    lab: Lab, host: Machine, drop_in: Callable[[str, str], None]
) -> None:
    drop_in("50-proxy.conf", "Environment=HTTP_PROXY=http://10.0.0.9:3128")
    refused = feeders(lab)
    assert not refused
    assert "HTTP_PROXY in its environment" in printed(refused)
    assert host.run(FILES) == ""
    drop_in("50-proxy.conf", "Environment=HTTP_PROXY=http://10.0.0.9:3128 NO_PROXY=127.0.0.1")
    switched = feeders(lab)
    assert switched, switched.output


def test_a_drop_in_that_takes_the_word_over_the_roles_is_found(
    lab: Lab, host: Machine, drop_in: Callable[[str, str], None]
) -> None:
    switched = feeders(lab)
    assert switched, switched.output
    drop_in("99-mine.conf", f"ExecStart=\nExecStart=/usr/local/bin/freqtrade trade --config {OWN}")
    found = feeders(lab)
    assert not found
    assert f"{BOT} runs without --config {OURS}" in printed(found)
