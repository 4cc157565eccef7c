"""A service's HTTP server: /metrics for Prometheus, /healthz and /readyz for supervisors, and its own routes."""

from collections.abc import Callable
from typing import Self

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from service.config_file import ConfigError, ServiceSection

STOP_SECONDS = 2.0
"""How long a stop waits for open requests."""

type NotReady = Callable[[], list[str]]
"""Why the service is not ready, one line each; empty if it is."""


def application(registry: CollectorRegistry, *own: web.AbstractRouteDef, not_ready: NotReady = list) -> web.Application:
    """Build the application; the paths every service has take precedence over its own.

    A scrape takes the event loop some milliseconds, which also proves that it is alive.
    """

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def healthz(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_request: web.Request) -> web.Response:
        reasons = not_ready()
        return web.Response(status=503 if reasons else 200, text="\n".join(reasons or ["ready"]) + "\n")

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/healthz", healthz), web.get("/readyz", readyz), *own])
    return app


class Server:
    """Serves an application at the address in the service's section of the configuration, within `async with`."""

    def __init__(
        self, app: web.Application, name: str, section: ServiceSection, *, stop_seconds: float = STOP_SECONDS
    ) -> None:
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=stop_seconds)
        self._name = name
        self._section = section

    async def __aenter__(self) -> Self:
        """Start listening. Raises ConfigError, naming the key, if the address is not available."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._section.listen_host, self._section.listen_port).start()
        except OSError as error:
            await self.stop()
            raise ConfigError(f"{self._name}.listen = {self._section.listen}: cannot listen: {error}") from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Accept no more requests and answer the open ones; a second call does nothing."""
        await self._runner.cleanup()

    @property
    def address(self) -> str:
        """``host:port`` it listens on; the actual port if 0 was configured."""
        host, port = self._runner.addresses[0][:2]
        return f"{host}:{port}"
