"""The gateway as an operator runs it: `python -m gateway` with a TOML file, against real servers."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.integration.servers import InfluxStack, Simulator
from tests.support import REQUEST_SECONDS, end, eventually, free_port, tail

START_SECONDS = 60


@dataclass
class GatewayProcess:
    """One configuration and the process that runs it; `start` and `stop` may follow each other."""

    config: Path
    url: str
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process; its output goes to the log."""
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway", "run", "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        return end(self.process, 20)

    def answers(self, path: str = "/healthz") -> bool:
        """Whether a path answers 200."""
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=REQUEST_SECONDS) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def wait_until_ready(self, path: str = "/readyz", timeout_seconds: float = START_SECONDS) -> None:
        """Return when it is ready."""

        def ready() -> bool:
            assert self.process is not None
            if self.process.poll() is not None:
                raise AssertionError(f"the gateway ended with exit code {self.process.returncode}:\n{tail(self.log)}")
            return self.answers(path)

        try:
            eventually(ready, timeout_seconds, what=f"the gateway's {path}")
        except AssertionError as late:
            late.add_note(tail(self.log))
            raise


def write_gateway_config(
    folder: Path,
    simulator: Simulator,
    influx: InfluxStack,
    collectors: Mapping[str, str],
    *,
    gateway: Mapping[str, object] | None = None,
    exchange: Mapping[str, object] | None = None,
) -> tuple[Path, str]:
    """Write gateway.toml for these servers; `collectors` are names and addresses. Returns the path and the address."""
    listen = f"127.0.0.1:{free_port()}"
    own = {"name": "gateway-1", "state_dir": str(folder / "gateway"), "listen": listen, **(gateway or {})}
    asked = {"rest_url": simulator.url, "ca_file": str(simulator.ca_file), **(exchange or {})}
    store = {
        "name": "main",
        "url": influx.url,
        "reader_token_file": str(influx.token_file("reader", "gateway")),
    }
    lines = _section("[gateway]", own) + _section("[exchange]", asked)
    for name, url in collectors.items():
        lines += _section("[[collector]]", {"name": name, "url": url})
    path = folder / "gateway.toml"
    path.write_text("\n".join(lines + _section("[[store]]", store)) + "\n", encoding="utf-8")
    return path, f"http://{listen}"


@contextmanager
def gateway_process(config: Path, url: str, folder: Path) -> Iterator[GatewayProcess]:
    """Run the gateway for the length of the block; it is ended by its pid."""
    gateway = GatewayProcess(config, url, folder / "gateway.log")
    gateway.start()
    try:
        yield gateway
    finally:
        assert gateway.process is not None
        if gateway.process.poll() is None:
            end(gateway.process, 20)


def _section(head: str, values: Mapping[str, object]) -> list[str]:
    return [head, *(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items())]
