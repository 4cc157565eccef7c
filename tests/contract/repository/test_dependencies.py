"""What is imported is declared: a package that another one happens to bring may leave with its next version."""

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from tests.contract.repository.test_repository import OURS, ROOT, imports, tracked_and_new

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LIBRARY: dict[str, Any] = tomllib.loads((ROOT / "marketdata/pyproject.toml").read_text(encoding="utf-8"))
BOTS = (ROOT / "tools/clients/requirements.in").read_text(encoding="utf-8").splitlines()

RUNTIME: list[str] = PROJECT["project"]["dependencies"]
LIBRARY_RUNTIME: list[str] = LIBRARY["project"]["dependencies"]
GROUPS: dict[str, list[str]] = {
    name: [entry for entry in entries if isinstance(entry, str)]
    for name, entries in PROJECT["dependency-groups"].items()
}
EVERYTHING = [*RUNTIME, *LIBRARY_RUNTIME, *(entry for entries in GROUPS.values() for entry in entries)]
NOT_IMPORTED = {"marketdata", "python-socks"}  # ours; imported by websockets where a SOCKS proxy is configured
IN_BOTS = [*BOTS, *LIBRARY_RUNTIME, "pandas", "ta-lib"]  # freqtrade's strategies are written with these two

INSTALLED = ("collector", "exchange", "gateway", "influx", "sentinel", "service")
"""The folders of the wheel that hosts install: no group of dependencies comes along."""


def distribution(requirement: str) -> str:
    """`python-socks[asyncio]>=2.8` to `python-socks`, as package indexes normalize names."""
    name = re.match(r"[\w.-]+", requirement)
    return re.sub(r"[-_.]+", "-", name.group()).lower() if name else ""


def third_party(folders: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(file and line, top-level module) of each import that is neither the standard library's nor ours."""
    ours = OURS | {"bench", "examples"} | {file.stem for file in tracked_and_new("ansible/plugins/module_utils/*.py")}
    for folder in folders:
        for file in tracked_and_new(f"{folder}/**.py"):
            for line, module in imports(file):
                top = module.split(".")[0]
                if top not in sys.stdlib_module_names and top not in ours:
                    yield f"{file.relative_to(ROOT)}:{line}", top


MODULES = packages_distributions()


def distributions(module: str) -> set[str]:
    """The installed distributions that a module comes from; one that is not installed bears its own name."""
    return {distribution(name) for name in MODULES.get(module, [{"talib": "ta-lib"}.get(module, module)])}


@pytest.mark.parametrize(
    ("folders", "declared"),
    [
        pytest.param(INSTALLED, RUNTIME, id="services"),
        pytest.param(["marketdata"], LIBRARY_RUNTIME, id="library"),
        pytest.param(["simulator"], [*RUNTIME, *GROUPS["simulator"]], id="simulator"),
        pytest.param(["grafana"], [*RUNTIME, *GROUPS["dashboards"]], id="dashboards"),
        pytest.param(["ansible"], [*RUNTIME, *GROUPS["lint"]], id="ansible"),
        pytest.param(["bench", "tests"], EVERYTHING, id="tests"),
        pytest.param(["tools"], [*EVERYTHING, *IN_BOTS], id="tools"),
        pytest.param(["examples"], IN_BOTS, id="examples"),
    ],
)
def test_every_package_that_is_imported_is_declared_where_it_is_needed(folders: list[str], declared: list[str]) -> None:
    names = {distribution(entry) for entry in declared}
    undeclared = [
        f"{where} imports {module}" for where, module in third_party(folders) if not distributions(module) & names
    ]
    assert undeclared == []


@pytest.mark.parametrize(
    ("folders", "declared"),
    [
        pytest.param(INSTALLED, RUNTIME, id="services"),
        pytest.param(["marketdata"], LIBRARY_RUNTIME, id="library"),
    ],
)
def test_every_package_that_is_declared_is_imported(folders: list[str], declared: list[str]) -> None:
    used = {name for _, module in third_party(folders) for name in distributions(module)}
    assert {distribution(entry) for entry in declared} - used - NOT_IMPORTED == set()


def test_the_comparison_sees_an_import_that_is_not_declared(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text("def f():\n    from websockets.asyncio.client import connect\n", encoding="utf-8")
    assert list(imports(file)) == [(2, "websockets.asyncio.client.connect")]
    assert distributions("websockets") == {"websockets"}
    assert distribution("python-socks[asyncio]>=2.8") == "python-socks"
