"""What verify.yml concludes from what its modules told: whatever did not answer is not proven."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
GOOD: dict[str, Any] = {
    "__verify_host": {"proofs": [{"check": "ports are open", "ok": True, "detail": ""}]},
    "__base_verify": {"loaded": False},
}
GROUPS = {"platform": ["store1"], "influxdb": []}


@pytest.fixture(scope="module")
def proofs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("proofs", ROOT / "ansible/plugins/filter/proofs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def faults(proofs: ModuleType, told: dict[str, Any], groups: dict[str, list[str]]) -> list[str]:
    return [proof["detail"] for proof in proofs.proofs({"store1": told}, groups) if not proof["ok"]]


def test_a_host_on_which_everything_is_right_has_no_fault(proofs: ModuleType) -> None:
    assert faults(proofs, GOOD, GROUPS) == []


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("__verify_host", {"unreachable": True, "msg": "no route"}),
        ("__verify_host", {"failed": True, "msg": "no route"}),
        ("__base_verify", {"failed": True, "msg": "no route"}),
    ],
)
def test_a_host_that_does_not_answer_is_a_fault(proofs: ModuleType, name: str, told: dict[str, Any]) -> None:
    assert [detail.endswith(": no route") for detail in faults(proofs, {**GOOD, name: told}, GROUPS)] == [True]


def test_what_was_never_asked_is_a_fault(proofs: ModuleType) -> None:
    assert len(faults(proofs, {}, GROUPS)) == 2


def test_rules_that_differ_are_a_fault(proofs: ModuleType) -> None:
    assert len(faults(proofs, {**GOOD, "__base_verify": {"loaded": True}}, GROUPS)) == 1


def test_what_the_reconcile_would_change_and_could_not_compare_is_a_fault(proofs: ModuleType) -> None:
    store: dict[str, Any] = {"__influxdb_verify": {"proofs": []}}
    groups = {**GROUPS, "influxdb": ["store1"]}
    for told, expected in (
        ({"changes": [], "reports": ["bucket other: not ours"]}, []),
        ({"changes": ["~ task ohlcv_1h: it is inactive"], "reports": []}, ["~ task ohlcv_1h: it is inactive"]),
        ({"changes": [], "reports": ["not compared: no answer"]}, ["not compared: no answer"]),
    ):
        assert faults(proofs, {**GOOD, **store, "__influxdb_provision": told}, groups) == expected


def test_shipped_rules_and_folders_are_those_of_the_repository(proofs: ModuleType) -> None:
    rules = proofs.shipped_rules(str(ROOT / "prometheus/rules"))
    assert "Watchdog" in rules["marketdata.monitoring"]
    folders = proofs.shipped_folders([{"folders": {"/etc/prometheus/rules": "prometheus/rules"}}, {}], str(ROOT))
    assert folders["/etc/prometheus/rules"].keys() == {file.name for file in (ROOT / "prometheus/rules").iterdir()}
