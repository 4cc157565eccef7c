"""The collector's HTTP server: /stream for gateways, /metrics for Prometheus, /healthz and /readyz for supervisors,
/status for people.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

type Readiness = Callable[[], list[str]]
"""Why the collector is not ready, one line each; empty when it is."""


STOP_SECONDS = 2.0
"""How long a stop waits for open requests."""


def create(
    registry: CollectorRegistry,
    not_ready: Readiness,
    status: Callable[[], dict[str, Any]],
    stream: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> web.Application:
    """Build the application. Answering costs the event loop some milliseconds a scrape, which also proves it lives."""

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def healthz(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_request: web.Request) -> web.Response:
        reasons = not_ready()
        return web.Response(status=503 if reasons else 200, text="\n".join(reasons or ["ready"]) + "\n")

    async def show(_request: web.Request) -> web.Response:
        return web.json_response(status())

    app = web.Application()
    app.add_routes([
        web.get("/metrics", metrics),
        web.get("/healthz", healthz),
        web.get("/readyz", readyz),
        web.get("/status", show),
        web.get("/stream", stream, allow_head=False),
    ])  # fmt: skip
    return app


class Server:
    """Serves the application on one address; ``start`` raises OSError if the port is taken."""

    def __init__(self, app: web.Application, host: str, port: int) -> None:
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_SECONDS)
        self._host = host
        self._port = port

    async def start(self) -> None:
        """Listen."""
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()

    async def stop(self) -> None:
        """Stop listening and end open requests."""
        await self._runner.cleanup()
