"""Builds the gateway, runs it, and stops it in order.

Collectors' streams and the stores fill the memory. The routes answer from memory, from the stores, and for what neither
has from the exchange, within its budget.
"""

import asyncio
import logging
import time
from contextlib import AsyncExitStack

import aiohttp
from prometheus_client import CollectorRegistry, ProcessCollector

from exchange.binance import limits
from exchange.binance.requests import BinanceClient
from exchange.budget import Budget
from exchange.errors import ExchangeError
from exchange.first_candles import FirstCandles
from gateway.api.answers import Handler
from gateway.config import Config, read_tokens
from gateway.intake.catch_up import CatchUp
from gateway.intake.look_again import LookAgain
from gateway.intake.store_feed import StoreFeed
from gateway.intake.stream import CollectorStream
from gateway.memory.health import not_ready
from gateway.memory.memory import Memory
from gateway.observe.metrics import Exposition, HeldRequests, Parts
from gateway.past.contracts import Contracts
from gateway.past.fetched import Fetched, Once
from gateway.past.history import History
from gateway.past.stored import Stored
from gateway.routes.depth import Depth
from gateway.routes.exchange_info import ExchangeInfoRoute
from gateway.routes.funding import FundingInfo, FundingRates
from gateway.routes.klines import Klines
from gateway.routes.marks import MarkKlines
from gateway.routes.pairlist import PairList
from gateway.routes.premium import Premium
from gateway.routes.server_time import Time, ping
from gateway.routes.tickers import Ticker
from gateway.upstream.upstream import Upstream
from gateway.web import Web
from marketdata.errors import InvalidRequest
from marketdata.reader import AsyncMarketData
from service.config_file import ConfigError
from service.http import Server
from service.run import Service, run_service

log = logging.getLogger(__name__)

STORE_SECONDS = 5.0
"""How long to wait for a store's response."""

DRAIN_SECONDS = 1.0
"""After /readyz has begun to refuse, load balancers have this long to notice before the gateway stops listening."""

STOP_SECONDS = 6.0
"""How long a stop waits for open requests: those held at a close are still answered."""


async def run(config: Config) -> None:
    """Serve until SIGTERM or SIGINT. Raises ConfigError for what an operator must correct."""

    async def build(stack: AsyncExitStack) -> Service:
        app = await _App.build(config, stack)
        stack.callback(app.web.drain)  # also if an error ends it
        return Service(app.work, drain=app.drain, started=lambda: not app.not_ready(), not_ready=app.not_ready)

    await run_service(build)


class _App:
    """The gateway's parts, wired together."""

    def __init__(self, config: Config, session: aiohttp.ClientSession, client: BinanceClient) -> None:
        self.config = config
        self.client = client
        self.memory = Memory(client.budget.clock)
        stores = [store.opened() for store in config.store]
        self.market = AsyncMarketData(stores, clock_ms=self.memory.exchange_time_ms, timeout_seconds=STORE_SECONDS)
        self.upstream = Upstream(client)
        self.once = Once()
        self.stored = Stored(self.market)
        self.fetched = Fetched(self.memory, client, self.once)
        self.contracts = Contracts(self.memory, self.stored, FirstCandles(client, config.gateway.state_dir), self.once)
        self.store_feed = StoreFeed(self.memory, self.stored, streaming=self.streaming)
        self.look_again = LookAgain(self.memory, self.stored, self.fetched, streaming=self.streaming)
        self.streams = {one.name: CollectorStream(one.name, one.url, self.memory, session) for one in config.collector}
        self.info = ExchangeInfoRoute(self.memory, self.upstream, config.gateway.state_dir, streaming=self.streaming)
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(
            Exposition(
                Parts(
                    self.memory,
                    self.streams,
                    self.stored,
                    self.fetched,
                    self.upstream,
                    client,
                    self.not_ready,
                )
            )
        )
        self._weight = (0.0, 0)
        self.web = Web(
            self._handlers(),
            self.registry,
            not_ready=self.not_ready,
            used_weight=self._used_weight,
            allow=config.gateway.networks,
        )
        self.server = Server(self.web.application(), "gateway", config.gateway, stop_seconds=STOP_SECONDS)

    @classmethod
    async def build(cls, config: Config, stack: AsyncExitStack) -> "_App":
        """Wire the parts and start listening. Raises ConfigError."""
        read_tokens(config)
        try:
            config.gateway.state_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"gateway.state_dir = {config.gateway.state_dir}: {error.strerror}") from error
        # Collectors are ours: no proxy of the environment.
        session = await stack.enter_async_context(aiohttp.ClientSession(trust_env=False))
        exchange = config.exchange
        try:
            client = await stack.enter_async_context(
                BinanceClient(
                    exchange.rest_url,
                    Budget(exchange.weight_share_percent),
                    ca_file=exchange.ca_file,
                    proxy=exchange.proxy,
                    patience_seconds=0,
                )
            )
        except ExchangeError as error:
            raise ConfigError(str(error)) from error
        try:
            app = cls(config, session, client)
        except InvalidRequest as error:
            raise ConfigError(f"store.{error}") from error
        stack.push_async_callback(app.market.close)
        stack.push_async_callback(app.upstream.close)
        stack.push_async_callback(app.once.close)
        app.info.load()
        await stack.enter_async_context(app.server)
        log.info("serving listen=%s collectors=%d stores=%d", app.server.address, len(app.streams), len(config.store))
        return app

    def streaming(self) -> bool:
        """Whether any collector is streaming candles now."""
        return any(stream.live for stream in self.streams.values())

    def not_ready(self) -> list[str]:
        """Return why the gateway should not receive requests."""
        return not_ready(self.memory, streaming=self.streaming(), store_answers=self.stored.answered)

    async def work(self) -> None:
        """Run the parts until cancelled."""
        async with asyncio.TaskGroup() as group:
            for stream in self.streams.values():
                group.create_task(stream.run())
            group.create_task(self.store_feed.run())
            group.create_task(self.look_again.run())
            group.create_task(self.info.run())

    async def drain(self) -> None:
        """Turn balancers and clients away, then answer what is open and accept nothing new."""
        self.web.drain()
        await asyncio.sleep(DRAIN_SECONDS)
        await self.server.stop()

    def _used_weight(self) -> int:
        """This gateway's weight in the current minute, read at most once a second."""
        now = time.monotonic()
        if now - self._weight[0] > 1.0:
            self._weight = (now, self.client.budget.snapshot().used_in_minute)
        return self._weight[1]

    def _handlers(self) -> dict[str, Handler]:
        memory, upstream, market = self.memory, self.upstream, self.market
        klines = Klines(
            memory,
            History(memory, self.stored, self.fetched, self.once, self.contracts),
            self.contracts,
            CatchUp(memory, self.stored, self.fetched, self.client, self.once),
            upstream,
            streaming=self.streaming,
            refuse_intervals=frozenset(self.config.gateway.refuse_intervals),
            held=HeldRequests(self.registry),
        )
        return {
            limits.PING: ping,
            limits.TIME: Time(memory).answer,
            limits.EXCHANGE_INFO: self.info.answer,
            limits.KLINES: klines.answer,
            limits.MARK_PRICE_KLINES: MarkKlines(memory, upstream, market, self.contracts).answer,
            limits.PREMIUM_INDEX: Premium(memory, upstream).answer,
            limits.FUNDING_RATE: FundingRates(memory, upstream, market, self.contracts).answer,
            limits.FUNDING_INFO: FundingInfo(upstream).answer,
            limits.TICKER_24HR: Ticker(limits.TICKER_24HR, memory, upstream).answer,
            limits.TICKER_PRICE: Ticker(limits.TICKER_PRICE, memory, upstream).answer,
            limits.TICKER_BOOK: Ticker(limits.TICKER_BOOK, memory, upstream).answer,
            limits.DEPTH: Depth(memory, upstream).answer,
            "/pairlist": PairList(memory).answer,
        }
