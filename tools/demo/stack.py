"""Starts everything, in order: the exchange, InfluxDB, what must be in it, the collector, Prometheus."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tools import programs
from tools.demo import configs
from tools.demo.exchange_truth import unreachable
from tools.demo.folder import Folder
from tools.demo.processes import Children
from tools.demo.run import Run
from tools.demo.servers import (
    HOST,
    CannotStart,
    answers,
    environment,
    free_port,
    influxd_command,
    simulator_command,
    simulator_url,
)
from tools.demo.settings import ROOT, Settings

ORG = "marketdata"
BINANCE_REST, BINANCE_WEBSOCKET = "https://fapi.binance.com", "wss://fstream.binance.com"


async def check_exchange(settings: Settings) -> None:
    """Raise CannotStart if the real exchange is wanted and does not answer from here. Starts nothing."""
    if settings.exchange == "binance" and (reason := await unreachable(BINANCE_REST)):
        raise CannotStart(f"EXCHANGE=binance: the exchange cannot be reached from here: {reason}")


async def start(settings: Settings, folder: Folder, children: Children, say: Callable[[str], None]) -> Run:
    """Start all parts and return where they are. Raises CannotStart, ChildDied."""
    influxd = programs.find("influxd")
    if influxd is None:
        raise CannotStart("influxd is not here: run `make setup`, it says how it can be had")
    rest_url, websocket_url, ca_file = await _exchange(settings, folder, children, say)
    influx_url = await _influx(influxd, folder, children)
    say(f"InfluxDB     {influx_url}")
    await children.run(
        "influx-reconcile",
        [sys.executable, "-m", "influx", "--url", influx_url, "--secrets-dir", str(folder.secrets)],
    )
    provisioned_ms = _now_ms()
    say(f"provisioned  buckets, tasks and tokens: {folder.logs / 'influx-reconcile.log'}")
    listen = f"{HOST}:{free_port()}"
    config = folder.path / "collector.toml"
    config.write_text(
        configs.collector_toml(
            state=folder.data / "collector",
            listen=listen,
            rest_url=rest_url,
            websocket_url=websocket_url,
            ca_file=ca_file,
            influx_url=influx_url,
            org=ORG,
            secrets=folder.secrets,
        ),
        encoding="utf-8",
    )
    collector = [sys.executable, "-m", "collector"]
    await children.run("collector-check", [*collector, "check", "--config", str(config)])
    started_ms = _now_ms()
    child = children.start("collector", [*collector, "run", "--config", str(config)])
    await answers(f"http://{listen}/healthz", child)
    say(f"collector    http://{listen}/status /metrics")
    return Run(
        rest_url=rest_url,
        ca_file=ca_file,
        influx_url=influx_url,
        org=ORG,
        reader_token_file=str(folder.secrets / f"reader-{configs.READER}.token"),
        collector_url=f"http://{listen}",
        prometheus_url=await _prometheus(folder, children, say, collector=listen, influx=influx_url),
        provisioned_ms=provisioned_ms,
        collector_started_ms=started_ms,
    )


async def _exchange(
    settings: Settings, folder: Folder, children: Children, say: Callable[[str], None]
) -> tuple[str, str, str | None]:
    if settings.exchange == "binance":
        say(f"exchange     {BINANCE_REST}")
        return BINANCE_REST, BINANCE_WEBSOCKET, None
    pairs = ["--pairs", str(settings.pairs)] if settings.pairs else []
    url = await simulator_url(children.start("simulator", simulator_command(folder.tls, *pairs)))
    say(f"simulator    {url}")
    return url, url.replace("https://", "wss://", 1), str(folder.tls / "ca.pem")


async def _influx(influxd: Path, folder: Folder, children: Children) -> str:
    address = f"{HOST}:{free_port()}"
    data = folder.data / "influxdb"
    data.mkdir(mode=0o700)
    child = children.start("influxd", influxd_command(influxd, address, data))
    await answers(f"http://{address}/health", child)
    return f"http://{address}"


async def _prometheus(
    folder: Folder, children: Children, say: Callable[[str], None], *, collector: str, influx: str
) -> str | None:
    prometheus = programs.find("prometheus")
    if prometheus is None:
        say("Prometheus   left out, it is not here: `make setup` says how it can be had")
        return None
    address = f"{HOST}:{free_port()}"
    config = folder.path / "prometheus.yml"
    targets = {"collector": collector, "influxdb": influx.removeprefix("http://"), "prometheus": address}
    config.write_text(configs.prometheus_yml(targets), encoding="utf-8")
    child = children.start(
        "prometheus",
        [
            str(prometheus),
            f"--config.file={config}",
            f"--storage.tsdb.path={folder.data / 'prometheus'}",
            "--storage.tsdb.retention.time=6h",
            f"--web.listen-address={address}",
            "--log.level=warn",
        ],
    )
    await answers(f"http://{address}/-/ready", child)
    say(f"Prometheus   http://{address}")
    return f"http://{address}"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def children_of(folder: Folder) -> Children:
    """The children of a run: working in the repository, so that its packages are found, and logging to its folder."""
    return Children(folder.logs, ROOT, environment(os.environ))
