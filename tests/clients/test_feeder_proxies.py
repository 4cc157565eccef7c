"""Where requests of ccxt go behind a proxy: why the role feeder refuses some settings, and that its advice works."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tools.clients import environment

ASK = """
import asyncio, json, sys
import ccxt, ccxt.async_support

async def at_once(client):
    for ask in (client.fapiPublicGetPing, client.fapiPrivateGetOpenOrders):
        try:
            await ask()
        except ccxt.BaseError:
            pass  # where it went is what counts
    await client.close()

def one_by_one(client):
    for ask in (client.fapiPublicGetPing, client.fapiPrivateGetOpenOrders):
        try:
            ask()
        except ccxt.BaseError:
            pass

config = json.loads(sys.argv[2]) | {"apiKey": "k", "secret": "s", "enableRateLimit": False}
if sys.argv[1] == "async":
    asyncio.run(at_once(ccxt.async_support.binance(config)))
else:
    one_by_one(ccxt.binance(config))
"""
ORDERS = "CONNECT fapi.binance.com:443"


class Seen(ThreadingHTTPServer):
    """A server that notes what it is asked; a proxy that lets nobody through."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Seen

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def do_CONNECT(self) -> None:
        self.server.asked.append(f"CONNECT {self.path}")
        self.send_error(502)

    def log_message(self, *_: Any) -> None:
        pass


def served() -> Iterator[Seen]:
    with Seen() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


gateway = pytest.fixture(served, name="gateway")
proxy = pytest.fixture(served, name="proxy")


def ask(kind: str, gateway: Seen, settings: dict[str, Any], variables: dict[str, str]) -> None:
    """A public and a signed question of a client that has the gateway's address."""
    config = {"urls": {"api": {"fapiPublic": f"{gateway.url}/fapi/v1"}}, **settings}
    own = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    command = [str(environment.python()), "-c", ASK, kind, json.dumps(config)]
    done = subprocess.run(command, env=own | variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("kind", "setting"),
    [("async", "httpsProxy"), ("async", "httpProxy"), ("async", "aiohttp_proxy"), ("sync", "httpProxy")],
)
def test_ccxt_asks_a_proxy_for_the_gateway_too(kind: str, setting: str, gateway: Seen, proxy: Seen) -> None:
    ask(kind, gateway, {setting: proxy.url}, {})
    assert gateway.asked == []
    assert proxy.asked[0] == f"{gateway.url}/fapi/v1/ping"


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_without_an_exception_a_trusted_environment_leads_the_gateways_requests_away_too(
    kind: str, gateway: Seen, proxy: Seen
) -> None:
    trust = {"requests_trust_env": True, "aiohttp_trust_env": True}
    ask(kind, gateway, trust, {"HTTP_PROXY": proxy.url, "HTTPS_PROXY": proxy.url})
    assert (gateway.asked, proxy.asked) == ([], [f"{gateway.url}/fapi/v1/ping", ORDERS])


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_what_the_documents_advise_brings_orders_to_the_proxy_and_the_rest_to_the_gateway(
    kind: str, gateway: Seen, proxy: Seen
) -> None:
    trust = {"requests_trust_env": True, "aiohttp_trust_env": True}
    ask(kind, gateway, trust, {"HTTP_PROXY": proxy.url, "HTTPS_PROXY": proxy.url, "NO_PROXY": "127.0.0.1"})
    assert (gateway.asked, proxy.asked) == (["/fapi/v1/ping"], [ORDERS])
