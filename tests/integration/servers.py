"""The real servers of the integration tests: InfluxDB in a container, the simulator as a local process."""

import json
import secrets
import shutil
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.models.containers import Container
from testcontainers.core.container import DockerContainer

from tests.support import REQUEST_SECONDS, end, eventually, free_port, tail

START_SECONDS = 60


class InfluxServer:
    """A real InfluxDB in a container of its own, on a loopback port that stays the same over a restart.

    `stop`, `kill` and `start` keep its data: it lies in the container, and goes with it.
    """

    def __init__(self, container: Container, port: int) -> None:
        self._container = container
        self.url = f"http://127.0.0.1:{port}"

    def stop(self) -> None:
        """End it in order (SIGTERM): its port refuses connections afterwards."""
        self._container.stop(timeout=10)

    def kill(self) -> None:
        """End it as a power cut would (SIGKILL)."""
        self._container.kill()
        self._container.wait(timeout=REQUEST_SECONDS)

    def start(self) -> None:
        """Start it again with the data it had, and wait until it is healthy."""
        self._container.start()
        self.wait_until_healthy()

    @contextmanager
    def snapshot(self) -> Iterator[str]:
        """End it; the name of an image that holds its data, until the block ends."""
        self.stop()
        name, tag = "marketdata-influxdb-provisioned", secrets.token_hex(8)
        self._container.commit(name, tag)
        try:
            yield f"{name}:{tag}"
        finally:
            with closing(docker.from_env()) as client:
                client.images.remove(f"{name}:{tag}", force=True)

    def pause(self) -> None:
        """Freeze it: its port accepts connections and nothing answers."""
        self._container.pause()

    def unpause(self) -> None:
        """Let it go on after `pause`."""
        self._container.unpause()

    def wait_until_healthy(self) -> None:
        """Return when /health says pass; AssertionError with the container's log after a minute."""
        try:
            eventually(self._healthy, START_SECONDS, what=f"InfluxDB at {self.url} healthy")
        except AssertionError as late:
            late.add_note(self._container.logs(tail=30).decode(errors="replace"))
            raise

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=10) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


@contextmanager
def influx_server(image: str) -> Iterator[InfluxServer]:
    """A new, empty InfluxDB that has not been set up; it is removed at the end."""
    port = free_port()
    container = DockerContainer(image).with_command(
        [
            "--reporting-disabled",
            "--log-level=warn",
            "--bolt-path=/data/influxd.bolt",
            "--sqlite-path=/data/influxd.sqlite",
            "--engine-path=/data/engine",
        ]
    )
    # Both images have it on their PATH; the official one's own entry point would want to set the server up.
    container.with_kwargs(entrypoint=["influxd"])
    container.ports["8086/tcp"] = ("127.0.0.1", port)  # type: ignore[assignment]  # docker takes an address as well
    with container:
        server = InfluxServer(container.get_wrapped_container(), port)
        server.wait_until_healthy()
        yield server


@dataclass(frozen=True)
class InfluxStack:
    """An InfluxDB that holds what influx/schema.yml wants, and the token files that were made for it."""

    server: InfluxServer
    org: str
    secrets_dir: Path

    @property
    def url(self) -> str:
        return self.server.url

    def token_file(self, kind: str, consumer: str) -> Path:
        """The file of a consumer's token: kinds ingest, repair, reader."""
        return self.secrets_dir / f"{kind}-{consumer}.token"

    def token(self, kind: str, consumer: str) -> str:
        """A consumer's token."""
        return self.token_file(kind, consumer).read_text(encoding="utf-8").strip()

    @property
    def operator_token(self) -> str:
        """The token that may do everything."""
        return (self.secrets_dir / "operator.token").read_text(encoding="utf-8").strip()


@dataclass(frozen=True)
class Simulator:
    """A simulator of our own: REST at `url`, WebSocket at `websocket_url`, trusted by `ca_file`."""

    url: str
    ca_file: Path
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def websocket_url(self) -> str:
        return self.url.replace("https://", "wss://", 1)

    def now_ms(self) -> int:
        """The exchange's time."""
        return int(self.fetch("/_control/state")["now_ms"])

    def fetch(self, path: str, body: object = None, *, method: str | None = None) -> Any:
        """The JSON answer to a request of REST or of the control API; a body, sent as JSON, makes it a POST.

        Raises:
            urllib.error.HTTPError: the status is not 2xx.
        """
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, {"Content-Type": "application/json"}, method=method)
        context = ssl.create_default_context(cafile=str(self.ca_file))
        with urllib.request.urlopen(request, timeout=REQUEST_SECONDS, context=context) as answer:
            return json.load(answer)


@contextmanager
def simulator_process(folder: Path, *arguments: str) -> Iterator[Simulator]:
    """`python -m simulator` on a free port, ready; ended by its pid."""
    tls = folder / "tls"
    log = folder / "simulator.log"
    out = folder / "simulator.out"
    command = [sys.executable, "-m", "simulator", "--port", "0", "--tls-dir", str(tls), *arguments]
    with out.open("wb") as stdout, log.open("wb") as stderr:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)

    def ready() -> str:
        if process.poll() is not None:
            raise AssertionError(f"the simulator ended with exit code {process.returncode}:\n{tail(log)}")
        words = out.read_text(encoding="utf-8").split()
        return words[words.index("ready") + 1] if "ready" in words[:-1] else ""

    try:
        url = eventually(ready, START_SECONDS, what="simulator ready")
        yield Simulator(url, tls / "ca.pem", process, log)
    finally:
        end(process)
        shutil.rmtree(tls, ignore_errors=True)
