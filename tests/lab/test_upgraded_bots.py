"""Bots that an earlier release pointed at their gateway: answered as before until their switch, and then counted."""

import json
import re
from collections.abc import Iterator

import pytest

from tests.lab.machine import Machine
from tests.lab.played import Played, play
from tests.support import eventually
from tools.lab.hosts import Lab

pytestmark = pytest.mark.usefixtures("converged")

BOT = "freqtrade-feeder1a.service"
OURS = "/etc/marketdata-feeder/a.json"
FOLDER = f"/etc/systemd/system/{BOT}.d"
# What an earlier release wrote: the address that all bots share.
BLOCK = {
    "exchange": {
        "name": "binance",
        "ccxt_config": {"urls": {"api": {"fapiPublic": "http://127.0.0.1:8090/fapi/v1"}}},
        "pair_whitelist": ["BTC/USDT:USDT", "ETH/USDT:USDT"],
    }
}
DROP_IN = f"""[Service]
ExecStart=
ExecStart=/usr/local/bin/freqtrade trade --config /etc/{BOT}.json --config {OURS}
"""
METRICS = "curl --silent --fail --noproxy '*' http://127.0.0.1:8090/metrics"


@pytest.fixture
def host(lab: Lab, machines: dict[str, Machine]) -> Iterator[Machine]:
    """A host whose bot asks the gateway by the address of an earlier release; afterwards it asks the exchange."""
    started = play(lab, "playbooks/lab-bots.yml")
    assert started, started.output
    machine = machines["feeder1"]
    machine.run(f"mkdir -p {FOLDER} /etc/marketdata-feeder")
    machine.run(f"cat > {OURS}", json.dumps(BLOCK))
    machine.run(f"cat > {FOLDER}/90-marketdata-gateway.conf", DROP_IN)
    machine.run(f"systemctl daemon-reload && systemctl restart {BOT}")
    yield machine
    back = feeders(lab, state="direct")
    assert back, back.output


def feeders(lab: Lab, *, state: str = "gateway", **variables: object) -> Played:
    given = json.dumps({"feeder_state": state, "feeder_only": ["a"], **variables})
    return play(lab, "playbooks/feeders.yml", "-e", given)


def main_process(host: Machine) -> str:
    return host.run(f"systemctl show --property=MainPID --value {BOT}").strip()


def answered(host: Machine) -> float:
    """Pings that the gateway has answered, by whatever address."""
    line = re.search(
        r'^marketdata_gateway_requests_total{route="/fapi/v1/ping",status="200"} (\S+)$',
        host.run(METRICS),
        re.MULTILINE,
    )
    return float(line[1]) if line else 0.0


def is_answered_again(host: Machine) -> None:
    before = answered(host)
    eventually(lambda: answered(host) > before, 30, what="an answer to the bot")


def test_a_bot_is_answered_by_its_old_address_through_the_gateways_roll_until_it_is_switched(
    lab: Lab, host: Machine
) -> None:
    process = main_process(host)
    is_answered_again(host)
    rolled = play(lab, "playbooks/gateways.yml", "-e", "gateway_log_level=WARNING")
    assert rolled, rolled.output
    assert "Roll | Restart the gateway" in rolled.changed["feeder1"]
    is_answered_again(host)
    assert 'bot="feeder1-a"' not in host.run(METRICS)
    assert main_process(host) == process

    switched = feeders(lab)
    assert switched, switched.output
    assert main_process(host) != process
    assert "/bots/feeder1-a/fapi/v1" in host.run(f"cat {OURS}")
    assert 'marketdata_gateway_bot_requests_total{bot="feeder1-a"}' in host.run(METRICS)
    shipped = play(lab, "playbooks/gateways.yml")
    assert shipped, shipped.output


def test_no_bot_is_touched_while_its_gateway_counts_no_bots(lab: Lab, host: Machine) -> None:
    process = main_process(host)
    # What answers and counts no bots, as the metrics of an earlier release.
    refused = feeders(lab, feeder_metrics_urls=["http://127.0.0.1:8090/readyz"])
    assert not refused
    assert "roll the gateways to this release first (playbooks/gateways.yml)" in " ".join(refused.output.split())
    assert main_process(host) == process
    assert json.loads(host.run(f"cat {OURS}")) == BLOCK
    is_answered_again(host)
