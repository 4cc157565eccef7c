"""The reconcile engine is one package with three uses: command, import, Ansible module. These need no server."""

import ast
import subprocess
import sys
from pathlib import Path

import influx_reconcile
import pytest

from tests.support import BUSY

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "ansible" / "plugins" / "module_utils" / "influx_reconcile"
MODULES = sorted(PACKAGE.glob("*.py"))
CLOSED = "http://127.0.0.1:1"


def imports(path: Path) -> list[ast.Import | ast.ImportFrom]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def run(*command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60 * BUSY)


def test_the_imported_engine_is_the_one_that_ansible_ships_to_the_hosts() -> None:
    assert Path(influx_reconcile.__file__).parent == PACKAGE


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_the_engine_imports_the_standard_library_and_itself_alone(path: Path) -> None:
    for node in imports(path):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            continue
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_the_engine_is_written_for_python_3_11(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 11))


@pytest.mark.parametrize("name", ["desired", "plan", "observed", "changes", "errors"])
def test_the_core_of_the_engine_is_pure(name: str) -> None:
    impure = {"os", "pathlib", "http", "time", "socket", "secrets", "asyncio", "api", "token_files", "apply", "engine"}
    for node in imports(PACKAGE / f"{name}.py"):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        assert not {part for imported in names for part in imported.split(".")} & impure


def test_the_ansible_module_documents_itself() -> None:
    done = run(f"{Path(sys.executable).parent}/ansible-doc", "-t", "module", "influx_reconcile", cwd=ROOT / "ansible")
    assert done.returncode == 0, done.stderr
    assert "allow_destructive" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--url", "here:8086", "--secrets-dir", "{tmp}"], ["url: 'here:8086'", "allowed: http://host:port"]),
        (["--url", CLOSED, "--secrets-dir", "{tmp}", "--schema", "{tmp}/none.yml"], ["none.yml", "cannot be read"]),
        (["--url", CLOSED, "--secrets-dir", "{tmp}", "--schema", "{tmp}/bad.yml"], ["bad.yml: the file: 'orgs'"]),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    (tmp_path / "bad.yml").write_text("orgs: marketdata\n", encoding="utf-8")
    done = run(sys.executable, "-m", "influx", *(argument.format(tmp=tmp_path) for argument in arguments))
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert all(word in done.stderr for word in words)


def test_a_dead_server_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    done = run(f"{Path(sys.executable).parent}/influx-reconcile", "--url", CLOSED, "--secrets-dir", str(tmp_path))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert f"{CLOSED}: cannot connect" in done.stderr
    assert list(tmp_path.iterdir()) == []
