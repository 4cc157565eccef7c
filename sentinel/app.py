"""Builds the sentinel, runs it, and stops it in order: one watch a store, one HTTP server."""

import asyncio
import logging
import signal
import time
from contextlib import AsyncExitStack

import aiohttp
from prometheus_client import CollectorRegistry, ProcessCollector

from sentinel.config import Config, trusted
from sentinel.metrics import Exposition
from sentinel.store import StoreReader
from sentinel.watch import StoreWatch
from service.http import Server, application

log = logging.getLogger(__name__)


async def run(config: Config) -> None:
    """Watch the stores until SIGTERM or SIGINT. Raises ConfigError if the address is taken."""
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with AsyncExitStack() as stack:
        # A store is one of ours: no proxy from the environment.
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
        await _until(stop, watches, config.sentinel.every_seconds)
    log.info("stopped")


async def _until(stop: asyncio.Event, watches: list[StoreWatch], every_seconds: float) -> None:
    """Run the watches until told to stop; an unexpected end of one ends the process, systemd starts it again."""
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
