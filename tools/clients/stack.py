"""The servers for the clients: a gateway with a collector, an InfluxDB and a simulated exchange, at today's time."""

import asyncio
import json
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tools.clients.config import Address
from tools.demo.metrics import Metrics, parse
from tools.demo.processes import Child, Children
from tools.demo.servers import CannotStart, answers, simulator_command, simulator_url
from tools.faults.simulated import Simulated
from tools.faults.world import CollectorServer, StoreServer
from tools.ports import HOST, free_port

COLLECTOR = "collector-1"
GATEWAY = "gateway-1"
FILL_SECONDS = 900.0
POLL_SECONDS = 0.5
STEADY_POLLS = 10

COLLECTOR_SHARE_PERCENT = 55
GATEWAY_SHARE_PERCENT = 20
"""All use one address here and share its weight, like collector and gateway of a small site."""


class GatewayServer:
    """A gateway and its configuration; its process may stop and start again. stream: a collector's address."""

    def __init__(
        self,
        name: str,
        folder: Path,
        children: Children,
        *,
        exchange: str,
        ca_file: str,
        store: StoreServer,
        stream: str,
    ) -> None:
        self.name = name
        self.url = f"http://{HOST}:{free_port()}"
        self._children = children
        self._config = folder / f"{name}.toml"
        lines = [
            "[gateway]",
            f"name = {json.dumps(name)}",
            f"state_dir = {json.dumps(str(folder / name))}",
            f"listen = {json.dumps(self.url.removeprefix('http://'))}",
            "[exchange]",
            f"rest_url = {json.dumps(exchange)}",
            f"ca_file = {json.dumps(ca_file)}",
            f"weight_share_percent = {GATEWAY_SHARE_PERCENT}",
            "[[collector]]",
            f"name = {json.dumps(COLLECTOR)}",
            f"url = {json.dumps(stream)}",
            "[[store]]",
            'name = "main"',
            f"url = {json.dumps(store.url)}",
            f"reader_token_file = {json.dumps(str(store.token_file('reader', 'gateway')))}",
        ]
        self._config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self._child: Child | None = None

    async def start(self) -> None:
        """Start it and wait until it is ready. Raises CannotStart."""
        command = [sys.executable, "-m", "gateway", "run", "--config", str(self._config)]
        self._child = self._children.start(self.name, command)
        await answers(f"{self.url}/readyz", self._child)

    async def metrics(self) -> Metrics:
        """Return a scrape; its text is saved beside the configuration."""
        timeout = aiohttp.ClientTimeout(total=60)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{self.url}/metrics") as answer,
        ):
            text = await answer.text()
        self._config.with_suffix(".metrics").write_text(text, encoding="utf-8")
        return parse(text)


@dataclass(frozen=True)
class Stack:
    """All servers, running. symbols: the eligible pairs, busiest first."""

    simulated: Simulated
    store: StoreServer
    collector: CollectorServer
    gateway: GatewayServer
    symbols: dict[str, str]
    """Symbol of each pair."""

    @property
    def pairs(self) -> list[str]:
        """All pairs, busiest first."""
        return list(self.symbols)

    @property
    def served(self) -> Address:
        """The address that bots use."""
        return Address(self.gateway.url)

    @property
    def exchange(self) -> Address:
        """The exchange itself, for comparison: with the throttle that a bot needs there."""
        return Address(self.simulated.url, ca_file=self.simulated.ca_file, throttled=True)


async def start(
    stack: AsyncExitStack, folder: Path, children: Children, influxd: Path, *, pairs: int, seed: int = 1
) -> Stack:
    """Start everything, in order, and return once the gateway is ready. Raises CannotStart, ChildDied."""
    store = StoreServer(influxd, folder, children, [COLLECTOR])
    await store.start()
    await store.provision()
    arguments = ("--pairs", str(pairs), "--seed", str(seed), "--quiet")
    url = await simulator_url(children.start("simulator", simulator_command(folder / "tls", *arguments)))
    simulated = await stack.enter_async_context(Simulated(url, str(folder / "tls" / "ca.pem"), 0))
    collector = CollectorServer(
        COLLECTOR,
        folder,
        children,
        {
            "exchange": {
                "rest_url": url,
                "websocket_url": url.replace("https://", "wss://", 1),
                "ca_file": simulated.ca_file,
                "weight_share_percent": COLLECTOR_SHARE_PERCENT,
            },
            # download-data starts at midnight, so 30 days of it reach back further than 30 days.
            "funding": {"history_days": 31},
            "store": {
                "name": "main",
                "url": store.url,
                "ingest_token_file": str(store.token_file("ingest", COLLECTOR)),
                "repair_token_file": str(store.token_file("repair", COLLECTOR)),
            },
        },
    )
    stack.push_async_callback(collector.close)
    collector.start()
    await filled(collector)
    gateway = GatewayServer(
        GATEWAY, folder, children, exchange=url, ca_file=simulated.ca_file, store=store, stream=collector.url
    )
    await gateway.start()
    return Stack(simulated, store, collector, gateway, await _symbols(simulated))


async def filled(collector: CollectorServer) -> None:
    """Return once the stores have what a collector starts with: candles, funding, mark prices. Raises CannotStart."""
    deadline = time.monotonic() + FILL_SECONDS
    seen = 0
    while collector.running and time.monotonic() < deadline:
        status, metrics = await collector.status(), await collector.metrics()
        done = bool(status and status["fill"]["stage"] == "done" and metrics and _is_whole(metrics))
        seen = seen + 1 if done else 0  # missing candles are counted a moment after the fill
        if seen == STEADY_POLLS:
            return
        await asyncio.sleep(POLL_SECONDS)
    raise CannotStart(f"the collector's fill did not finish: see {collector.log}")


def _is_whole(metrics: Metrics) -> bool:
    owed = ("marketdata_funding_settled_missing", "marketdata_mark_candles_missing", "marketdata_points_in_spool")
    return not any(metrics.total(name) for name in owed)


async def _symbols(simulated: Simulated) -> dict[str, str]:
    pairs = {listed.symbol: listed.pair for listed in await simulated.listed()}
    return {pairs[symbol]: symbol for symbol in await simulated.symbols()}
