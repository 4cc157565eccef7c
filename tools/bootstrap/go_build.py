"""Runs `go build` and shows its progress in packages.

Standard library only, Python >= 3.9.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, TextIO

LOOK_SECONDS = 1.0
LINE_EVERY_SECONDS = 20.0


class Progress:
    """A line that is updated in place on a terminal; elsewhere an occasional line. Times are monotonic seconds."""

    def __init__(self, what: str, output: TextIO, now: float) -> None:
        self._what = what
        self._output = output
        self._terminal = output.isatty()
        self._started = now
        self._line_at = now + LINE_EVERY_SECONDS
        self._shown = ""

    def show(self, state: str, now: float) -> None:
        """Update the line."""
        seconds = int(now - self._started)
        line = f"{self._what:<18}{state}, {seconds // 60}:{seconds % 60:02} so far"
        if self._terminal:
            self._write("\r" + line.ljust(len(self._shown)))
            self._shown = line
        elif now >= self._line_at:
            self._line_at = now + LINE_EVERY_SECONDS
            self._write(line + "\n")

    def end(self) -> None:
        """Clear the terminal's line for the next output."""
        if self._shown:
            self._write("\r" + " " * len(self._shown) + "\r")
            self._shown = ""

    def _write(self, text: str) -> None:
        self._output.write(text)
        self._output.flush()


def build(
    what: str,
    package: str,
    target: Path,
    flags: Sequence[str],
    *,
    module: Path,
    environment: Mapping[str, str],
    log: Path,
    output: TextIO = sys.stdout,
) -> bool:
    """Build a package to a file; return True if that worked. Go's output is appended to the log.

    A package in Go's cache is neither built nor counted, so the count may start late.
    """
    progress = Progress(what, output, time.monotonic())
    listed = log.with_suffix(".packages")
    start = log.stat().st_size if log.exists() else 0
    with log.open("ab") as printed, listed.open("wb") as packages_file:

        def start_go(command: Sequence[str], into: BinaryIO) -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                ["go", *command, package],
                cwd=module,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=into,
                stderr=printed,
            )

        with start_go(["list", "-mod=readonly", "-deps", *flags], packages_file) as listing:
            while _runs_on(listing):
                progress.show("downloading modules", time.monotonic())
        packages = set(listed.read_text(encoding="utf-8").split())
        with start_go(["build", "-v", "-mod=readonly", "-trimpath", "-o", str(target), *flags], printed) as building:
            while _runs_on(building):
                done = built(log, start, packages)
                progress.show(f"{done:,} of {len(packages):,} packages built", time.monotonic())
    progress.end()
    return building.returncode == 0


def built(log: Path, start: int, packages: set[str]) -> int:
    """Return how many of the packages `go build -v` has listed in the log since `start`."""
    with log.open("rb") as printed:
        printed.seek(start)
        return len(packages & set(printed.read().decode(errors="replace").split("\n")))


def _runs_on(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(LOOK_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    return False
