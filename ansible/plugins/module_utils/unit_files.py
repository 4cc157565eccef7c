"""What the files of a systemd service say it starts (systemd.syntax(7), systemd.service(5)). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def commands(texts: Iterable[str]) -> list[str]:
    """ExecStart of a unit and its drop-ins, in the order systemd reads them; an empty one forgets those before."""
    found: list[str] = []
    for text in texts:
        section = ""
        for line in _lines(text):
            if line.startswith("["):
                section = line
            elif section == "[Service]":
                key, _, value = line.partition("=")
                if key.strip() == "ExecStart":
                    found = [*found, value.strip()] if value.strip() else []
    return found


def _lines(text: str) -> Iterator[str]:
    """Lines without comments; those that end in a backslash are one with the next."""
    begun = ""
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith(("#", ";")):
            continue
        if line.endswith("\\"):
            begun += line[:-1].rstrip() + " "
        else:
            yield begun + line
            begun = ""
    if begun:
        yield begun.rstrip()
