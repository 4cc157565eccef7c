"""Starts everything: exchange and InfluxDB, then the collector, then gateway and monitoring."""

import asyncio
import os
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

from tools.bootstrap import programs
from tools.demo import configs, monitoring
from tools.demo.exchange_truth import unreachable
from tools.demo.folder import Folder
from tools.demo.processes import Children
from tools.demo.run import Run
from tools.demo.servers import (
    CannotStart,
    answers,
    environment,
    influxd_command,
    simulator_command,
    simulator_url,
)
from tools.demo.settings import ROOT, Settings
from tools.demo.view import Tell
from tools.ports import HOST, free_port

ORG = "marketdata"
COLLECTOR = (sys.executable, "-m", "collector")
BINANCE_REST, BINANCE_WEBSOCKET = "https://fapi.binance.com", "wss://fstream.binance.com"


async def check_exchange(settings: Settings) -> None:
    """Raise CannotStart if the real exchange is requested but cannot be reached. Starts nothing."""
    if settings.exchange == "binance" and (reason := await unreachable(BINANCE_REST)):
        raise CannotStart(f"EXCHANGE=binance: the exchange cannot be reached from here: {reason}")


async def start(settings: Settings, folder: Folder, children: Children, tell: Tell) -> Run:
    """Start exchange and InfluxDB in parallel, then the collector; return once it responds.

    Raises CannotStart, ChildDied, alone or in a group.
    """
    influxd = programs.find("influxd")
    if influxd is None:
        raise CannotStart("influxd is missing: run `make setup` to see how to get it")
    async with asyncio.TaskGroup() as group:
        exchange = group.create_task(_exchange(settings, folder, children, tell))
        influx = group.create_task(_influx(influxd, folder, children, tell))
    rest_url, websocket_url, ca_file = exchange.result()
    influx_url, provisioned_ms = influx.result()
    listen = f"{HOST}:{free_port()}"
    simulated = settings.exchange == "simulator"
    config = collector_config(folder)
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
            weight_share_percent=configs.SIMULATOR_SHARE_PERCENT if simulated else configs.EXCHANGE_SHARE_PERCENT,
        ),
        encoding="utf-8",
    )
    tell("collector", "starts")
    started_ms = _now_ms()
    child = children.start("collector", [*COLLECTOR, "run", "--config", str(config)])
    await answers(f"http://{listen}/healthz", child)
    tell("collector", f"http://{listen}/metrics  /status")
    return Run(
        rest_url=rest_url,
        ca_file=ca_file,
        influx_url=influx_url,
        org=ORG,
        reader_token_file=str(folder.secrets / f"reader-{configs.READER}.token"),
        collector_url=f"http://{listen}",
        prometheus_url=None,
        provisioned_ms=provisioned_ms,
        collector_started_ms=started_ms,
        truth_url=f"{rest_url}/_control/truth" if simulated else None,
    )


async def start_around(run: Run, folder: Folder, children: Children, tell: Tell) -> Run:
    """Start everything that reads or watches the collector, in parallel; return the run with the addresses.

    Raises CannotStart, ChildDied, alone or in a group.
    """
    collector, gateway = run.collector_url.removeprefix("http://"), f"{HOST}:{free_port()}"
    watched = monitoring.Watched(
        influx_url=run.influx_url,
        org=ORG,
        collector=collector,
        gateway=gateway,
        rest_url=run.rest_url,
        ca_file=run.ca_file,
    )
    check = [*COLLECTOR, "check", "--config", str(collector_config(folder))]
    async with asyncio.TaskGroup() as group:
        group.create_task(children.run("collector-check", check))
        group.create_task(_gateway(run, gateway, folder, children, tell))
        watching = group.create_task(monitoring.start(folder, children, tell, watched))
    return replace(run, gateway_url=f"http://{gateway}", **asdict(watching.result()))


def collector_config(folder: Folder) -> Path:
    """Return the path of the collector's configuration file."""
    return folder.path / "collector.toml"


async def _exchange(settings: Settings, folder: Folder, children: Children, tell: Tell) -> tuple[str, str, str | None]:
    if settings.exchange == "binance":
        tell("binance", BINANCE_REST)
        return BINANCE_REST, BINANCE_WEBSOCKET, None
    tell("simulator", "starts")
    pairs = ["--pairs", str(settings.pairs)] if settings.pairs else []
    url = await simulator_url(children.start("simulator", simulator_command(folder.tls, *pairs)))
    tell("simulator", url)
    return url, url.replace("https://", "wss://", 1), str(folder.tls / "ca.pem")


async def _gateway(run: Run, listen: str, folder: Folder, children: Children, tell: Tell) -> None:
    tell("gateway", "starts")
    config = folder.path / "gateway.toml"
    config.write_text(
        configs.gateway_toml(
            state=folder.data / "gateway",
            listen=listen,
            rest_url=run.rest_url,
            ca_file=run.ca_file,
            collector_url=run.collector_url,
            influx_url=run.influx_url,
            secrets=folder.secrets,
        ),
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "gateway", "run", "--config", str(config)]
    await answers(f"http://{listen}/healthz", children.start("gateway", command))
    tell("gateway", f"http://{listen}/fapi/v1  /pairlist  /metrics")


async def _influx(influxd: Path, folder: Folder, children: Children, tell: Tell) -> tuple[str, int]:
    """Start InfluxDB and provision it; return its URL and when that was done."""
    tell("InfluxDB", "starts")
    address = f"{HOST}:{free_port()}"
    url = f"http://{address}"
    data = folder.data / "influxdb"
    data.mkdir(mode=0o700)
    child = children.start("influxd", influxd_command(influxd, address, data))
    await answers(f"{url}/health", child)
    tell("InfluxDB", "creating buckets, tasks and tokens")
    await children.run(
        "influx-reconcile", [sys.executable, "-m", "influx", "--url", url, "--secrets-dir", str(folder.secrets)]
    )
    tell("InfluxDB", url)
    return url, _now_ms()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def children_of(folder: Folder) -> Children:
    """The children of a run: started in the repository, so that its packages are found; logs are in its folder."""
    return Children(folder.logs, ROOT, environment(os.environ))
