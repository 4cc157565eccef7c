"""The HTTP routes of every service, and its address, on real sockets."""

import asyncio
import socket

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter

from service.config_file import ConfigError, ServiceSection
from service.http import Server, application
from tests.support import free_port

ANY_PORT = ServiceSection(listen="127.0.0.1:0")


async def fetched(session: aiohttp.ClientSession, server: Server, path: str) -> tuple[int, str]:
    async with session.get(f"http://{server.address}{path}") as answer:
        return answer.status, await answer.text()


async def test_metrics_health_and_readiness_take_precedence_over_own_routes() -> None:
    registry, reasons = CollectorRegistry(), ["the store is away", "no frame yet"]
    Counter("things", "Things.", registry=registry).inc()

    async def everything(request: web.Request) -> web.Response:
        return web.Response(text=f"own {request.path}")

    app = application(registry, web.get("/{path:.*}", everything), not_ready=lambda: reasons)
    async with aiohttp.ClientSession() as session, Server(app, "collector", ANY_PORT) as server:
        assert await fetched(session, server, "/healthz") == (200, "ok\n")
        assert await fetched(session, server, "/readyz") == (503, "the store is away\nno frame yet\n")
        reasons.clear()
        assert await fetched(session, server, "/readyz") == (200, "ready\n")
        assert "things_total 1.0" in (await fetched(session, server, "/metrics"))[1]
        assert await fetched(session, server, "/other") == (200, "own /other")


async def test_an_address_in_use_is_reported_in_one_line_that_names_the_key() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        app, cleaned = application(CollectorRegistry()), asyncio.Event()

        async def note(_app: web.Application) -> None:
            cleaned.set()

        app.on_cleanup.append(note)
        with pytest.raises(ConfigError, match=f"sentinel.listen = {listen}: cannot listen: ") as error:
            async with Server(app, "sentinel", ServiceSection(listen=listen)):
                pass
        assert "\n" not in str(error.value)
        assert cleaned.is_set()


async def test_after_a_stop_the_address_is_free_and_a_second_stop_does_nothing() -> None:
    section = ServiceSection(listen=f"127.0.0.1:{free_port()}")
    async with Server(application(CollectorRegistry()), "gateway", section) as server:
        await server.stop()
        socket.create_server((section.listen_host, section.listen_port)).close()


async def test_an_open_request_is_answered_before_a_stop_ends() -> None:
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def held(_request: web.Request) -> web.Response:
        asked.set()
        await may_answer.wait()
        return web.Response(text="held")

    app = application(CollectorRegistry(), web.get("/held", held))
    async with aiohttp.ClientSession() as session:
        async with Server(app, "gateway", ANY_PORT, stop_seconds=60) as server:
            request = asyncio.create_task(fetched(session, server, "/held"))
            await asked.wait()
            stopping = asyncio.create_task(server.stop())
            may_answer.set()
            await stopping
        assert await request == (200, "held")
