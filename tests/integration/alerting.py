"""Prometheus with the shipped rules and Alertmanager as shipped, only faster, and a receiver that remembers."""

import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web

from tests.support import REQUEST_SECONDS, end, eventually_async, free_port, tail
from tests.support.faster import by_a_clock_behind, each_second, faster_alertmanager, faster_rules
from tools.bootstrap import programs
from tools.demo.configs import Target
from tools.demo.monitoring import SHIPPED, prometheus_folder
from tools.demo.servers import alertmanager_command, prometheus_command

START_SECONDS = 30

type Labels = Mapping[str, str]


@dataclass(frozen=True)
class Told:
    """One alert of a notification."""

    notification: int
    status: str
    labels: Labels

    def is_of(self, alertname: str, **labels: str) -> bool:
        return {"alertname": alertname, **labels}.items() <= self.labels.items()


@dataclass
class Recorder:
    """What the receiver was told, in order."""

    told: list[Told] = field(default_factory=list)
    notifications: int = 0

    async def take(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.notifications += 1
        self.told += [Told(self.notifications, alert["status"], alert["labels"]) for alert in body["alerts"]]
        return web.Response()

    def of(self, alertname: str, **labels: str) -> list[Told]:
        """Everything told about alerts with these labels."""
        return [told for told in self.told if told.is_of(alertname, **labels)]

    def is_firing(self, alertname: str, **labels: str) -> bool:
        """Whether such an alert was told and at least one of them not yet as resolved."""
        return "firing" in self._newest(alertname, **labels).values()

    def is_resolved(self, alertname: str, **labels: str) -> bool:
        """Whether such alerts were told, all of them resolved in the end."""
        return set(self._newest(alertname, **labels).values()) == {"resolved"}

    def _newest(self, alertname: str, **labels: str) -> dict[frozenset[tuple[str, str]], str]:
        return {frozenset(told.labels.items()): told.status for told in self.of(alertname, **labels)}


@dataclass
class Alerting:
    """Where Prometheus and Alertmanager answer, and what the receiver was told."""

    prometheus_url: str
    alertmanager_url: str
    recorder: Recorder
    session: aiohttp.ClientSession

    async def query(self, expression: str) -> dict[frozenset[tuple[str, str]], float]:
        """The value of each series of an instant query."""
        async with self.session.get(f"{self.prometheus_url}/api/v1/query", params={"query": expression}) as answer:
            result = (await answer.json())["data"]["result"]
        return {frozenset(row["metric"].items()): float(row["value"][1]) for row in result}

    async def suppressed(self, alertname: str) -> list[Labels]:
        """The labels of the alerts that Alertmanager has and tells nobody about."""
        return [labels for labels, state in await self._known(alertname) if state == "suppressed"]

    async def unsuppressed(self, alertname: str) -> list[Labels]:
        """The labels of the alerts that Alertmanager has and tells about, or will."""
        return [labels for labels, state in await self._known(alertname) if state != "suppressed"]

    async def _known(self, alertname: str) -> list[tuple[Labels, str]]:
        async with self.session.get(f"{self.alertmanager_url}/api/v2/alerts") as answer:
            alerts = await answer.json()
        return [
            (alert["labels"], alert["status"]["state"]) for alert in alerts if alert["labels"]["alertname"] == alertname
        ]


@asynccontextmanager
async def alerting(
    folder: Path, jobs: Mapping[str, Sequence[Target]], *, behind_seconds: int = 0
) -> AsyncIterator[Alerting]:
    """Run the two for the length of the block: Prometheus scrapes `jobs`, and all receivers tell the recorder.

    The exchange's clock is `behind_seconds` behind ours.
    """
    recorder = Recorder()
    app = web.Application()
    app.add_routes([web.post("/", recorder.take)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    addresses = {name: f"127.0.0.1:{free_port()}" for name in ("prometheus", "alertmanager")}
    shipped = faster_alertmanager(_read(SHIPPED / "alertmanager.yml"))
    _rewrite(folder / "alertmanager.yml", _telling(shipped, f"http://127.0.0.1:{port}/"))
    jobs = {**jobs} | {name: [(at, {})] for name, at in addresses.items()}
    config = _faster_folder(folder / "prometheus", jobs, behind_seconds)
    try:
        with ExitStack() as running:
            for name, command in {
                "alertmanager": alertmanager_command(
                    _found("alertmanager"), addresses["alertmanager"], folder / "alertmanager.yml", folder / "told"
                ),
                "prometheus": prometheus_command(
                    _found("prometheus"), addresses["prometheus"], config, folder / "series"
                ),
            }.items():
                running.enter_context(_process(command, folder / f"{name}.log"))
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS)) as session:
                for name, address in addresses.items():
                    await _ready(session, f"http://{address}/-/ready", folder / f"{name}.log")
                urls = {f"{name}_url": f"http://{address}" for name, address in addresses.items()}
                yield Alerting(**urls, recorder=recorder, session=session)
    finally:
        await runner.cleanup()


def _faster_folder(folder: Path, jobs: Mapping[str, Sequence[Target]], behind_seconds: int) -> Path:
    config = prometheus_folder(folder, jobs)
    _rewrite(config, each_second(_read(config)))
    for rules in (folder / "rules").glob("*.yml"):
        _rewrite(rules, by_a_clock_behind(faster_rules(_read(rules)), behind_seconds))
    return config


def _telling(config: Mapping[str, Any], url: str) -> dict[str, Any]:
    """The configuration with every receiver telling the same address."""
    webhook = {"webhook_configs": [{"url": url, "send_resolved": True}]}
    return {**config, "receivers": [{"name": receiver["name"], **webhook} for receiver in config["receivers"]]}


def _found(name: str) -> Path:
    path = programs.find(name)
    if path is None:
        pytest.fail(f"{name} is not here: `make setup` gets it, or says how it can be had", pytrace=False)
    return path


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def _rewrite(path: Path, content: object) -> None:
    path.write_text(yaml.safe_dump(content), encoding="utf-8")


@contextmanager
def _process(command: Sequence[str], log: Path) -> Iterator[None]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        yield
    finally:
        end(process)


async def _ready(session: aiohttp.ClientSession, url: str, log: Path) -> None:
    async def answers() -> bool:
        try:
            async with session.get(url) as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    try:
        _: bool = await eventually_async(answers, START_SECONDS, what=f"{url} ready")
    except AssertionError as late:
        late.add_note(tail(log))
        raise
