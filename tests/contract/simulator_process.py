"""The simulator as a process of its own, for the contract tests, and the ways to talk to it."""

import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from tests.support import end, eventually, eventually_async, tail


@dataclass(frozen=True, slots=True)
class Served:
    """A running simulator."""

    url: str
    tls_dir: Path
    process: subprocess.Popen[bytes]

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.tls_dir / "ca.pem")


@contextmanager
def serve(folder: Path, *arguments: str) -> Iterator[Served]:
    """`python -m simulator` on a free port, ready; ended by its pid."""
    tls_dir, out, log = folder / "tls", folder / "out", folder / "log"
    command = [sys.executable, "-m", "simulator", "--port", "0", "--tls-dir", str(tls_dir), *arguments]
    with out.open("wb") as stdout, log.open("wb") as stderr:
        process = subprocess.Popen(command, stdout=stdout, stderr=stderr)

    def ready() -> str:
        assert process.poll() is None, tail(log)
        word, _, url = out.read_text(encoding="utf-8").partition("ready ")
        return "" if word or not url.endswith("\n") else url.strip()

    try:
        yield Served(eventually(ready, 60, what="simulator ready"), tls_dir, process)
    finally:
        end(process)
        assert log.read_text(encoding="utf-8") == "", tail(log)


class Client:
    """An aiohttp session that trusts the simulator."""

    def __init__(self, served: Served, session: aiohttp.ClientSession) -> None:
        self.url = served.url
        self.session = session

    async def get(self, path: str, **query: Any) -> Any:
        """The JSON of a 200 answer."""
        async with self.session.get(self.url + path, params=query) as response:
            body = await response.json()
            assert response.status == 200, body
            return body

    async def status(self, path: str, **query: Any) -> tuple[int, dict[str, str], str]:
        """(status, headers, body) of any answer."""
        async with self.session.get(self.url + path, params=query) as response:
            return response.status, dict(response.headers), await response.text()

    async def fault(self, kind: str, **parameters: Any) -> int:
        async with self.session.post(self.url + "/_control/faults", json={"kind": kind, **parameters}) as response:
            body = await response.json()
            assert response.status == 200, body
            return int(body["id"])

    async def heal(self) -> None:
        async with self.session.delete(self.url + "/_control/faults") as response:
            assert response.status == 200

    @asynccontextmanager
    async def socket(self, path: str, *streams: str, **options: Any) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        names = "/".join(quote(name, safe="@!") for name in streams)
        url = self.url + path + (("?streams=" if path.endswith("/stream") else "/") + names if names else "")
        async with self.session.ws_connect(url, **options) as socket:
            yield socket


@asynccontextmanager
async def connect(served: Served, local_address: str = "127.0.0.1") -> AsyncIterator[Client]:
    """A client with an address of its own: limits count by address, and all of 127/8 is this machine."""
    files = open_files()
    connector = aiohttp.TCPConnector(ssl=served.context(), local_addr=(local_address, 0))
    async with aiohttp.ClientSession(connector=connector) as session:
        yield Client(served, session)
    # TLS says goodbye in the background: an event loop that ends earlier leaks its sockets
    await eventually_async(lambda: open_files() <= files, what="sockets closed")


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
