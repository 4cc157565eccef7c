"""Every alert: complete, of known labels, on a dashboard, with a runbook, a case that fires and one that must not."""

import re
import subprocess
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from tests.support.dashboards import UIDS
from tests.support.rules import rules

PROMETHEUS = Path(__file__).resolve().parents[3] / "prometheus"
RUNBOOKS = PROMETHEUS.parent / "docs" / "runbooks"
RUNBOOK_URL = "https://github.com/marketdata-platform/marketdata-platform/blob/main/docs/runbooks/{}.md"
SECTIONS = ["## Meaning", "## Impact", "## Diagnosis", "## Mitigation"]


EXPORTED = set(
    re.findall(r"`(marketdata_\w+)`", (PROMETHEUS.parent / "docs" / "metrics.md").read_text(encoding="utf-8"))
)
"""Every metric of ours; a test of its own compares that page with what the code exports."""

ALERTS = [rule for rule in rules() if "alert" in rule]
NAMES = sorted({rule["alert"] for rule in ALERTS})


RECORDED = {rule["record"] for rule in rules() if "record" in rule}


def cases(name: str) -> list[dict[str, Any]]:
    """The alert's expectations, of all scenarios in its file."""
    document = yaml.safe_load((PROMETHEUS / "tests" / f"{name}.yml").read_text(encoding="utf-8"))
    return [case for scenario in document["tests"] for case in scenario.get("alert_rule_test", [])]


def test_every_alert_has_a_file_of_tests_and_every_file_an_alert() -> None:
    assert sorted(file.stem for file in (PROMETHEUS / "tests").glob("*.yml")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_an_alert_has_a_case_that_fires_and_one_that_must_not(name: str) -> None:
    own = cases(name)
    assert {case["alertname"] for case in own} == {name}
    assert any(case.get("exp_alerts") for case in own)
    # The watchdog fires always: there is no case in which it must not.
    assert name == "Watchdog" or any(not case.get("exp_alerts") for case in own)


def test_every_severity_and_window_of_an_alert_fires_in_a_case() -> None:
    fired = {
        (name, tuple(expected["exp_labels"].get(label) for label in ("severity", "long")))
        for name in NAMES
        for case in cases(name)
        for expected in case.get("exp_alerts") or []
    }
    assert fired == {(rule["alert"], (rule["labels"]["severity"], rule["labels"].get("long"))) for rule in ALERTS}


@pytest.mark.parametrize("name", NAMES)
def test_an_alert_says_what_it_is_where_to_look_and_what_to_do(name: str) -> None:
    for rule in (rule for rule in ALERTS if rule["alert"] == name):
        notes = rule["annotations"]
        assert set(notes) == {"summary", "description", "runbook_url", "dashboard"}
        assert "{{" not in notes["summary"], "a summary is the same for all of a group"
        assert notes["runbook_url"] == RUNBOOK_URL.format(name)
        assert notes["dashboard"] in UIDS
        assert rule["labels"]["severity"] in {"critical", "warning", "none"}
        assert (rule["labels"]["severity"] == "none") == (name == "Watchdog")


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert sorted(page.stem for page in RUNBOOKS.glob("*.md")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_runbook_has_the_four_sections_and_something_to_paste(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {name}\n")
    assert re.findall(r"^## .*$", text, re.MULTILINE) == SECTIONS
    diagnosis = text.partition("## Diagnosis")[2].partition("## Mitigation")[0]
    assert re.search(r"^```(promql|sh|sql)\n.+?^```$", diagnosis, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", NAMES)
def test_the_queries_of_a_runbook_are_promql_on_metrics_that_exist(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
    queries = [query for block in re.findall(r"```promql\n(.+?)```", text, re.DOTALL) for query in block.splitlines()]
    for query in queries:
        promql_parser.parse(query)
    assert ours(" ".join(queries)) <= EXPORTED | RECORDED


@pytest.mark.parametrize("name", NAMES)
def test_the_commands_of_a_runbook_are_shell(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
    for block in re.findall(r"```sh\n(.+?)```", text, re.DOTALL):
        checked = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, ""), block


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("record") or rule["alert"])
def test_a_rule_reads_metrics_that_exist(rule: dict[str, Any]) -> None:
    assert ours(rule["expr"]) <= EXPORTED | RECORDED


def ours(text: str) -> set[str]:
    """Names of our metrics and of recorded ones; of a histogram's series the histogram's."""
    names = re.findall(r"[a-z_]*:marketdata_[a-z_]+:\w+|\bmarketdata_\w+", re.sub(r'"[^"]*"', "", text))
    return {re.sub(r"_(seconds)_(bucket|count|sum)$", r"_\1", name) for name in names}


@pytest.mark.parametrize("name", ["PairStale", "ExchangeSilent", "ExchangePartiallyStale", "StreamSilent"])
def test_an_alert_on_pairs_knows_no_single_collector(name: str) -> None:
    labels = {
        label for case in cases(name) for expected in case.get("exp_alerts") or [] for label in expected["exp_labels"]
    }
    assert labels.isdisjoint({"job", "instance", "host"})


def test_recorded_names_are_level_metric_operation_and_unique() -> None:
    names = [rule["record"] for rule in rules() if "record" in rule]
    assert [name for name in names if not re.fullmatch(r"[a-z_]+:marketdata_[a-z_]+:[a-z]+[a-z0-9_]*", name)] == []
    assert len(names) == len(set(names))


def test_nothing_here_speaks_of_the_spot_exchange() -> None:
    """Its hosts answer while the futures exchange does not."""
    files = [*PROMETHEUS.rglob("*.yml"), *RUNBOOKS.glob("*.md")]
    spot = re.compile(r"(?<![\w.])(api\d?|stream|data-api|data-stream)\.binance\.(com|vision)")
    assert [file.name for file in files if spot.search(file.read_text(encoding="utf-8"))] == []
