"""The tests of the alerts that matter most notice every changed operator and number: no mutant survives."""

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.mutants import Mutant, mutants, needed
from tests.support.rules import rules
from tools.bootstrap import programs

PROMETHEUS = Path(__file__).resolve().parents[3] / "prometheus"
GROUP = "mutant"


def survives(promtool: Path, folder: Path, alertname: str, only: list[dict[str, Any]]) -> bool:
    """Whether the alert's tests pass with these rules alone. One group: they are evaluated in their order."""
    folder.mkdir()
    # JSON is YAML, and is written faster.
    text = json.dumps({"groups": [{"name": GROUP, "rules": only}]})
    (folder / "rules.yml").write_text(text, encoding="utf-8")
    tests = yaml.load((PROMETHEUS / "tests" / f"{alertname}.yml").read_text(encoding="utf-8"), yaml.CSafeLoader)
    tests |= {"rule_files": ["rules.yml"], "group_eval_order": [GROUP]}
    (folder / "tests.yml").write_text(json.dumps(tests), encoding="utf-8")
    command = [str(promtool), "test", "rules", "tests.yml"]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0


ALERTS = [
    *("ExchangeSilent", "PairStale", "WriteStalled", "CandlesLate", "PointsDropped", "HostDown", "InfluxDBDown"),
    *("GatewayDown", "GatewayNotReady", "GatewayCrashLooping", "GatewayCollectorUnheard", "GatewayStoreUnreachable"),
    *("GatewayCandlesLate", "GatewayRefusesBots", "GatewayBudgetExhausted", "GatewayBanned"),
]
"""A rule that several read is changed for the first of them alone."""


@pytest.mark.parametrize("alertname", ALERTS)
def test_no_changed_operator_or_number_goes_unnoticed(alertname: str, tmp_path: Path) -> None:
    promtool = programs.find("promtool")
    assert promtool, "promtool is not here: `make setup` gets it"
    # What alerts read comes first, what reads alerts after them: the one group is evaluated in its order.
    every_rule = sorted(rules(), key=lambda rule: "alert" in rule or "ALERTS{" in rule["expr"])
    own = needed(every_rule, alertname)
    assert survives(promtool, tmp_path / "unchanged", alertname, own)

    def lives(numbered: tuple[int, tuple[int, Mutant]]) -> str | None:
        number, (place, mutant) = numbered
        changed = [*own[:place], mutant.rule, *own[place + 1 :]]
        name = mutant.rule.get("record") or mutant.rule["alert"]
        return f"{name}: {mutant.change}" if survives(promtool, tmp_path / str(number), alertname, changed) else None

    elsewhere = [rule for other in ALERTS[: ALERTS.index(alertname)] for rule in needed(every_rule, other)]
    every = [(place, mutant) for place, rule in enumerate(own) if rule not in elsewhere for mutant in mutants(rule)]
    assert len(every) >= 7
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        survivors = [name for name in pool.map(lives, enumerate(every)) if name]
    assert survivors == [], "\n".join(survivors)
