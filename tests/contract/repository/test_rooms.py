"""The rooms of a package in the order in which they build on each other: no room imports a later one, so no circle."""

import ast
from pathlib import Path

import pytest

from tests.contract.repository.test_repository import ROOT

ROOMS = {
    "collector": (
        "config", "model", "store", "delivery", "ingest", "pipeline", "publish", "feed", "repair", "verify", "history",
        "observe", "commands",
    ),
    "gateway": ("api", "config", "memory", "upstream", "past", "intake", "routes", "observe", "commands"),
}  # fmt: skip
"""Of each package. `app`, `web` and `__main__` wire the rooms: they may import all, and nobody imports them."""

WIRING = {"app", "web", "__main__"}


@pytest.mark.parametrize("package", ROOMS)
def test_a_room_imports_none_that_comes_after_it(package: str) -> None:
    rooms = ROOMS[package]
    files = {file: room_of(file.relative_to(ROOT / package)) for file in (ROOT / package).rglob("*.py")}
    back = [
        f"{file.relative_to(ROOT)} imports {package}.{imported}"
        for file, room in sorted(files.items())
        if room not in WIRING
        for imported in sorted(imported_rooms(package, ast.parse(file.read_text(encoding="utf-8"))))
        if imported in WIRING or rooms.index(imported) > rooms.index(room)
    ]
    assert back == []


@pytest.mark.parametrize("package", ROOMS)
def test_every_folder_is_a_room_in_the_table(package: str) -> None:
    folders = {file.parent.relative_to(ROOT / package).parts[:1] for file in (ROOT / package).rglob("*.py")}
    assert {parts[0] for parts in folders if parts} == set(ROOMS[package]) - {"config", "pipeline"}


def room_of(file: Path) -> str:
    """A folder of the package; of a file that is in none, its name."""
    return file.parts[0] if len(file.parts) > 1 else file.stem if file.stem != "__init__" else "config"


def imported_rooms(package: str, tree: ast.Module) -> set[str]:
    """The rooms that a module imports of its own package."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == package:
            rest = node.module.split(".")[1:]
            found |= {rest[0]} if rest else {alias.name for alias in node.names}
    return found
