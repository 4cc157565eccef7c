"""Finds uv, or installs it to its own virtual environment in the cache.

    python3 -m tools.bootstrap.uv ARGUMENT ...        runs it

Standard library only, Python >= 3.9: this runs before anything is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from tools.bootstrap.programs import cache_dir


class Missing(Exception):
    """Something that set-up cannot do without. The message says what to do in one line."""


def find_uv() -> tuple[list[str], bool]:
    """Return the command that runs uv, and whether it was just installed (to a virtual environment in the cache).

    Raises:
        Missing: it is missing and cannot be installed.
    """
    home = cache_dir() / "uv"
    private = home / "bin" / "uv"
    on_path = shutil.which("uv")
    for command in ([on_path] if on_path else [], [sys.executable, "-m", "uv"], [str(private)]):
        if command and output([*command, "--version"]) is not None:
            return command, False
    for step in (
        [sys.executable, "-m", "venv", "--clear", str(home)],
        [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv"],
    ):
        if output(step) is None:
            raise Missing("install uv (https://docs.astral.sh/uv/) or, on Debian, python3-venv; then run `make setup`")
    return [str(private)], True


def output(command: list[str]) -> str | None:
    """Return the last line that a command prints, or None if it fails."""
    try:
        run = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    except OSError:
        return None
    lines = run.stdout.strip().splitlines()
    return None if run.returncode else (lines[-1] if lines else "")


if __name__ == "__main__":
    try:
        _command, _ = find_uv()
    except Missing as _missing:
        sys.exit(str(_missing))
    os.execvp(_command[0], [*_command, *sys.argv[1:]])  # noqa: S606 - this program becomes uv
