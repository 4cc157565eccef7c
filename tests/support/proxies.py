"""Proxies that a test plays: HTTP CONNECT (RFC 9110, 9.3.6) and SOCKS5 (RFC 1928, 1929), on a free port each."""

import asyncio
import base64
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field

from tests.support import BUSY

USER, PASSWORD = "user", "secret"


class Denied(Exception):
    """The client has no right credentials."""


@dataclass
class Proxy:
    """``targets`` are the ``host:port`` that clients asked for, as they wrote them."""

    url: str = ""
    targets: list[str] = field(default_factory=list)


@asynccontextmanager
async def proxy(scheme: str, *, protected: bool = False) -> AsyncIterator[Proxy]:
    """A proxy of `http` or `socks5`; a protected one wants USER and PASSWORD."""
    played = Proxy()
    agree = {"http": _connect, "socks5": _socks5}[scheme]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, Denied):
            host, port, granted = await agree(reader, writer, protected)
            played.targets.append(f"{host}:{port}")
            far_reader, far_writer = await asyncio.open_connection(host, port)
            writer.write(granted)
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, far_writer))
                group.create_task(_pump(far_reader, writer))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    credentials = f"{USER}:{PASSWORD}@" if protected else ""
    played.url = f"{scheme}://{credentials}127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield played
    finally:
        server.close()


@contextmanager
def proxy_thread(scheme: str) -> Iterator[Proxy]:
    """The same for tests without an event loop, in a thread of its own."""
    started: list[Proxy] = []
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()

    async def run() -> None:
        async with proxy(scheme) as played:
            started.append(played)
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=[run()])
    thread.start()
    try:
        assert ready.wait(10 * BUSY), "the proxy listens"
        yield started[0]
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.run_until_complete(_rest_ends())
        loop.close()


async def _rest_ends() -> None:
    """Let the connections that are open go."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _connect(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, protected: bool
) -> tuple[str, int, bytes]:
    request = (await reader.readuntil(b"\r\n\r\n")).decode()
    method, target, _ = request.split(" ", 2)
    right = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    if method != "CONNECT" or (protected and f"Basic {right}" not in request):
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        raise Denied
    host, _, port = target.rpartition(":")
    return host, int(port), b"HTTP/1.1 200 Connection established\r\n\r\n"


async def _socks5(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, protected: bool
) -> tuple[str, int, bytes]:
    _version, count = await reader.readexactly(2)
    methods = await reader.readexactly(count)
    method = 2 if protected else 0
    writer.write(bytes([5, method if method in methods else 0xFF]))
    if method not in methods:
        raise Denied
    if protected:
        await reader.readexactly(1)
        user, password = [await reader.readexactly((await reader.readexactly(1))[0]) for _ in range(2)]
        right = (user.decode(), password.decode()) == (USER, PASSWORD)
        writer.write(bytes([1, not right]))
        if not right:
            raise Denied
    _version, _command, _reserved, kind = await reader.readexactly(4)
    if kind == 3:
        host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
    else:
        host = ".".join(str(byte) for byte in await reader.readexactly(4))
    port = int.from_bytes(await reader.readexactly(2))
    return host, port, bytes([5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
