"""Starts everything, in order: exchange, InfluxDB, what must be in it, collector, gateway, and what watches them."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tools import programs
from tools.demo import configs, monitoring
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
    gateway = await _gateway(folder, children, rest_url, ca_file, listen, influx_url)
    say(f"gateway      http://{gateway}/fapi/v1 /pairlist /metrics: bots ask it, docs/freqtrade.md")
    watching = await monitoring.start(
        folder,
        children,
        say,
        monitoring.Watched(
            influx_url=influx_url, org=ORG, collector=listen, gateway=gateway, rest_url=rest_url, ca_file=ca_file
        ),
    )
    return Run(
        rest_url=rest_url,
        ca_file=ca_file,
        influx_url=influx_url,
        org=ORG,
        reader_token_file=str(folder.secrets / f"reader-{configs.READER}.token"),
        collector_url=f"http://{listen}",
        prometheus_url=watching.prometheus_url,
        provisioned_ms=provisioned_ms,
        collector_started_ms=started_ms,
        alertmanager_url=watching.alertmanager_url,
        sentinel_url=watching.sentinel_url,
        node_url=watching.node_url,
        blackbox_url=watching.blackbox_url,
        gateway_url=f"http://{gateway}",
        grafana_url=watching.grafana_url,
        grafana_password_file=watching.grafana_password_file,
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


async def _gateway(
    folder: Folder, children: Children, rest_url: str, ca_file: str | None, collector: str, influx_url: str
) -> str:
    listen = f"{HOST}:{free_port()}"
    config = folder.path / "gateway.toml"
    config.write_text(
        configs.gateway_toml(
            state=folder.data / "gateway",
            listen=listen,
            rest_url=rest_url,
            ca_file=ca_file,
            collector_url=f"http://{collector}",
            influx_url=influx_url,
            secrets=folder.secrets,
        ),
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "gateway", "run", "--config", str(config)]
    await answers(f"http://{listen}/healthz", children.start("gateway", command))
    return listen


async def _influx(influxd: Path, folder: Folder, children: Children) -> str:
    address = f"{HOST}:{free_port()}"
    data = folder.data / "influxdb"
    data.mkdir(mode=0o700)
    child = children.start("influxd", influxd_command(influxd, address, data))
    await answers(f"http://{address}/health", child)
    return f"http://{address}"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def children_of(folder: Folder) -> Children:
    """The children of a run: working in the repository, so that its packages are found, and logging to its folder."""
    return Children(folder.logs, ROOT, environment(os.environ))
