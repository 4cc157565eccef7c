"""The servers as local processes: how to start each, and how to tell that it is serving."""

import asyncio
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from tools.demo.processes import Child
from tools.ports import HOST

START_SECONDS = 180.0
POLL_SECONDS = 0.1


class CannotStart(Exception):
    """Something required is not available; the message says what to do in one line."""


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return the children's environment: ours, without variables that would configure influxd or Grafana."""
    kept = {key: value for key, value in given.items() if not key.startswith(("INFLUX", "DEMO_", "GF_"))}
    return {**kept, "PYTHONUNBUFFERED": "1"}


def influxd_command(influxd: Path, address: str, data: Path) -> list[str]:
    """An InfluxDB that stores everything in the existing folder `data`."""
    return [
        str(influxd),
        "--reporting-disabled",
        "--log-level=warn",
        f"--http-bind-address={address}",
        f"--bolt-path={data / 'influxd.bolt'}",
        f"--sqlite-path={data / 'influxd.sqlite'}",
        f"--engine-path={data / 'engine'}",
    ]


def prometheus_command(prometheus: Path, address: str, config: Path, data: Path) -> list[str]:
    """A Prometheus that retains six hours."""
    return [
        str(prometheus),
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        "--storage.tsdb.retention.time=6h",
        f"--web.listen-address={address}",
        "--log.level=warn",
    ]


def alertmanager_command(alertmanager: Path, address: str, config: Path, data: Path) -> list[str]:
    """A single Alertmanager: no cluster, so no second port."""
    return [
        str(alertmanager),
        f"--config.file={config}",
        f"--storage.path={data}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
        "--log.level=warn",
    ]


def node_exporter_command(node_exporter: Path, address: str) -> list[str]:
    """The metrics of this machine; including systemd units if there is a systemd."""
    systemd = "" if Path("/run/systemd/system").is_dir() else "no-"
    return [
        str(node_exporter),
        f"--web.listen-address={address}",
        f"--{systemd}collector.systemd",
        "--log.level=error",
    ]


def blackbox_exporter_command(blackbox_exporter: Path, address: str, config: Path) -> list[str]:
    """Runs the probes that Prometheus requests; a failed probe is a metric, not an error in its log."""
    return [str(blackbox_exporter), f"--config.file={config}", f"--web.listen-address={address}", "--log.level=error"]


def simulator_command(tls: Path, *arguments: str) -> list[str]:
    """A simulator on a free port, with its CA in `tls`."""
    return [sys.executable, "-m", "simulator", "--host", HOST, "--port", "0", "--tls-dir", str(tls), *arguments]


async def simulator_url(child: Child) -> str:
    """Return the address that the simulator prints once it is serving. Raises CannotStart."""

    def ready() -> str:
        words = child.log.read_text(encoding="utf-8", errors="replace").split()
        return words[words.index("ready") + 1] if "ready" in words[:-1] else ""

    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and not child.ended:
        if found := ready():
            return found
        await asyncio.sleep(POLL_SECONDS)
    raise CannotStart(f"{child.name} is not ready after {START_SECONDS:.0f} s: see {child.log}")


async def answers(url: str, child: Child) -> None:
    """Return once a GET is answered with 200. Raises CannotStart."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as session:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and not child.ended:
            try:
                async with session.get(url) as answer:
                    if answer.status == 200:
                        return
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(POLL_SECONDS)
    raise CannotStart(f"{child.name} does not respond at {url} after {START_SECONDS:.0f} s: see {child.log}")
