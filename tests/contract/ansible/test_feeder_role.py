"""What the role feeder renders for the fleet of the production inventory: twelve bots on four hosts, 110 pairs each."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.feeder_files import ANSIBLE, HOSTS, render

ROOT = Path(__file__).resolve().parents[3]
PAIRS = yaml.safe_load((ANSIBLE / "inventories/production/group_vars/feeders/pairs.yml").read_text(encoding="utf-8"))[
    "feeder_pairs"
]
DOCUMENTED = json.loads(
    "{"
    + re.findall(r"```json\n(\"exchange\": .+?)```", (ROOT / "docs/freqtrade.md").read_text("utf-8"), re.DOTALL)[0]
    + "}"
)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("feeders")
    render(folder)
    return folder


def block(folder: Path, host: str, bot: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / host / f"{bot}.json").read_text(encoding="utf-8"))
    return content


def test_the_fleet_has_110_pairs_and_none_twice() -> None:
    assert len(PAIRS) == len(set(PAIRS)) == 110
    assert PAIRS[0] == "BTC/USDT:USDT"


@pytest.mark.parametrize("host", HOSTS)
def test_the_three_bots_of_a_host_share_all_pairs_in_their_order(rendered: Path, host: str) -> None:
    lists = [block(rendered, host, bot)["exchange"]["pair_whitelist"] for bot in "abc"]
    assert [len(pairs) for pairs in lists] == [37, 37, 36]
    assert [pair for pairs in lists for pair in pairs] == PAIRS


@pytest.mark.parametrize("host", HOSTS)
def test_a_bot_is_given_the_documented_block_by_its_own_path_and_no_producer(rendered: Path, host: str) -> None:
    for bot in "abc":
        content = block(rendered, host, bot)
        own = {key: value for key, value in content["exchange"].items() if key != "pair_whitelist"}
        path = own["ccxt_config"]["urls"]["api"]["fapiPublic"]
        assert path == f"http://127.0.0.1:8090/bots/{host}-{bot}/fapi/v1"
        own["ccxt_config"]["urls"]["api"]["fapiPublic"] = path.replace(f"/bots/{host}-{bot}", "")
        assert own == DOCUMENTED["exchange"]
        assert content["external_message_consumer"] == {"enabled": False, "producers": []}
        assert content.keys() == {"exchange", "external_message_consumer"}


@pytest.mark.parametrize("host", HOSTS)
def test_a_bots_unit_keeps_its_command_and_is_given_one_more_file(rendered: Path, host: str) -> None:
    number = host.removeprefix("feeder")
    for bot in "abc":
        lines = (
            (rendered / host / f"freqtrade-feeder{number}{bot}.service.conf").read_text(encoding="utf-8").splitlines()
        )
        assert lines[-3:] == ["[Service]", "ExecStart=", f"ExecStart=freqtrade trade -c x --config {bot}.json"]
        assert "After=marketdata-gateway.service" in lines
