"""Builds, runs and stops the sentinel: one watch per store, one HTTP server."""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

import aiohttp
from prometheus_client import CollectorRegistry, ProcessCollector

from sentinel.config import Config, trusted
from sentinel.metrics import Exposition
from sentinel.store import StoreReader
from sentinel.watch import StoreWatch
from service.http import Server, application
from service.run import Service, run_service

log = logging.getLogger(__name__)


async def run(config: Config) -> None:
    """Watch the stores until SIGTERM or SIGINT. Raises ConfigError if the address is in use."""

    async def build(stack: AsyncExitStack) -> Service:
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
        await stack.enter_async_context(Server(application(registry), "sentinel", config.sentinel))
        log.info("watching stores=%d listen=%s", len(watches), config.sentinel.listen)
        return Service(lambda: _watch(watches, config.sentinel.every_seconds))

    await run_service(build)


async def _watch(watches: Sequence[StoreWatch], every_seconds: float) -> None:
    async with asyncio.TaskGroup() as group:
        for watch in watches:
            group.create_task(watch.run(every_seconds))
