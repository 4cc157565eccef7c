"""The way to the exchange: the environment's proxies are ignored, the configured one serves REST and WebSocket."""

import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from aiohttp import web
from websockets.asyncio.server import ServerConnection

from collector.commands.check import _streams
from collector.config import ExchangeSection
from exchange.binance import feed
from exchange.binance.requests import BinanceClient
from exchange.budget import Budget
from exchange.errors import Unreachable, Untrusted
from exchange.events import CANDLES, MARK_PRICE
from tests.contract.collector import test_feeds
from tests.contract.collector.test_feeds import Venue, kline, mark
from tests.support import eventually_async, free_port
from tests.support.proxies import PASSWORD, proxy

authority = test_feeds.authority
streaming = test_feeds.streaming

VARIABLES = [
    f"{name}{case}" for name in ("http", "https", "all", "ws", "wss", "socks") for case in ("_proxy", "_PROXY")
]
CHANNELS = (CANDLES, MARK_PRICE)


async def send(connection: ServerConnection, kind: str) -> None:
    await connection.send(kline("BTC") if kind == "candles" else mark("BTC"))
    await connection.wait_closed()


def delivers(venue: Venue) -> bool:
    return all(venue.frames(channel).used == 1 for channel in CHANNELS)


@pytest.fixture
def rest(authority: trustme.CA, tmp_path: Path) -> Callable[[], Any]:
    """A REST API over TLS that returns the time; yields its URL and the file of its authority."""

    @asynccontextmanager
    async def run() -> AsyncIterator[tuple[str, Path]]:
        async def handle(_: web.Request) -> web.Response:
            return web.json_response({"serverTime": 1_790_000_000_000})

        app = web.Application()
        app.router.add_get("/fapi/v1/time", handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        ca_file = tmp_path / "rest-ca.pem"
        authority.cert_pem.write_to_path(str(ca_file))
        port = free_port()
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
        try:
            yield f"https://localhost:{port}", ca_file
        finally:
            await runner.cleanup()

    return run


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "socks5://127.0.0.1:9"])
async def test_proxies_of_the_environment_are_ignored_by_rest_and_websocket_alike(
    streaming: Any, rest: Any, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, address)
    monkeypatch.setenv("no_proxy", "")
    async with rest() as (url, ca_file), BinanceClient(url, Budget(), ca_file=ca_file) as client:
        assert await client.server_time_ms()
    async with streaming(send) as venue:
        await eventually_async(lambda: delivers(venue), 20)


@pytest.mark.parametrize("protected", [False, True])
@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_the_configured_proxy_serves_rest_and_websocket_and_resolves_the_exchanges_name(
    streaming: Any, rest: Any, scheme: str, protected: bool
) -> None:
    async with proxy(scheme, protected=protected) as way, rest() as (url, ca_file):
        async with BinanceClient(url, Budget(), ca_file=ca_file, proxy=way.url) as client:
            assert await client.server_time_ms()
        assert way.targets == [url.removeprefix("https://")]
        way.targets.clear()
        async with streaming(send, proxy=way.url) as venue:
            await eventually_async(lambda: delivers(venue), 20)
        assert len(way.targets) == len(CHANNELS)
        assert all(target.startswith("localhost:") for target in way.targets)


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_a_proxy_that_cannot_connect_is_named_without_its_password(
    streaming: Any, rest: Any, scheme: str
) -> None:
    dead = f"{scheme}://user:{PASSWORD}@127.0.0.1:{free_port()}"
    async with proxy(scheme, protected=True) as way, rest() as (url, ca_file):
        refusing = way.url.replace(PASSWORD, "wrong")
        for address in (dead, refusing):
            async with BinanceClient(url, Budget(), ca_file=ca_file, proxy=address, backoff_seconds=0) as client:
                with pytest.raises(Unreachable, match=r"exchange\.proxy") as error:
                    await client.server_time_ms()
            assert address.rpartition("@")[2] in str(error.value)
            assert PASSWORD not in str(error.value)
            section = ExchangeSection(rest_url=url, websocket_url="wss://localhost:1", ca_file=ca_file, proxy=address)
            line = await _streams(section)
            assert f"exchange.proxy = {scheme}://{address.rpartition('@')[2]}" in line
            assert PASSWORD not in line
            async with streaming(send, proxy=address) as venue:
                await eventually_async(lambda: _ended(venue)["unreachable"] >= len(CHANNELS), 20)


async def test_behind_a_proxy_a_certificate_is_still_verified(rest: Any) -> None:
    async with proxy("http") as way, rest() as (url, _), BinanceClient(url, Budget(), proxy=way.url) as client:
        with pytest.raises(Untrusted):
            await client.server_time_ms()


async def test_a_check_opens_a_stream_through_the_proxy(streaming: Any, tmp_path: Path) -> None:
    async with proxy("socks5") as way, streaming(send) as venue:
        section = ExchangeSection.model_validate(
            {"websocket_url": venue.feeds._url, "ca_file": tmp_path / "ca.pem", "proxy": way.url}
        )
        assert await _streams(section) == ""
        assert len(way.targets) == 1


async def test_no_exception_of_opening_a_connection_is_muted_or_uncounted(
    streaming: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise ImportError("connecting through a SOCKS proxy requires python-socks")

    monkeypatch.setattr(feed, "connect", broken)
    async with streaming(send) as venue:
        await eventually_async(lambda: _ended(venue)["bug"] >= 2 * len(CHANNELS), 20)
    assert ImportError in _raised(caplog)


async def test_no_exception_of_reading_a_connection_is_muted_or_uncounted(
    streaming: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_: Any) -> None:
        raise UnicodeError("a frame nobody expected")

    monkeypatch.setattr("websockets.asyncio.connection.Connection.recv", broken)
    async with streaming(send) as venue:
        await eventually_async(lambda: _ended(venue)["bug"] >= len(CHANNELS), 20)
    assert UnicodeError in _raised(caplog)


async def test_what_cryptofeed_catches_is_logged(streaming: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with streaming(send):
        assert logging.getLogger("cryptofeed.connection_handler").isEnabledFor(logging.ERROR)


async def test_aiohttp_uses_no_proxy_of_the_environment_by_default() -> None:
    async with aiohttp.ClientSession() as session:
        assert not session.trust_env


def _ended(venue: Venue) -> Any:
    return sum((totals.ended for totals in venue.feeds.totals.values()), type(venue.feeds.totals[CANDLES].ended)())


def _raised(caplog: pytest.LogCaptureFixture) -> set[object]:
    return {record.exc_info[0] for record in caplog.records if record.exc_info}
