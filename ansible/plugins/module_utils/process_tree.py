"""The processes of a service as /proc has them: the main one and all that it has started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """One process; what could not be read any more, since it has ended, is empty.

    root: the folder that its absolute paths begin at, seen from here.
    """

    argv: list[str]
    environment: dict[str, str]
    folder: str
    root: Path


def tree(main: int) -> list[Process]:
    """The process and its descendants; none if it has ended."""
    if not main:
        return []
    children: dict[int, list[int]] = {}
    for number, parent in _parents():
        children.setdefault(parent, []).append(number)
    found, ahead = [], [main]
    while ahead:
        number = ahead.pop(0)
        ahead.extend(children.get(number, ()))
        found.append(_process(PROC / str(number)))
    return [process for process in found if process.argv]


def _parents() -> Iterator[tuple[int, int]]:
    for folder in PROC.iterdir():
        if folder.name.isdecimal():
            # The name of the program, in brackets, may hold anything; after it come the state and the parent.
            after_name = _text(folder / "stat").rpartition(")")[2].split()
            if len(after_name) > 1:
                yield int(folder.name), int(after_name[1])


def _process(folder: Path) -> Process:
    variables = [entry.split("=", 1) for entry in _split(folder / "environ") if "=" in entry]
    try:
        working = os.readlink(folder / "cwd")  # noqa: PTH115  a path in the process's own root
    except OSError:
        working = "/"
    return Process(_split(folder / "cmdline"), dict(variables), working, folder / "root")


def _split(file: Path) -> list[str]:
    text = _text(file).removesuffix("\0")
    return text.split("\0") if text else []


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:  # it has ended
        return ""
