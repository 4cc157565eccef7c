"""Where the programs of other people are: influxd, prometheus, promtool.

`find` is what set-up, demo and tests ask. It looks on PATH first and then in the cache that set-up fills, and runs what
it finds to prove the version: an influxd 1.x or 3.x on PATH is somebody else's program.

Standard library alone, Python >= 3.9: set-up needs this before anything is installed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

INFLUXD_VERSION = "2.7.12"
PROMETHEUS_VERSION = "3.5.0"

# What `NAME --version` (or `influxd version`) must say. InfluxDB is the pinned one, because its version is part of what
# is tested; Prometheus is any from 2.42 on, which is what Debian 12 ships.
_VERSION_COMMAND = {"influxd": "version", "prometheus": "--version", "promtool": "--version"}
_ACCEPTED = {
    "influxd": re.compile(rf"InfluxDB v({re.escape(INFLUXD_VERSION)})\b"),
    "prometheus": re.compile(r"prometheus, version (2\.(?:4[2-9]|5\d)\.\d+|3\.\d+\.\d+)"),
    "promtool": re.compile(r"promtool, version (2\.(?:4[2-9]|5\d)\.\d+|3\.\d+\.\d+)"),
}


def cache_dir() -> Path:
    """The folder for what is fetched or built once: $MARKETDATA_CACHE, or marketdata-platform in the user's cache."""
    if own := os.environ.get("MARKETDATA_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "marketdata-platform"


def version(name: str, path: Path) -> str | None:
    """The version that the program at `path` reports, or None if it does not run or is not one we work with."""
    try:
        run = subprocess.run(
            [str(path), _VERSION_COMMAND[name]], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _ACCEPTED[name].search(run.stdout + run.stderr)
    return match.group(1) if match else None


def find(name: str) -> Path | None:
    """The path of influxd, prometheus or promtool in a version we work with; None sends the reader to `make setup`."""
    on_path = shutil.which(name)
    for candidate in ([Path(on_path)] if on_path else []) + [cache_dir() / "bin" / name]:
        if candidate.is_file() and version(name, candidate) is not None:
            return candidate
    return None
