"""The demo's check and the fault table judge the platform, so they share no code with what they judge."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MODULES = sorted((ROOT / "tools" / "demo").glob("*.py"))
FAULTS = sorted((ROOT / "tools" / "faults").glob("*.py"))
JUDGED = {"collector", "gateway", "exchange", "marketdata", "simulator", "influx", "influx_reconcile", "sentinel"}


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports would hide from this test"
            yield (node.module or "").partition(".")[0]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_the_demo_imports_nothing_that_it_judges(path: Path) -> None:
    assert not JUDGED & set(imported(path))


@pytest.mark.parametrize("path", FAULTS, ids=lambda path: path.stem)
def test_the_fault_table_imports_nothing_that_it_judges(path: Path) -> None:
    """But for `influx`: provisioning is how an operator sets a store up, and its scripts are what InfluxDB runs."""
    assert not (JUDGED - {"influx"}) & set(imported(path))


def test_the_test_sees_the_modules() -> None:
    assert {"check", "compare", "exchange_truth", "store_truth", "probe"} <= {path.stem for path in MODULES}
    assert {"engine", "judge", "limits", "world"} <= {path.stem for path in FAULTS}
