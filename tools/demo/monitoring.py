"""Starts the monitoring: sentinel, exporters, Alertmanager, Grafana, and Prometheus with prometheus/ as shipped.

Whatever is not available is reported in one line and left out.
"""

import asyncio
import secrets
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tools.bootstrap import programs
from tools.demo import configs, grafana
from tools.demo.folder import Folder
from tools.demo.processes import Children
from tools.demo.servers import (
    alertmanager_command,
    answers,
    blackbox_exporter_command,
    node_exporter_command,
    prometheus_command,
)
from tools.demo.settings import ROOT
from tools.demo.view import Tell
from tools.ports import HOST, free_port

SHIPPED = ROOT / "prometheus"
GRAFANA = ROOT / "grafana"
NAMES = {"grafana": "Grafana", "prometheus": "Prometheus", "alertmanager": "Alertmanager"}
MACHINE = "demo"
"""The `host` label of all targets: there is only one machine."""


@dataclass(frozen=True)
class Watched:
    """The services to monitor: URLs, and host:port of collector and gateway."""

    influx_url: str
    org: str
    collector: str
    gateway: str
    rest_url: str
    ca_file: str | None


@dataclass(frozen=True)
class Monitoring:
    """The addresses of the monitoring services; None: left out."""

    prometheus_url: str | None = None
    alertmanager_url: str | None = None
    sentinel_url: str | None = None
    node_url: str | None = None
    blackbox_url: str | None = None
    grafana_url: str | None = None
    grafana_password_file: str | None = None


async def start(folder: Folder, children: Children, tell: Tell, watched: Watched) -> Monitoring:
    """Start what is available and return the addresses. Raises CannotStart."""
    return await _Starting(folder, children, tell, watched).start()


@dataclass
class _Starting:
    folder: Folder
    children: Children
    tell: Tell
    watched: Watched
    jobs: dict[str, Sequence[configs.Target]] = field(default_factory=dict)

    async def start(self) -> Monitoring:
        self.jobs["collector"] = [(self.watched.collector, {})]
        self.jobs["gateway"] = [(self.watched.gateway, {})]
        self.jobs["influxdb"] = [(self.watched.influx_url.removeprefix("http://"), {"store": configs.STORE})]
        prometheus = self._address("prometheus")
        async with asyncio.TaskGroup() as group:
            sentinel = group.create_task(self._sentinel())
            node = group.create_task(self._node_exporter())
            blackbox = group.create_task(self._blackbox_exporter())
            alertmanager = group.create_task(self._alertmanager())
            grafana_server = group.create_task(self._grafana(f"http://{prometheus}"))
        return Monitoring(
            prometheus_url=await self._prometheus(prometheus),  # last, because it gets the targets of all others
            alertmanager_url=alertmanager.result(),
            sentinel_url=sentinel.result(),
            node_url=node.result(),
            blackbox_url=blackbox.result(),
            grafana_url=grafana_server.result(),
            grafana_password_file=str(self._grafana_password) if grafana_server.result() else None,
        )

    async def _sentinel(self) -> str:
        config = self.folder.path / "sentinel.toml"
        address = self._address("sentinel")
        config.write_text(
            configs.sentinel_toml(
                listen=address,
                influx_url=self.watched.influx_url,
                token_file=self.folder.secrets / f"reader-{configs.SENTINEL}.token",
            ),
            encoding="utf-8",
        )
        command = [sys.executable, "-m", "sentinel"]
        await self.children.run("sentinel-check", [*command, "check", "--config", str(config)])
        child = self.children.start("sentinel", [*command, "run", "--config", str(config)])
        await answers(f"http://{address}/metrics", child)
        return self._tell("sentinel", address)

    async def _node_exporter(self) -> str | None:
        program = self._find("node_exporter")
        if program is None:
            return None
        address = self._address("node")
        child = self.children.start("node_exporter", node_exporter_command(program, address))
        await answers(f"http://{address}/metrics", child)
        return self._tell("node", address)

    async def _blackbox_exporter(self) -> str | None:
        program = self._find("blackbox_exporter")
        if program is None:
            return None
        config = self.folder.path / "blackbox.yml"
        shipped = (SHIPPED / "blackbox.yml").read_text(encoding="utf-8")
        config.write_text(configs.blackbox_yml(shipped, self.watched.ca_file), encoding="utf-8")
        address = f"{HOST}:{free_port()}"
        child = self.children.start("blackbox_exporter", blackbox_exporter_command(program, address, config))
        await answers(f"http://{address}/metrics", child)
        self.jobs["blackbox"] = configs.blackbox_targets(
            address,
            influx_url=self.watched.influx_url,
            collector_urls=[f"http://{self.watched.collector}"],
            rest_url=self.watched.rest_url,
        )
        return self._tell("blackbox", address)

    async def _alertmanager(self) -> str | None:
        program = self._find("alertmanager")
        if program is None:
            return None
        address = self._address("alertmanager")
        # As shipped, its receivers have no addresses: alerts are visible in it, but nobody is notified.
        config = SHIPPED / "alertmanager.yml"
        command = alertmanager_command(program, address, config, self.folder.data / "alertmanager")
        child = self.children.start("alertmanager", command)
        await answers(f"http://{address}/-/ready", child)
        return self._tell("Alertmanager", address)

    async def _grafana(self, prometheus_url: str) -> str | None:
        program = self._find("grafana")
        if program is None:
            return None
        data = self.folder.data / "grafana"
        data.mkdir(mode=0o700)
        self._grafana_password.touch(mode=0o600)
        self._grafana_password.write_text(secrets.token_urlsafe(18), encoding="ascii")
        address = self._address("grafana")
        config = self.folder.path / "grafana.ini"
        config.write_text(
            grafana.ini(address=address, data=data, source=GRAFANA, password_file=self._grafana_password),
            encoding="utf-8",
        )
        variables = grafana.variables(
            prometheus_url=prometheus_url,
            scrape_interval=configs.scrape_interval((SHIPPED / "prometheus.yml").read_text(encoding="utf-8")),
            influx_url=self.watched.influx_url,
            org=self.watched.org,
            token_file=self.folder.secrets / f"reader-{configs.GRAFANA}.token",
            source=GRAFANA,
        )
        child = self.children.start("grafana", grafana.command(program, config, variables))
        await answers(f"http://{address}/api/health", child)
        return self._tell("Grafana", address, f"   user admin, password in {self._grafana_password}")

    async def _prometheus(self, address: str) -> str | None:
        program = self._find("prometheus")
        if program is None:
            return None
        config = prometheus_folder(self.folder.path / "prometheus", self.jobs)
        command = prometheus_command(program, address, config, self.folder.data / "prometheus")
        child = self.children.start("prometheus", command)
        await answers(f"http://{address}/-/ready", child)
        return self._tell("Prometheus", address)

    def _find(self, name: str) -> Path | None:
        program = programs.find(name)
        if program is None:
            self.tell(NAMES.get(name, name), "left out: run `make setup` to see how to get it")
        return program

    def _address(self, job: str) -> str:
        """Return a free address for a new target of Prometheus."""
        address = f"{HOST}:{free_port()}"
        self.jobs[job] = [(address, {})]
        return address

    @property
    def _grafana_password(self) -> Path:
        return self.folder.secrets / "grafana.password"

    def _tell(self, name: str, address: str, note: str = "") -> str:
        self.tell(name, f"http://{address}{note}")
        return f"http://{address}"


def prometheus_folder(folder: Path, jobs: Mapping[str, Sequence[configs.Target]]) -> Path:
    """Create Prometheus' folder: prometheus/ as shipped, and the targets. Returns its prometheus.yml."""
    shutil.copytree(SHIPPED / "rules", folder / "rules")
    (folder / "targets").mkdir()
    for name, text in configs.target_files(jobs, MACHINE).items():
        (folder / "targets" / name).write_text(text, encoding="utf-8")
    return Path(shutil.copy(SHIPPED / "prometheus.yml", folder))
