"""Releases of this source with a line more, and what of them runs on the collectors."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tests.lab.machine import Machine
from tests.lab.played import Played
from tools.lab.hosts import ROOT

COLLECTORS = ["collector1", "collector2"]
UNIT = "marketdata-collector.service"
PLAY = "playbooks/collectors.yml"
START = "async def run(config: Config) -> None:\n"
"""What a starting collector runs (collector/app.py)."""

type Release = Callable[[str], tuple[str, ...]]
"""Makes a release with a line more at its start; returns the options of a play that rolls it."""


@dataclass(frozen=True)
class Rolled:
    """A roll: when it began, the release of the first host before it, and that of each host after it."""

    played: Played
    began: datetime
    before: str
    after: dict[str, str]


def make(source: Path, line: str) -> tuple[str, ...]:
    """Make a release with a line more at its start, of a copy of this source in `source`; the options that roll it."""
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in files.splitlines():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    app = source / "collector/app.py"
    text = app.read_text(encoding="utf-8")
    assert text.count(START) == 1
    app.write_text(text.replace(START, f"{START}    {line}\n"), encoding="utf-8")
    command = [sys.executable, "-m", "tools.release"]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=True)
    archive = Path(done.stdout.strip())
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    return ("-e", "collector_install_method=archive", "-e", f"collector_package_source={archive}",
            "-e", f"collector_checksum=sha256:{digest}")  # fmt: skip


def running(machine: Machine) -> tuple[str, str]:
    """The release that runs on a host, and its process."""
    pid = machine.run(f"systemctl show --property=MainPID --value {UNIT}").strip()
    return Path(machine.run(f"readlink /proc/{pid}/cwd").strip()).name, pid
