"""The reconcile engine is one package with three uses: command, import, Ansible module. These need no server."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import influx.reconcile
from tests.support import BUSY

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "influx" / "reconcile"
LINK = ROOT / "ansible" / "plugins" / "module_utils" / "influx_reconcile"
MODULES = sorted(PACKAGE.glob("*.py"))
CLOSED = "http://127.0.0.1:1"


def imports(path: Path) -> list[ast.Import | ast.ImportFrom]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def run(*command: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, **environment}
    return subprocess.run(
        command, cwd=cwd, env=variables, capture_output=True, text=True, check=False, timeout=60 * BUSY
    )


def test_the_imported_engine_is_the_one_that_ansible_ships_to_the_hosts() -> None:
    assert Path(influx.reconcile.__file__).parent == PACKAGE
    assert not LINK.readlink().is_absolute()
    assert LINK.resolve() == PACKAGE


def test_a_play_ships_the_engine_and_shows_what_it_would_do_with_a_new_server(tmp_path: Path) -> None:
    module = {
        "url": CLOSED,
        "schema": "{{ lookup('ansible.builtin.file', '" + str(ROOT / "influx/schema.yml") + "') | from_yaml }}",
        "tasks": "{{ dict(names | zip(query('ansible.builtin.file', *files, rstrip=false))) }}",
        "secrets_dir": str(tmp_path),
    }
    scripts = sorted((ROOT / "influx/tasks").glob("*.flux"))
    names = {"names": [script.stem for script in scripts], "files": [str(script) for script in scripts]}
    play = {"hosts": "localhost", "gather_facts": False, "tasks": [{"influx_reconcile": module, "vars": names}]}
    (tmp_path / "play.yml").write_text(json.dumps([play]), encoding="utf-8")
    command = [
        f"{Path(sys.executable).parent}/ansible-playbook",
        "--check",
        "--diff",
        "-i",
        "localhost,",
        "-c",
        "local",
    ]
    interpreter = f"ansible_python_interpreter={sys.executable}"
    done = run(
        *command, "-e", interpreter, str(tmp_path / "play.yml"),
        cwd=ROOT / "ansible", ANSIBLE_LOCAL_TEMP=str(tmp_path), ANSIBLE_HOME=str(tmp_path / "home"),
        ANSIBLE_REMOTE_TEMP=str(tmp_path),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "+ bucket market_data:" in done.stdout
    assert "+ task ohlcv_15m:" in done.stdout


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
