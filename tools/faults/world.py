"""The servers of one row, each its own process: an exchange, an InfluxDB behind a proxy, collectors."""

import asyncio
import json
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from influx.provisioning import Provisioned, provision
from influx.scripts import script_at, task_script
from tools.demo.compare import BASE, LENGTH_MS
from tools.demo.metrics import Metrics, parse
from tools.demo.processes import Child, Children
from tools.demo.servers import (
    answers,
    influxd_command,
    simulator_command,
    simulator_url,
)
from tools.faults.proxy import Proxy
from tools.faults.simulated import Simulated
from tools.ports import HOST, free_port

POLL_SECONDS = 0.2
STOP_SECONDS = 20.0
TASK_OFFSET_SECONDS = 40.0
"""The server's own tasks run this long after every quarter hour (influx/tasks)."""

type Sections = Mapping[str, Mapping[str, object]]


class StoreServer:
    """influxd on a port that does not change over a restart, provisioned from influx/schema.yml."""

    def __init__(self, influxd: Path, folder: Path, children: Children, consumers: Sequence[str]) -> None:
        self.url = f"http://{HOST}:{free_port()}"
        self.secrets = folder / "secrets"
        self._data = folder / "influxdb"
        self._data.mkdir(mode=0o700)
        self._command = influxd_command(influxd, self.url.removeprefix("http://"), self._data)
        self._children = children
        self._consumers = {"ingest": list(consumers), "repair": list(consumers)}
        self._child: Child | None = None

    async def start(self) -> None:
        """Start it, empty or with existing data, and wait until it is healthy."""
        self._child = self._children.start("influxd", self._command)
        await answers(f"{self.url}/health", self._child)

    async def stop(self) -> None:
        """Stop it in order: its port then refuses connections."""
        assert self._child is not None
        await ended(self._child, signal.SIGTERM)

    async def provision(self) -> Provisioned:
        """Create missing buckets, tasks and tokens."""
        return await asyncio.to_thread(provision, self.url, self.secrets, consumers=self._consumers)

    def token_file(self, kind: str, consumer: str) -> Path:
        """Return the file of a consumer's token."""
        return self.secrets / f"{kind}-{consumer}.token"

    async def revoke(self, kind: str, consumer: str) -> None:
        """Delete a consumer's token on the server."""
        token = self.token_file(kind, consumer).read_text(encoding="utf-8").strip()
        listed = await self._ask("GET", "/api/v2/authorizations")
        number = next(item["id"] for item in json.loads(listed)["authorizations"] if item["token"] == token)
        await self._ask("DELETE", f"/api/v2/authorizations/{number}")

    async def run_tasks(self, now_ms: int) -> None:
        """Run every roll-up script once, as the server's scheduler would at `now_ms`. Raises OSError."""
        for interval in LENGTH_MS:
            if interval != BASE:
                await self._ask("POST", "/api/v2/query?org=marketdata", script_at(task_script(interval), now_ms))

    async def delete(self, bucket: str, measurement: str, pair: str, time_ms: int) -> None:
        """Delete one point of a pair, as a person with the operator token can."""
        at = datetime.fromtimestamp(time_ms / 1000, UTC).isoformat().replace("+00:00", "Z")
        predicate = f'_measurement="{measurement}" AND pair="{pair}"'
        body = json.dumps({"start": at, "stop": at, "predicate": predicate})
        await self._ask("POST", f"/api/v2/delete?org=marketdata&bucket={bucket}", body, "application/json")

    async def _ask(self, method: str, path: str, body: str | None = None, kind: str = "application/vnd.flux") -> str:
        operator = (self.secrets / "operator.token").read_text(encoding="utf-8").strip()
        headers = {"Authorization": f"Token {operator}", "Content-Type": kind}
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session,
                session.request(method, self.url + path, data=body, headers=headers) as answer,
            ):
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise OSError(f"InfluxDB: {method} {path}: {error or type(error).__name__}") from error
        if answer.status >= 300:
            raise RuntimeError(f"InfluxDB: {method} {path}: {answer.status} {text[:300]}")
        return text


class CollectorServer:
    """A collector and its configuration; its process may stop and start again."""

    def __init__(self, name: str, folder: Path, children: Children, sections: Sections) -> None:
        self.name = name
        self.state = folder / name
        self.kills = 0
        self.exit_codes: list[int] = []
        self._children = children
        self._config = folder / f"{name}.toml"
        self._url = f"http://{HOST}:{free_port()}"
        own = {"name": name, "state_dir": str(self.state), "listen": self._url.removeprefix("http://")}
        self._config.write_text(toml({**sections, "collector": {**own, **sections.get("collector", {})}}))
        self._child: Child | None = None
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15))

    @property
    def url(self) -> str:
        """Its address."""
        return self._url

    @property
    def spool(self) -> Path:
        """The folder of its spool."""
        return self.state / "spool"

    @property
    def running(self) -> bool:
        """Return whether its process is running."""
        return self._child is not None and not self._child.ended

    @property
    def log(self) -> Path:
        """Its output, over all its processes."""
        assert self._child is not None
        return self._child.log

    def start(self) -> None:
        """Start the process, with the state that an earlier one left."""
        self._child = self._children.start(self.name, self._command("run"))

    async def audit(self, from_ms: int, to_ms: int) -> None:
        """Run `collector audit` beside it. Raises ChildDied if it finds a difference or cannot compare."""
        span = ("--from", iso(from_ms), "--to", iso(to_ms))
        await self._children.run(f"{self.name}-audit", self._command("audit", *span))

    async def backfill(self, from_ms: int, pairs: Sequence[str], share_percent: int) -> None:
        """Run `collector backfill` beside it, for these pairs only. Raises ChildDied if it does not finish."""
        options = ("--from", iso(from_ms), "--share", str(share_percent), "--pairs", *pairs)
        await self._children.run(f"{self.name}-backfill", self._command("backfill", *options))

    async def kill(self) -> None:
        """Send SIGKILL: nothing is flushed."""
        assert self._child is not None
        self.kills += 1
        await ended(self._child, signal.SIGKILL)

    async def terminate(self) -> int:
        """Send SIGTERM; returns the exit code."""
        assert self._child is not None
        self.exit_codes.append(await ended(self._child, signal.SIGTERM))
        return self.exit_codes[-1]

    def freeze(self) -> None:
        """Stop its time, as on a suspended machine."""
        assert self._child is not None
        self._child.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Resume it after `freeze`."""
        assert self._child is not None
        self._child.process.send_signal(signal.SIGCONT)

    async def status(self) -> dict[str, Any] | None:
        """Return the content of /status; None if nothing responds."""
        text = await self._get("/status")
        return None if text is None else json.loads(text)

    async def metrics(self) -> Metrics | None:
        """Return a scrape; None if nothing responds."""
        text = await self._get("/metrics")
        return None if text is None else parse(text)

    async def close(self) -> None:
        """Close the HTTP session; the process is stopped with the children."""
        await self._session.close()

    def _command(self, name: str, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "collector", name, "--config", str(self._config), *arguments]

    async def _get(self, path: str) -> str | None:
        try:
            async with self._session.get(self._url + path) as answer:
                return await answer.text() if answer.status == 200 else None
        except (aiohttp.ClientError, TimeoutError):
            return None


@dataclass
class World:
    """All servers of a row. notes: observations of its actions, for the table; problems: what went wrong."""

    midnight_ms: int
    simulated: Simulated
    store: StoreServer
    proxy: Proxy
    collectors: list[CollectorServer]
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def collector(self) -> CollectorServer:
        """The first collector."""
        return self.collectors[0]

    async def sleep_until(self, seconds: float) -> None:
        """Return at this time of the exchange's clock, in seconds from midnight."""
        await asyncio.sleep(max(seconds - self.simulated.seconds(), 0.0))


async def build(
    stack: AsyncExitStack,
    folder: Path,
    children: Children,
    *,
    influxd: Path,
    midnight_ms: int,
    lead_seconds: float,
    pairs: int,
    seed: int,
    collectors: Sequence[str],
    sections: Sections,
) -> World:
    """Start exchange, InfluxDB and proxy; the collectors are created but not started.

    The exchange's clock starts `lead_seconds` before midnight. Raises CannotStart.
    """
    store = StoreServer(influxd, folder, children, collectors)
    await store.start()
    await store.provision()
    proxy = await stack.enter_async_context(Proxy(store.url))
    start_ms = midnight_ms - int(lead_seconds * 1000)
    arguments = ("--pairs", str(pairs), "--seed", str(seed), "--start-ms", str(start_ms))
    url = await simulator_url(children.start("simulator", simulator_command(folder / "tls", *arguments)))
    simulated = await stack.enter_async_context(Simulated(url, str(folder / "tls" / "ca.pem"), midnight_ms))
    servers = []
    for name in collectors:
        server = CollectorServer(
            name, folder, children, merged(default_sections(name, simulated, store, proxy), sections)
        )
        stack.push_async_callback(server.close)
        servers.append(server)
    return World(midnight_ms, simulated, store, proxy, servers)


def default_sections(name: str, simulated: Simulated, store: StoreServer, proxy: Proxy) -> Sections:
    """Return a collector's configuration for these servers. Few windows, because older ones do not matter here."""
    return {
        "exchange": {
            "rest_url": simulated.url,
            "websocket_url": simulated.url.replace("https://", "wss://", 1),
            "ca_file": simulated.ca_file,
        },
        "fill": {"hours": 49, "rollup_windows": 20},
        "store": {
            "name": "main",
            "url": proxy.url,
            "ingest_token_file": str(store.token_file("ingest", name)),
            "repair_token_file": str(store.token_file("repair", name)),
        },
    }


def merged(sections: Sections, other: Sections) -> Sections:
    """Return the sections with some values replaced."""
    return {name: {**sections.get(name, {}), **other.get(name, {})} for name in {**sections, **other}}


def toml(sections: Sections) -> str:
    """Return TOML; strings, numbers, booleans and lists of them are the same in JSON."""
    lines = []
    for name, values in sections.items():
        lines.append("[[store]]" if name == "store" else f"[{name}]")
        lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def iso(time_ms: int) -> str:
    """Return a time in the command line's format: 2026-10-07T00:00:00Z."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def ended(child: Child, number: signal.Signals) -> int:
    """Send a signal to a child and wait for its exit; returns the exit code. SIGKILL after STOP_SECONDS."""
    child.process.send_signal(number)
    deadline = time.monotonic() + STOP_SECONDS
    while not child.ended:
        if time.monotonic() > deadline:
            child.process.kill()
        await asyncio.sleep(POLL_SECONDS / 10)
    code: int = child.process.returncode
    return code
