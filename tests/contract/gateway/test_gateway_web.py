"""The gateway's HTTP server: what it refuses and how, gzip, headers, metrics, drain."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from gateway.api.answers import Answer, Query, Refused, not_now
from gateway.config import Network
from gateway.web import MOST_BOTS, Web

LONG = json.dumps(["x" * 50] * 100).encode()
KLINES = "/fapi/v1/klines"


async def klines(query: Query) -> Answer:
    match query.get("symbol"):
        case "BAD":
            raise Refused(400, -1121, "Invalid symbol.")
        case "LATE":
            raise not_now("candles are late", 3.6)
        case "BROKEN":
            raise RuntimeError("a mistake of ours")
        case "PACKED":
            return Answer(LONG, gzipped=lambda: gzip.compress(b"packed before"))
        case _:
            return Answer(LONG, age_ms=12, state="live")


@asynccontextmanager
async def serving(
    *, allow: tuple[Network, ...] = (), not_ready: Callable[[], list[str]] = list
) -> AsyncIterator[tuple[Web, TestClient[web.Request, web.Application]]]:
    own = Web({KLINES: klines}, CollectorRegistry(), not_ready=not_ready, used_weight=lambda: 7, allow=allow)
    async with TestClient(TestServer(own.application()), auto_decompress=False) as client:
        yield own, client


async def told(response: aiohttp.ClientResponse) -> tuple[int, int, str]:
    body = json.loads(await response.read())
    return response.status, body["code"], body["msg"]


async def test_a_response_has_its_age_its_state_and_the_weight_spent() -> None:
    async with serving() as (_, client):
        answer = await client.get(KLINES, headers={"Accept-Encoding": "identity"})
        assert (answer.status, await answer.read()) == (200, LONG)
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["X-Data-Age-Ms"] == "12"
        assert answer.headers["X-Data-State"] == "live"
        assert answer.headers["X-MBX-USED-WEIGHT-1M"] == "7"


async def test_a_response_is_compressed_on_request() -> None:
    async with serving() as (_, client):
        answer = await client.get(KLINES, headers={"Accept-Encoding": "gzip, deflate"})
        assert answer.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(await answer.read()) == LONG
        kept = await client.get(f"{KLINES}?symbol=PACKED", headers={"Accept-Encoding": "gzip"})
        assert gzip.decompress(await kept.read()) == b"packed before"


async def test_refusals_are_the_exchanges_own() -> None:
    async with serving() as (_, client):
        assert await told(await client.get(f"{KLINES}?symbol=BAD")) == (400, -1121, "Invalid symbol.")


async def test_trouble_of_ours_is_429_with_a_retry_time() -> None:
    async with serving() as (_, client):
        late = await client.get(f"{KLINES}?symbol=LATE")
        assert (late.status, late.headers["Retry-After"]) == (429, "4")
        broken = await client.get(f"{KLINES}?symbol=BROKEN")
        assert broken.status == 429, "the only status that bots back off on"
        assert "Retry-After" in broken.headers


async def test_signed_requests_are_refused_with_the_url_to_leave_alone() -> None:
    async with serving() as (_, client):
        for path in (f"{KLINES}?signature=ab&timestamp=1", "/fapi/v1/order?signature=ab"):
            status, code, message = await told(await client.get(path))
            assert (status, code) == (401, -2015)
            assert "urls.api.fapiPrivate" in message
        status, _, message = await told(await client.post("/fapi/v1/order"))
        assert status == 404
        assert "urls.api.fapiPrivate" in message


async def test_other_apis_are_refused_with_the_url_to_leave_alone() -> None:
    urls = {"/api/v3/exchangeInfo": "urls.api.public", "/dapi/v1/time": "urls.api.dapiPublic"}
    async with serving() as (_, client):
        for path, url in urls.items():
            status, _, message = await told(await client.get(path))
            assert status == 404
            assert url in message


async def test_only_allowed_networks_are_served() -> None:
    async with serving(allow=(ip_network("10.0.0.0/8"),)) as (_, client):
        status, code, message = await told(await client.get(KLINES))
        assert (status, code) == (401, -2015)
        assert "gateway.allow" in message
        assert (await client.get("/healthz")).status == 200
    async with serving(allow=(ip_network("127.0.0.0/8"),)) as (_, client):
        assert (await client.get(KLINES)).status == 200


async def test_requests_and_the_weight_they_would_have_cost_are_counted_by_route() -> None:
    async with serving() as (_, client):
        for query in ("limit=499", "limit=99", "symbol=BAD"):
            await client.get(f"{KLINES}?{query}")
        await client.get("/nonsense")
        text = await (await client.get("/metrics")).text()
        assert f'marketdata_gateway_requests_total{{route="{KLINES}",status="200"}} 2.0' in text
        assert f'marketdata_gateway_requests_total{{route="{KLINES}",status="400"}} 1.0' in text
        assert 'marketdata_gateway_requests_total{route="other",status="404"} 1.0' in text
        assert f'marketdata_gateway_asked_weight_total{{route="{KLINES}"}} 3.0' in text


async def test_a_request_under_a_bots_path_is_answered_as_usual_and_counted_by_name() -> None:
    async with serving() as (_, client):
        plain = await (await client.get(f"{KLINES}?limit=99")).read()
        assert await (await client.get(f"/bots/feeder75-a{KLINES}?limit=99")).read() == plain
        assert (await client.get(f"/bots/feeder75-b{KLINES}?symbol=BAD")).status == 400
        text = await (await client.get("/metrics")).text()
        assert 'marketdata_gateway_bot_requests_total{bot="feeder75-a"} 1.0' in text
        assert 'marketdata_gateway_bot_requests_total{bot="feeder75-b"} 1.0' in text
        assert f'marketdata_gateway_requests_total{{route="{KLINES}",status="200"}} 2.0' in text
        assert f'marketdata_gateway_asked_weight_total{{route="{KLINES}"}} 2.0' in text


async def test_requests_that_are_refused_or_have_no_bots_name_are_not_counted_for_bots() -> None:
    async with serving() as (_, client):
        assert (await told(await client.get("/bots/a/fapi/v1/order")))[0] == 404
        assert (await told(await client.get(f"/bots/a{KLINES}?signature=x")))[0] == 401
        assert (await told(await client.post(f"/bots/a{KLINES}")))[0] == 405
        for path in (
            f"/bots{KLINES}",
            f"/bots/{KLINES}",
            f"/bots/a%20b{KLINES}",
            f"/bots/{'a' * 129}{KLINES}",
            "/bots/a",
        ):
            assert (await told(await client.get(path)))[0] == 404
        assert "bot_requests_total{" not in await (await client.get("/metrics")).text()


async def test_the_number_of_bot_names_is_bounded() -> None:
    async with serving() as (_, client):
        for number in range(MOST_BOTS + 2):
            await client.get(f"/bots/b{number}{KLINES}")
        await client.get(f"/bots/b0{KLINES}")
        text = await (await client.get("/metrics")).text()
        assert text.count("marketdata_gateway_bot_requests_total{") == MOST_BOTS + 1
        assert 'marketdata_gateway_bot_requests_total{bot="other"} 2.0' in text
        assert 'marketdata_gateway_bot_requests_total{bot="b0"} 2.0' in text


async def test_a_bot_is_counted_when_it_asks_not_when_it_is_answered() -> None:
    """Requests that an ended bot left behind are answered later, and must not count for its successor."""
    asked, answer = asyncio.Event(), asyncio.Event()

    async def held(_: Query) -> Answer:
        asked.set()
        await answer.wait()
        return Answer(LONG)

    own = Web({KLINES: held}, CollectorRegistry(), not_ready=list, used_weight=lambda: 7)
    async with TestClient(TestServer(own.application())) as client:
        request = asyncio.create_task(client.get(f"/bots/a{KLINES}"))
        await asked.wait()
        before = await (await client.get("/metrics")).text()
        answer.set()
        assert (await request).status == 200
        after = await (await client.get("/metrics")).text()
        for text in (before, after):
            assert 'marketdata_gateway_bot_requests_total{bot="a"} 1.0' in text


async def test_readyz_shows_why_it_is_not_ready_and_a_stop_turns_clients_away() -> None:
    reasons = ["memory is stale"]
    async with serving(not_ready=lambda: reasons) as (own, client):
        answer = await client.get("/readyz")
        assert (answer.status, await answer.text()) == (503, "memory is stale\n")
        reasons.clear()
        assert (await client.get("/readyz")).status == 200
        own.drain()
        assert await (await client.get("/readyz")).text() == "stopping\n"
        assert (await client.get(KLINES)).headers["Connection"] == "close"
