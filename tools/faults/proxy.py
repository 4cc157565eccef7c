"""The proxy in front of InfluxDB, which can be slow, cut, or answer by itself. It forwards whole HTTP requests."""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web

from tools.ports import HOST

WRITE_PATH = "/api/v2/write"
_HOP_BY_HOP = {"connection", "content-encoding", "content-length", "keep-alive", "server", "transfer-encoding", "date"}

type Behavior = Callable[["Call"], Awaitable[web.StreamResponse]]


class Call:
    """A request in progress: a behavior forwards it, answers it, or does neither."""

    def __init__(
        self, request: web.Request, body: bytes, url: str, session: aiohttp.ClientSession, stored: Callable[[], None]
    ) -> None:
        self.path = request.path
        self._request = request
        self._body = body
        self._url = url
        self._session = session
        self._stored = stored

    async def forward(self) -> web.StreamResponse:
        """Forward it and return InfluxDB's response; 502 if InfluxDB is down."""
        headers = {key: value for key, value in self._request.headers.items() if key.lower() != "host"}
        try:
            async with self._session.request(
                self._request.method, self._url + self._request.raw_path, headers=headers, data=self._body
            ) as answer:
                if self.path == WRITE_PATH and answer.status < 300:
                    self._stored()
                kept = {key: value for key, value in answer.headers.items() if key.lower() not in _HOP_BY_HOP}
                return web.Response(status=answer.status, headers=kept, body=await answer.read())
        except aiohttp.ClientConnectorError:
            return self.abort()  # as if nothing was listening
        except aiohttp.ClientError:
            return web.Response(status=502, text="Bad Gateway")

    def abort(self) -> web.StreamResponse:
        """Abort the client's connection without a response."""
        if self._request.transport is not None:
            self._request.transport.abort()
        return web.Response(status=500)


async def passes(call: Call) -> web.StreamResponse:
    """Forward."""
    return await call.forward()


async def cut(call: Call) -> web.StreamResponse:
    """Abort all requests."""
    return call.abort()


def slow(seconds: float) -> Behavior:
    """Delay every response by this much."""

    async def behave(call: Call) -> web.StreamResponse:
        answer = await call.forward()
        await asyncio.sleep(seconds)
        return answer

    return behave


def answers(status: int, body: str = "", *, path: str = WRITE_PATH, retry_after_seconds: int | None = None) -> Behavior:
    """Answer requests to a path without forwarding them to InfluxDB."""

    async def behave(call: Call) -> web.StreamResponse:
        if call.path != path:
            return await call.forward()
        headers = {} if retry_after_seconds is None else {"Retry-After": str(retry_after_seconds)}
        return web.Response(status=status, text=body, headers=headers)

    return behave


async def stores_and_is_silent(call: Call) -> web.StreamResponse:
    """Forward writes to InfluxDB but never respond: the client cannot know the result."""
    answer = await call.forward()
    if call.path != WRITE_PATH:
        return answer
    await asyncio.get_running_loop().create_future()  # until the client gives up
    raise AssertionError


class Proxy:
    """Serves at `url`, forwards to `target`; `behavior` may be changed at any time."""

    def __init__(self, target: str) -> None:
        self.behavior: Behavior = passes
        self.url = ""
        self.writes_stored = 0
        self._target = target
        self._session = aiohttp.ClientSession(auto_decompress=True, timeout=aiohttp.ClientTimeout(total=None))
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.1, auto_decompress=False, handler_cancellation=True
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, 0).start()
        self.url = f"http://{HOST}:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        await self._session.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        return await self.behavior(Call(request, await request.read(), self._target, self._session, self._stored))

    def _stored(self) -> None:
        self.writes_stored += 1
