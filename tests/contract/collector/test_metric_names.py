"""Every metric that a rule or a panel uses is exported; every exported one is used or documented as diagnostic."""

import re
from pathlib import Path

import promql_parser
import pytest
import yaml

from tests.support import grafana_expansion as grafana
from tests.support.dashboards import all_queries
from tests.support.rules import rules

ROOT = Path(__file__).parents[3]
THIRD_PARTIES = ROOT / "tests" / "data" / "third_party_metrics.yml"
ROW = re.compile(r"^\| `(marketdata_\w+)` \| (\w+) \| [^|]* \| ([^|]+) \|$", re.MULTILINE)
SHOWN = grafana.Shown(0, 21_600_000, {"pair": grafana.Variable(('A"B, C=$D/USDT:USDT',))})
"""A pair that is hard to quote: PromQL must see its name unchanged."""
OF_EVERY_TARGET = {"up", "scrape_duration_seconds", "scrape_samples_scraped", "ALERTS", "ALERTS_FOR_STATE"}
"""Created by Prometheus itself."""


def documented() -> dict[str, tuple[str, str]]:
    """Our own metrics: name -> (type, meaning)."""
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    return {name: (kind, meaning) for name, kind, meaning in ROW.findall(page)}


def names_in(text: str) -> set[str]:
    """The metrics that a PromQL query selects."""
    found: set[str] = set()

    def visit(node: object) -> bool:
        if isinstance(node, promql_parser.VectorSelector) and node.name:
            found.add(node.name)
        return True

    promql_parser.walk(promql_parser.parse(text), visit)
    return found


def shown() -> dict[str, set[str]]:
    """metric -> where a dashboard uses it."""
    used: dict[str, set[str]] = {}
    for query in all_queries():
        if query.source != "prometheus":
            continue
        text = re.sub(r"^label_values\((.+), \w+\)$", r"\1", query.text)
        for name in names_in(grafana.promql(text, SHOWN)):
            used.setdefault(name, set()).add(str(query))
    return used


def judged() -> dict[str, set[str]]:
    """metric -> which rules use it."""
    used: dict[str, set[str]] = {}
    for rule in rules():
        for name in names_in(rule["expr"]):
            used.setdefault(name, set()).add(rule.get("alert") or rule["record"])
    return used


def series_of(name: str, kind: str) -> set[str]:
    """The names under which a metric's samples appear."""
    return {f"{name}_{suffix}" for suffix in ("bucket", "sum", "count")} if kind in ("histogram", "summary") else {name}


@pytest.fixture(scope="module")
def exported() -> set[str]:
    ours = {series for name, (kind, _) in documented().items() for series in series_of(name, kind)}
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    programs = yaml.safe_load(THIRD_PARTIES.read_text(encoding="utf-8"))
    others = {
        series
        for program in programs.values()
        for kind, names in program["metrics"].items()
        for name in names
        for series in series_of(name, kind) | {name}
    }
    return ours | recorded | others | OF_EVERY_TARGET


def test_every_metric_a_panel_uses_is_exported(exported: set[str]) -> None:
    assert {name: places for name, places in shown().items() if name not in exported} == {}


def test_every_metric_a_rule_uses_is_exported(exported: set[str]) -> None:
    assert {name: places for name, places in judged().items() if name not in exported} == {}


def test_every_exported_metric_is_used_or_documented_as_diagnostic() -> None:
    used = shown().keys() | judged().keys()
    unused = {
        name
        for name, (kind, meaning) in documented().items()
        if not series_of(name, kind) & used and "diagnostic" not in meaning.lower()
    }
    assert sorted(unused) == []


def test_every_recording_rule_is_used() -> None:
    used = shown().keys() | judged().keys()
    assert sorted({rule["record"] for rule in rules() if "record" in rule} - used) == []
