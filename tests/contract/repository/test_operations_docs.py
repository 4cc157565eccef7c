"""What docs/operations.md counts and lists is what there is."""

import re
from pathlib import Path

import yaml

from tests.support.rules import rules

ROOT = Path(__file__).resolve().parents[3]
OPERATIONS = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
ONLY_IN_THE_LAB = {"exchange simulator"}


def test_the_open_ports_are_those_of_the_firewall() -> None:
    ports = yaml.safe_load((ROOT / "ansible/group_vars/all/ports.yml").read_text(encoding="utf-8"))["platform_ports"]
    opened = {
        (str(port["port"]), port["name"], frozenset([*port["clients"], *re.findall(r"\w+", port.get("addresses", ""))]))
        for port in ports
        if port["name"] not in ONLY_IN_THE_LAB
    }
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \|$", OPERATIONS, re.MULTILINE)
    told = {(number, name, frozenset(re.findall(r"`(\w+)`", clients))) for number, name, clients in rows}
    assert told == opened


def test_the_number_of_alerts_is_right() -> None:
    said = re.search(r"^(\d+) alerts in `prometheus/rules/`", OPERATIONS, re.MULTILINE)
    assert said
    assert int(said[1]) == sum("alert" in rule for rule in rules())
