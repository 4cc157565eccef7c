"""Installs Debian packages that the tests' servers need.

Without a terminal, as root on Debian, it installs them without asking. At a terminal it asks; in all other cases it
prints the command.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence


class CannotInstall(Exception):
    """The packages are not installed, and the operator has to act. The message says how."""


def install(packages: Sequence[str], what: str) -> None:
    """Install the packages that provide `what` ("Docker engine").

    Raises:
        CannotInstall: not root on Debian, the person at the terminal declined, or apt-get failed.
    """
    apt = ["apt-get", "install", "-y", "-q", *packages]
    command = f"apt-get update && {' '.join(apt)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise CannotInstall(f"no {what} here: install one (Debian, as root: {command}), and run this again")
    if sys.stdin and sys.stdin.isatty():
        answer = input(f"No {what} here. Run `{command}` now? [y/N] ")
        if answer.strip().lower() not in {"y", "yes"}:
            raise CannotInstall(f"the tests need a {what}: {command}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for step in (["apt-get", "update", "-q"], apt):
        run = subprocess.run(
            step, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if run.returncode != 0:
            reason = (run.stderr.strip().splitlines() or ["no message"])[-1]
            raise CannotInstall(f"`{' '.join(step)}` failed: {reason}")
