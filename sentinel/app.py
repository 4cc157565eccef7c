"""Builds, runs and stops the sentinel: one watch per store, one HTTP server."""

import asyncio
import logging
import signal
import time
from contextlib import AsyncExitStack

import aiohttp
from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from sentinel.config import Config, trusted
from sentinel.metrics import Exposition
from sentinel.store import StoreReader
from sentinel.watch import StoreWatch
from service.config_file import ConfigError

log = logging.getLogger(__name__)

STOP_SECONDS = 2.0
"""How long to wait for open requests when stopping."""


async def run(config: Config) -> None:
    """Watch the stores until SIGTERM or SIGINT. Raises ConfigError if the address is in use."""
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with AsyncExitStack() as stack:
        # The stores are on our own network: ignore proxies set in the environment.
        connector = aiohttp.TCPConnector(ssl=trusted(config))
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, trust_env=False))
        timeout = config.sentinel.timeout_seconds
        watches = [
            StoreWatch(
                store.name,
                StoreReader(store.url, store.token_file, session, timeout_seconds=timeout),
                wall_seconds=time.time,
            )
            for store in config.store
        ]
        registry = CollectorRegistry()
        registry.register(Exposition(watches))
        ProcessCollector(registry=registry)
        runner = web.AppRunner(_application(registry), access_log=None, shutdown_timeout=STOP_SECONDS)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        try:
            await web.TCPSite(runner, config.sentinel.listen_host, config.sentinel.listen_port).start()
        except OSError as error:
            raise ConfigError(f"sentinel.listen = {config.sentinel.listen}: cannot listen: {error}") from error
        log.info("watching stores=%d listen=%s", len(watches), config.sentinel.listen)
        await _until(stop, watches, config.sentinel.every_seconds)
    log.info("stopped")


async def _until(stop: asyncio.Event, watches: list[StoreWatch], every_seconds: float) -> None:
    """Run the watches until stopped; if one of them fails unexpectedly, the process exits and systemd restarts it."""
    work = asyncio.create_task(_work(watches, every_seconds))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait((work, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if work.done():
        work.result()
    work.cancel()
    await asyncio.wait((work,))


async def _work(watches: list[StoreWatch], every_seconds: float) -> None:
    async with asyncio.TaskGroup() as group:
        for watch in watches:
            group.create_task(watch.run(every_seconds))


def _application(registry: CollectorRegistry) -> web.Application:
    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def healthz(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/healthz", healthz)])
    return app
