"""Rules of the repository that nothing else enforces: who imports whom, licences, paths in documents, module sizes."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
OURS = {
    "collector",
    "exchange",
    "gateway",
    "grafana",
    "influx",
    "influx_reconcile",  # the link in ansible/plugins/module_utils
    "marketdata",
    "sentinel",
    "service",
    "simulator",
    "tests",
    "tools",
}
MAX_LINES = 400
AGPL_TITLE = "GNU AFFERO GENERAL PUBLIC LICENSE"
APACHE_TITLE = "Apache License"


def tracked_and_new(*patterns: str) -> list[Path]:
    """Files of the repository, those not committed yet among them."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted({ROOT / name for name in names if (ROOT / name).is_file()})


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted module) of each absolute import in a file, those inside functions too."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:  # a relative import stays in its package
            module = node.module or ""
            yield from ((node.lineno, f"{module}.{name.name}") for name in node.names)


def forbidden(pattern: str, names: set[str]) -> list[str]:
    """Imports of these top-level packages in the files of a pattern."""
    return [
        f"{file.relative_to(ROOT)}:{line} imports {module}"
        for file in tracked_and_new(pattern)
        for line, module in imports(file)
        if module.split(".")[0] in names
    ]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("marketdata/**.py", (OURS - {"marketdata"}) | {"cryptofeed"}),
        ("exchange/**.py", OURS - {"exchange", "marketdata", "service"}),
        ("collector/**.py", {"gateway", "sentinel", "simulator", "tests", "tools"}),
        ("gateway/**.py", (OURS - {"gateway", "exchange", "marketdata", "service"}) | {"cryptofeed"}),
        ("sentinel/**.py", (OURS - {"sentinel", "marketdata", "service"}) | {"cryptofeed"}),
        ("service/**.py", (OURS - {"service"}) | {"cryptofeed"}),
        ("simulator/**.py", (OURS - {"simulator"}) | {"cryptofeed"}),
        ("grafana/**.py", OURS - {"grafana"} | {"cryptofeed"}),
        ("influx/**.py", {"collector", "exchange", "simulator", "tests", "tools", "cryptofeed"}),
        ("influx/reconcile/**.py", OURS | {"cryptofeed"}),
        ("tools/demo/check*.py", {"collector", "exchange", "marketdata", "simulator", "cryptofeed"}),
        ("tools/**.py", {"cryptofeed", "tests"}),
    ],
)
def test_a_package_imports_only_what_its_place_allows(pattern: str, names: set[str]) -> None:
    assert forbidden(pattern, names) == []


def users_of(package: str) -> set[str]:
    """The files outside tests/ and bench/ that import a package or one of its modules."""
    files = {file: file.relative_to(ROOT) for file in tracked_and_new("*.py")}
    return {
        str(path)
        for file, path in files.items()
        if path.parts[0] not in ("tests", "bench")
        for _, module in imports(file)
        if f"{module}.".startswith(f"{package}.")
    }


def test_an_exchange_has_one_file_that_uses_cryptofeed() -> None:
    assert users_of("cryptofeed") == {"exchange/binance/feed.py"}


def test_who_speaks_to_no_exchange_loads_no_library_of_one() -> None:
    assert {user.split("/")[0] for user in users_of("exchange.adapters")} == {"collector"}
    assert users_of("exchange.binance.feed") == {"exchange/adapters.py"}


def test_nobody_but_its_adapter_and_the_routes_of_its_bots_knows_an_exchange() -> None:
    """Of the tools, those that build parts of a gateway or a client of their own."""
    users = {user for user in users_of("exchange.binance") if not user.startswith(("exchange/binance/", "gateway/"))}
    assert users == {"exchange/adapters.py", "exchange/known.py", "tools/generate/metrics_docs.py"}


def test_the_reconcile_engine_needs_only_the_standard_library() -> None:
    """It runs on the managed host, inside an Ansible module."""
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {module}"
        for file in tracked_and_new("influx/reconcile/**.py")
        for line, module in imports(file)
        if module.split(".")[0] not in sys.stdlib_module_names
    ]
    assert wrong == []


def test_nobody_imports_the_reconcile_engine_by_the_link_that_is_ansibles() -> None:
    """There its classes would be others: an error of one would not be caught as an error of the other."""
    assert forbidden("*.py", {"influx_reconcile"}) == []


@pytest.mark.parametrize(
    ("folder", "title"), [(".", AGPL_TITLE), ("marketdata", APACHE_TITLE), ("exchange", APACHE_TITLE)]
)
def test_each_license_begins_with_its_title(folder: str, title: str) -> None:
    first_line = (ROOT / folder / "LICENSE").read_text(encoding="utf-8").lstrip().splitlines()[0]
    assert first_line.strip() == title


def test_the_notice_acknowledges_cryptofeed_as_its_license_asks() -> None:
    assert "This product includes software developed by Bryant Moscon" in (ROOT / "NOTICE").read_text(encoding="utf-8")


def paths_named_in(document: Path) -> set[str]:
    """What stands in backticks and has a slash or is a file name, with placeholders (<x>, {x}, $X, ~) left out."""
    words = re.findall(r"`([^`\s]+)`", document.read_text(encoding="utf-8"))
    name = re.compile(r"[\w.*-]+(/[\w.*-]+)*/?")
    return {
        word
        for word in words
        if name.fullmatch(word)
        and ((ROOT / word.split("/")[0]).exists() or re.search(r"\.(py|md|yml|yaml|toml|flux|lock|json|cfg)$", word))
        and ("/" in word or "." in word.strip("."))
    }


@pytest.mark.parametrize("name", ["README.md", "docs/architecture.md", "docs/changing.md"])
def test_every_path_in_a_document_exists(name: str) -> None:
    document = ROOT / name
    assert document.exists()
    names = {file.name for file in tracked_and_new(".")}
    missing = [
        path
        for path in sorted(paths_named_in(document))
        if path not in names and not any(ROOT.glob(path.rstrip("/"))) and not _module(path)
    ]
    assert missing == []


def test_the_readme_says_where_to_change_what() -> None:
    rows = [row for row in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if row.startswith("|")]
    assert len([row for row in rows if "`" in row.rstrip("| ").rpartition("|")[2]]) >= 10


def _module(word: str) -> bool:
    """`marketdata.reader` or `collector.delivery.spool.Spool` are not paths, but must name a module as well."""
    parts = word.split(".")
    return any((ROOT.joinpath(*parts[:n])).with_suffix(".py").exists() for n in range(2, len(parts) + 1))


def sleeps(node: ast.AST, depth: int = 0) -> Iterator[int]:
    """Lines of sleeps in functions. A function in a function may: it is a server that a test plays, at its pace."""
    for child in ast.iter_child_nodes(node):
        inner = depth + isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        if isinstance(child, ast.Call) and ast.unparse(child.func).split(".")[-1] == "sleep" and depth < 2:
            yield from [child.lineno] * (ast.unparse(child.args[0]) != "0")  # sleep(0) waits for nothing
        yield from sleeps(child, inner)


def test_no_test_sleeps() -> None:
    """A test polls with a deadline: tests/support/__init__.py is the one place that waits."""
    sleeping = [
        f"{file.relative_to(ROOT)}:{line}"
        for file in tracked_and_new("tests/**.py")
        if file != ROOT / "tests/support/__init__.py"
        for line in sleeps(ast.parse(file.read_text(encoding="utf-8")))
    ]
    assert sleeping == []


def test_no_module_is_longer_than_a_reader_can_hold() -> None:
    long = [
        f"{file.relative_to(ROOT)}: {lines}"
        for file in tracked_and_new("*.py")
        if (lines := len(file.read_text(encoding="utf-8").splitlines())) > MAX_LINES
    ]
    assert long == []


def test_no_two_test_files_have_the_same_name() -> None:
    names = [file.name for file in tracked_and_new("tests/**/test_*.py")]
    assert sorted(set(names)) == sorted(names)


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(file.relative_to(ROOT))
        for file in tracked_and_new("*.py")
        if file.name != "__init__.py" and ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) is None
    ]
    assert silent == []
