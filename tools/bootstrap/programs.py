"""Finds third-party programs: influxd, Prometheus and its companions, Grafana.

Set-up, demo and tests use `find`. It searches PATH first and then the cache that set-up fills, and runs what it finds
to determine the version: an influxd 1.x or 3.x on PATH is a different program.

Standard library only, Python >= 3.9: set-up needs this before anything is installed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

INFLUXD_VERSION = "2.7.12"
GRAFANA_VERSION = "12.1.0"

# Versions that set-up gets from the vendors' archives if neither PATH nor the cache has an accepted one.
RELEASES = {
    "prometheus": "3.5.0",
    "alertmanager": "0.28.1",
    "node_exporter": "1.9.1",
    "blackbox_exporter": "0.27.0",
}


class Program(NamedTuple):
    """A program's names on PATH (Debian uses its own), and the accepted versions: [oldest, below).

    `says` is what it prints before its version when run with `argument`.
    """

    names: tuple[str, ...]
    says: str
    oldest: tuple[int, int, int]
    below: tuple[int, int, int]
    argument: str = "--version"


# InfluxDB is pinned, because its version is part of what is tested. For Prometheus and its companions the oldest
# accepted versions are those of Debian 12. Grafana 11 is the oldest that supports the dashboards' schema.
PROGRAMS = {
    "influxd": Program(("influxd",), "InfluxDB v", (2, 7, 12), (2, 7, 13), "version"),
    "prometheus": Program(("prometheus",), "prometheus, version ", (2, 42, 0), (4, 0, 0)),
    "promtool": Program(("promtool",), "promtool, version ", (2, 42, 0), (4, 0, 0)),
    "alertmanager": Program(
        ("alertmanager", "prometheus-alertmanager"), "alertmanager, version ", (0, 25, 0), (1, 0, 0)
    ),
    "amtool": Program(("amtool",), "amtool, version ", (0, 25, 0), (1, 0, 0)),
    "node_exporter": Program(
        ("node_exporter", "prometheus-node-exporter"), "node_exporter, version ", (1, 5, 0), (2, 0, 0)
    ),
    "blackbox_exporter": Program(
        ("blackbox_exporter", "prometheus-blackbox-exporter"), "blackbox_exporter, version ", (0, 23, 0), (1, 0, 0)
    ),
    "grafana": Program(("grafana",), "grafana version ", (11, 0, 0), (14, 0, 0)),
}


def cache_dir() -> Path:
    """Return the folder for downloads and builds: $MARKETDATA_CACHE, or marketdata-platform in the user's cache."""
    if own := os.environ.get("MARKETDATA_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "marketdata-platform"


def version(name: str, path: Path) -> str | None:
    """Return the version of the program at `path`, or None if it does not run or its version is not accepted."""
    wanted = PROGRAMS[name]
    try:
        run = subprocess.run(
            [str(path), wanted.argument], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(rf"{re.escape(wanted.says)}(\d+)\.(\d+)\.(\d+)\b", run.stdout + run.stderr)
    if match is None:
        return None
    numbers = tuple(map(int, match.groups()))
    return ".".join(match.groups()) if wanted.oldest <= numbers < wanted.below else None


def find(name: str) -> Path | None:
    """Return the path of an accepted version of a program in PROGRAMS; if None, `make setup` gets it."""
    on_path = [Path(found) for alias in PROGRAMS[name].names if (found := shutil.which(alias))]
    for candidate in [*on_path, cache_dir() / "bin" / name]:
        if candidate.is_file() and version(name, candidate) is not None:
            return candidate
    return None
