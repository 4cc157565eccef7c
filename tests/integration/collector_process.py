"""The collector as an operator runs it: `python -m collector` with a TOML file, against real servers."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.integration.servers import InfluxStack, Simulator
from tests.support import BUSY, REQUEST_SECONDS, end, eventually, free_port, tail


@dataclass
class CollectorProcess:
    """One configuration and the process that runs it; `start` and `kill` may follow each other."""

    config: Path
    url: str
    log: Path
    process: subprocess.Popen[bytes] | None = None
    logs: list[str] = field(default_factory=list)

    def start(self) -> None:
        """Start the process; its output goes to the log."""
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "collector", "run", "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    def kill(self) -> None:
        """SIGKILL: nothing is flushed."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10 * BUSY)

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        return end(self.process, 20)

    def status(self) -> Any:
        """The answer of /status, or None while it does not answer."""
        try:
            with urllib.request.urlopen(f"{self.url}/status", timeout=REQUEST_SECONDS) as answer:
                return json.load(answer)
        except (urllib.error.URLError, OSError):
            return None

    def exposition(self) -> str:
        """The text of /metrics: one scrape."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=REQUEST_SECONDS) as answer:
            text: str = answer.read().decode()
        return text

    def metrics(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Every sample of /metrics by name and labels."""
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(self.exposition())
            for sample in family.samples
        }

    def total(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that carry these labels."""
        wanted = set(labels.items())
        return sum(value for (found, has), value in self.metrics().items() if found == name and wanted <= has)

    def wait_until_filled(self, timeout_seconds: float = 120) -> None:
        """Return when the fill is stored and rolled up."""

        def filled() -> bool:
            assert self.process is not None
            if self.process.poll() is not None:
                raise AssertionError(f"the collector ended with exit code {self.process.returncode}:\n{tail(self.log)}")
            status = self.status()
            return bool(status and status["fill"]["stage"] == "done")

        try:
            eventually(filled, timeout_seconds, what="the collector's fill complete")
        except AssertionError as late:
            late.add_note(tail(self.log))
            raise


def write_config(
    folder: Path,
    simulator: Simulator,
    influx: InfluxStack,
    *,
    name: str = "collector-1",
    exchange: Mapping[str, object] | None = None,
    extra: Sequence[str] = (),
    **store: str,
) -> tuple[Path, str]:
    """Write collector.toml for these servers; other keywords replace keys of [[store]].

    The tokens are those of collector-1, whatever its name. Returns the path and the address.
    """
    listen = f"127.0.0.1:{free_port()}"
    stored = {
        "name": "main",
        "url": influx.url,
        "ingest_token_file": str(influx.token_file("ingest", "collector-1")),
        "repair_token_file": str(influx.token_file("repair", "collector-1")),
        **store,
    }
    asked = {
        "rest_url": simulator.url,
        "websocket_url": simulator.websocket_url,
        "ca_file": str(simulator.ca_file),
        **(exchange or {}),
    }
    lines = [
        "[collector]",
        f'name = "{name}"',
        f'state_dir = "{folder / "state"}"',
        f'listen = "{listen}"',
        "[exchange]",
        *(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in asked.items()),
        *extra,
        "[[store]]",
        *(f"{key} = {json.dumps(value)}" for key, value in stored.items()),
    ]
    path = folder / "collector.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path, f"http://{listen}"


def second_store(influx: InfluxStack) -> list[str]:
    """A [[store]] section for one more store."""
    tokens = (f'{kind}_token_file = "{influx.token_file(kind, "collector-1")}"' for kind in ("ingest", "repair"))
    return ["[[store]]", 'name = "second"', f'url = "{influx.url}"', *tokens]


@contextmanager
def collector_process(config: Path, url: str, folder: Path) -> Iterator[CollectorProcess]:
    """Run the collector for the length of the block; it is ended by its pid, and its log is shown if that fails."""
    collector = CollectorProcess(config, url, folder / "collector.log")
    collector.start()
    try:
        yield collector
    finally:
        assert collector.process is not None
        if collector.process.poll() is None:
            end(collector.process, 20)
