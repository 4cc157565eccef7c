"""A reference to a document names a file and a section that are here: a reader who follows it arrives."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.repository.test_repository import ROOT, tracked_and_new

KINDS = ("*.py", "*.md", "*.yml", "*.yaml", "*.toml", "*.flux", "*.j2", "*.sh", "Makefile", "Vagrantfile")
HERE = Path(__file__).relative_to(ROOT)

DOCUMENT = re.compile(
    r"(?<![\w/.-])(?P<path>(?:[\w-]+/)*docs/[\w./-]+?\.md)(?P<sections>(?:,? (?:and )?\d+(?:\.\d+)?(?![\w.]*\w))*)"
)
"""A path of a document and the numbers of sections behind it: `docs/binance.md 1.2 and 2`."""

LINK = re.compile(r"\]\((?P<path>[^)#:\s]+)(?:#[^)]*)?\)")

ELSEWHERE = re.compile(r"\bresearch/|\bdesign sections? \d|(?<![\w.])/work/")
"""What is not in the repository: no reader can follow it."""


def references(text: str) -> Iterator[tuple[str, list[str]]]:
    """(path of a document, numbers of the sections named with it)."""
    for found in DOCUMENT.finditer(text):
        yield found["path"], re.findall(r"\d+(?:\.\d+)?", found["sections"])


def sections(document: Path) -> set[str]:
    """The numbers of a document's headings: `## 5. Behavior`, `### 5.1 Numbers`."""
    return set(re.findall(r"^#+ (\d+(?:\.\d+)?)\.? ", document.read_text(encoding="utf-8"), re.MULTILINE))


def broken(text: str, root: Path) -> list[str]:
    """References of a text that lead nowhere."""
    return [
        f"{path} {number}".strip()
        for path, numbers in references(text)
        for number in numbers or [""]
        if not (root / path).is_file() or (number and number not in sections(root / path))
    ]


def texts() -> Iterator[tuple[Path, str]]:
    for file in tracked_and_new(*KINDS):
        if file.relative_to(ROOT) != HERE:
            yield file.relative_to(ROOT), file.read_text(encoding="utf-8")


def test_every_document_and_section_that_is_referred_to_is_here() -> None:
    assert [f"{file}: {reference}" for file, text in texts() for reference in broken(text, ROOT)] == []


def test_nothing_refers_to_what_the_repository_does_not_hold() -> None:
    assert [f"{file}: {found.group()}" for file, text in texts() for found in ELSEWHERE.finditer(text)] == []


def test_every_link_of_a_document_leads_to_a_file() -> None:
    dead = [
        f"{file}: {link['path']}"
        for file, text in texts()
        if file.suffix == ".md"
        for link in LINK.finditer(text)
        if not (ROOT / file.parent / link["path"]).exists()
    ]
    assert dead == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see docs/a.md", []),
        ("see docs/a.md 1.2 and 2.", []),
        ("see docs/b.md 1.2", ["docs/b.md 1.2"]),
        ("see docs/a.md 3", ["docs/a.md 3"]),
        ("see docs/a.md 1.2 and 2.7", ["docs/a.md 2.7"]),
        ("docs/a.md 50ms is no section", []),
    ],
)
def test_a_reference_that_leads_nowhere_is_seen(tmp_path: Path, text: str, expected: list[str]) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/a.md").write_text("# A\n\n## 1. One\n\n### 1.2 More\n\n## 2. Two\n", encoding="utf-8")
    assert broken(text, tmp_path) == expected
