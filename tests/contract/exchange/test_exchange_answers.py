"""The client against a local server that responds like the exchange on its bad days, and as recorded."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from exchange.binance.requests import BinanceClient
from exchange.budget import Budget, Priority
from exchange.errors import BadRequest, ExchangeError, Refused, Unavailable, Unreachable
from exchange.rows import Kline, flaw
from tests.support import REQUEST_SECONDS, eventually_async, free_port, http_server

RECORDED = Path(__file__).parents[2] / "data/binance_usdm_2026-10/rest"
WAF = "<!DOCTYPE html><html><head><title>403 Forbidden</title></head><body>CloudFront</body></html>"

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Venue:
    """A server with a queue of responses: the name of a recorded one, an HTTP response, or a handler."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[web.Request] = []
        self.answers: list[str | web.Response | Handler] = []

    def say(self, *answers: str | web.Response | Handler) -> None:
        self.answers += answers

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, str):
            return web.Response(body=(RECORDED / answer).read_bytes(), content_type="application/json")
        if isinstance(answer, web.Response):
            return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
        return await answer(request)


@pytest.fixture
async def venue() -> AsyncIterator[Venue]:
    venue = Venue()
    async with http_server(venue.handle) as venue.url:
        yield venue


@pytest.fixture
async def client(venue: Venue) -> AsyncIterator[BinanceClient]:
    budget = Budget(requests_per_second=1000)
    async with BinanceClient(venue.url, budget, timeout_seconds=REQUEST_SECONDS, backoff_seconds=0.01) as client:
        yield client


def answer(status: int, body: Any, **headers: str) -> web.Response:
    text = body if isinstance(body, str) else json.dumps(body)
    return web.Response(
        status=status, text=text, headers={name.replace("_", "-"): text for name, text in headers.items()}
    )


async def test_a_recorded_kline_keeps_the_exchanges_own_decimals(client: BinanceClient, venue: Venue) -> None:
    venue.say("klines.json")
    candles = await client.klines("BTCUSDT", "1m", limit=2)
    assert candles[0] == Kline(
        open_time_ms=1791383580000,
        open="83074.10",
        high="83128.30",
        low="83040.10",
        close="83070.80",
        volume="116.857",
        close_time_ms=1791383639999,
        quote_volume="9709518.16030",
        trades=3885,
        taker_buy_volume="83.949",
        taker_buy_quote_volume="6975456.42970",
    )
    assert venue.asked[0].query_string == "symbol=BTCUSDT&interval=1m&limit=2"


async def test_the_recorded_responses_of_the_other_routes_are_read(client: BinanceClient, venue: Venue) -> None:
    venue.say("time.json", "funding_rate.json", "funding_rate_2019.json", "premium_index.json", "klines.json")
    venue.say("exchange_info.json")
    assert await client.server_time_ms() == 1791383675683
    funding = await client.funding_rates("BTCUSDT")
    assert (funding[1].funding_time_ms, funding[1].rate, funding[1].mark_price) == (
        1791331200002,
        "-0.00000743",
        "85516.50151449",
    )
    assert [rate.mark_price for rate in await client.funding_rates("BTCUSDT")] == [None, None]
    premium = await client.premium_index()
    assert [row.symbol for row in premium] == ["BTCUSDT", "XAUUSDT", "币安人生USDT"]
    assert [row.estimated_settle_price for row in premium] == ["83143.75188043", "4100.15069930", "0.47533920"]
    assert [row.interest_rate for row in premium] == ["0.00010000", "0.00000000", "0.00010000"]
    assert (await client.mark_price_klines("BTCUSDT", "1h", limit=2))[1].close == "83139.90"
    assert len((await client.listing()).answer["symbols"]) == 5


async def test_the_recorded_funding_intervals_are_read_and_a_row_without_one_is_not(
    client: BinanceClient, venue: Venue
) -> None:
    venue.say("funding_info.json", answer(200, [{"symbol": "BTCUSDT", "fundingIntervalHours": 0}]))
    assert [tuple(row) for row in await client.funding_info()] == [
        ("币安人生USDT", 4),
        ("XAUUSDT", 4),
        ("BTCUSDT", 8),
    ]
    assert client.snapshot().budget.funding_requests == 1
    with pytest.raises(Unavailable, match="fundingIntervalHours"):
        await client.funding_info()


@pytest.mark.parametrize("name", ["depth.json", "ticker_24hr.json", "exchange_info.json"])
async def test_a_response_to_pass_on_is_unchanged_byte_for_byte(client: BinanceClient, venue: Venue, name: str) -> None:
    venue.say(name)
    assert await client.raw("/fapi/v1/depth", {"symbol": "BTCUSDT", "limit": 5}) == (RECORDED / name).read_bytes()
    assert venue.asked[0].query_string == "symbol=BTCUSDT&limit=5"
    assert client.snapshot().weight_total == {"/fapi/v1/depth": 2}


async def test_a_refusal_to_pass_on_keeps_the_exchanges_own_text(client: BinanceClient, venue: Venue) -> None:
    venue.say(answer(400, {"code": -1121, "msg": "Invalid symbol."}))
    with pytest.raises(BadRequest) as caught:
        await client.raw("/fapi/v1/depth", {"symbol": "NOSUCHUSDT"})
    assert (caught.value.code, caught.value.reason) == (-1121, "Invalid symbol.")


async def test_anything_but_json_is_not_passed_on(client: BinanceClient, venue: Venue) -> None:
    venue.say(answer(200, "<html>log in to the hotel's network</html>"))
    with pytest.raises(Unavailable):
        await client.raw("/fapi/v1/depth", {"symbol": "BTCUSDT"})


async def test_a_chinese_symbol_is_sent_percent_encoded(client: BinanceClient, venue: Venue) -> None:
    venue.say("klines.json")
    await client.klines("币安人生USDT", "3m", limit=1)
    assert "symbol=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT" in venue.asked[0].raw_path.upper().replace(
        "SYMBOL", "symbol"
    )


async def test_a_compressed_response_is_requested_and_read(client: BinanceClient, venue: Venue) -> None:
    packed = gzip.compress((RECORDED / "exchange_info.json").read_bytes())
    venue.say(web.Response(body=packed, headers={"Content-Encoding": "gzip"}))
    assert (await client.listing()).answer["futuresType"] == "U_MARGINED"
    assert venue.asked[0].headers["Accept-Encoding"] == "gzip"


async def test_the_exchanges_rejection_of_a_symbol_is_a_bad_request_and_not_repeated(
    client: BinanceClient, venue: Venue
) -> None:
    venue.say(answer(400, {"code": -1121, "msg": "Invalid symbol."}))
    with pytest.raises(BadRequest, match="Invalid symbol") as caught:
        await client.klines("NOSUCHUSDT", "3m", limit=1)
    assert caught.value.code == -1121
    assert len(venue.asked) == 1


@pytest.mark.parametrize(
    ("status", "body", "headers", "seconds"),
    [
        (403, WAF, {}, 60),
        (429, {"code": -1003, "msg": "Too many requests"}, {"Retry_After": "33"}, 33),
        (418, {"code": -1003, "msg": "Way too many requests; IP banned until 9999999999999."}, {}, 3 * 86_400),
        (451, {"code": 0, "msg": "Service unavailable from a restricted location"}, {}, 300),
    ],
)
async def test_after_a_refusal_nothing_more_is_sent_and_the_error_says_what_to_do(
    venue: Venue, status: int, body: Any, headers: dict[str, str], seconds: float
) -> None:
    venue.say(answer(status, body, **headers))
    async with BinanceClient(venue.url, Budget(), patience_seconds=0) as client:
        for _ in range(3):
            with pytest.raises(Refused) as caught:
                await client.ping()
            assert caught.value.status == status
            assert caught.value.retry_after_seconds == pytest.approx(seconds, abs=3)
            assert caught.value.action in str(caught.value)
        assert len(venue.asked) == 1
        assert client.snapshot().budget.refused == {status: 1}
        assert client.snapshot().budget.circuit_open


async def test_requests_wait_out_a_short_refusal_and_one_goes_first(client: BinanceClient, venue: Venue) -> None:
    venue.say(answer(429, "{}", Retry_After="1"))
    with pytest.raises(Refused):
        await client.ping()
    probe = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        await probe.wait()
        return web.json_response({})

    venue.answers[:] = [slow]
    waiting = [asyncio.create_task(client.ping()) for _ in range(5)]
    await eventually_async(lambda: len(venue.asked) == 2, what="the probe")
    assert client.snapshot().budget.waiting[Priority.UNIVERSE] == 4
    probe.set()
    await asyncio.gather(*waiting)
    assert len(venue.asked) == 6
    assert not client.snapshot().budget.circuit_open


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
async def test_a_request_is_repeated_after_temporary_trouble_at_the_exchange(
    client: BinanceClient, venue: Venue, status: int
) -> None:
    venue.say(answer(status, "Service Unavailable."), answer(status, "Service Unavailable."), "klines.json")
    assert len(await client.klines("BTCUSDT", "1m", limit=2)) == 2
    assert client.snapshot().retries_total == 2
    assert client.snapshot().failed_total == {"Unavailable": 2}


@pytest.mark.parametrize(
    "bad",
    [
        answer(503, "Unknown error, please check your request or try again later."),
        answer(200, "<html>log in to the hotel's network</html>"),
        answer(200, "[" * 200_000),
        answer(302, "", Location="https://www.example.com/"),
        web.Response(body=b"not gzip", headers={"Content-Encoding": "gzip"}),
    ],
    ids=["503", "html", "nested", "redirect", "damaged gzip"],
)
async def test_lasting_trouble_is_unavailable_after_four_attempts(
    client: BinanceClient, venue: Venue, bad: web.Response
) -> None:
    venue.say(bad)
    with pytest.raises(Unavailable):
        await client.klines("BTCUSDT", "3m", limit=1)
    assert len(venue.asked) == 4


@pytest.mark.parametrize("rows", [{}, [[1]], [["1", "2"]], [None], [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]]])
async def test_json_that_is_not_what_the_exchange_documents_is_unavailable(
    client: BinanceClient, venue: Venue, rows: Any
) -> None:
    venue.say(answer(200, rows))
    with pytest.raises(Unavailable, match="/fapi/v1/klines"):
        await client.klines("BTCUSDT", "3m", limit=1)


async def test_an_impossible_row_spoils_no_other_row_of_its_response(client: BinanceClient, venue: Venue) -> None:
    good = json.loads((RECORDED / "klines.json").read_text(encoding="utf-8"))
    bad = [[1791383580000, None, "2", "1", 1.5, "9", 1791383759999, "9", "7", "1", "1", "0"]]
    venue.say(answer(200, bad + good[1:]))
    rows = await client.klines("BTCUSDT", "3m", limit=2)
    assert [row.open_time_ms for row in rows] == [1791383580000, good[1][0]]
    assert [bool(flaw(row)) for row in rows] == [True, False]


async def test_a_server_that_hangs_is_unavailable(venue: Venue) -> None:
    gone = asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        await gone.wait()
        return web.json_response({})

    venue.say(hang)
    budget = Budget(requests_per_second=1000)
    async with BinanceClient(venue.url, budget, timeout_seconds=0.2, backoff_seconds=0.01) as client:
        with pytest.raises(Unavailable, match="timed out"):
            await client.ping()
        assert client.snapshot().requests_total == {"/fapi/v1/ping": 4}
    gone.set()


async def test_a_connection_cut_in_the_response_is_unavailable_and_its_weight_header_counts(
    client: BinanceClient, venue: Venue
) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"X-MBX-USED-WEIGHT-1M": "1700", "Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"[[1")
        assert request.transport is not None
        request.transport.close()
        return response

    venue.say(cut)
    with pytest.raises(Unavailable, match="broke off"):
        await client.klines("BTCUSDT", "3m", limit=1)
    assert client.snapshot().budget.ip_used_in_minute == 1700


async def test_a_closed_port_is_unreachable(client: BinanceClient) -> None:
    async with BinanceClient(
        f"http://127.0.0.1:{free_port()}", Budget(requests_per_second=1000), backoff_seconds=0.01
    ) as client:
        with pytest.raises(Unreachable, match=r"exchange\.rest_url"):
            await client.ping()
        assert client.snapshot().requests_total == {"/fapi/v1/ping": 4}


async def test_a_name_that_does_not_resolve_is_unreachable() -> None:
    async with BinanceClient("https://exchange.invalid", Budget(requests_per_second=1000), backoff_seconds=0) as client:
        with pytest.raises(Unreachable, match=r"exchange\.invalid"):
            await client.ping()


@pytest.mark.parametrize("url", ["fapi.binance.com", "", "wss://fstream.binance.com"])
def test_an_invalid_rest_url_is_rejected_at_once(url: str) -> None:
    with pytest.raises(ExchangeError, match="rest_url"):
        BinanceClient(url, Budget())


@pytest.mark.parametrize("content", [None, "", "not a certificate"])
def test_an_unusable_ca_file_is_rejected_at_once(tmp_path: Path, content: str | None) -> None:
    ca_file = tmp_path / "ca.pem"
    if content is not None:
        ca_file.write_text(content, encoding="utf-8")
    with pytest.raises(ExchangeError, match="ca_file"):
        BinanceClient("https://127.0.0.1", Budget(), ca_file=ca_file)


async def test_a_cancelled_request_gives_up_its_place(client: BinanceClient, venue: Venue) -> None:
    first = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        await first.wait()
        return web.json_response({})

    venue.say(slow)
    under_way = asyncio.create_task(client.ping())
    await eventually_async(lambda: len(venue.asked) == 1, what="the first request")
    waiting = asyncio.create_task(client.ping())
    await eventually_async(lambda: client.snapshot().budget.waiting[Priority.UNIVERSE] == 1, what="the second in line")
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert client.snapshot().budget.waiting[Priority.UNIVERSE] == 0
    under_way.cancel()
    await asyncio.gather(under_way, return_exceptions=True)
    first.set()
    await client.ping()


async def test_requests_waiting_when_the_client_closes_fail_with_an_exchange_error(venue: Venue) -> None:
    gone = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        await gone.wait()
        return web.json_response({})

    venue.say(slow)
    async with BinanceClient(venue.url, Budget(), backoff_seconds=0) as client:
        requests = [asyncio.create_task(client.ping()) for _ in range(3)]
        await eventually_async(lambda: len(venue.asked) == 1, what="the first request")
    ends = await asyncio.wait_for(asyncio.gather(*requests, return_exceptions=True), REQUEST_SECONDS)
    assert all(isinstance(end, ExchangeError) for end in ends)
    with pytest.raises(ExchangeError, match="closed"):
        await client.ping()
    gone.set()


async def test_a_range_is_paged_for_the_least_weight_and_comes_back_complete(
    client: BinanceClient, venue: Venue
) -> None:
    start_ms, step_ms = 1_791_374_400_000, 180_000
    listed_ms = start_ms + 20 * step_ms

    async def klines(request: web.Request) -> web.StreamResponse:
        first, last, limit = (int(request.query[name]) for name in ("startTime", "endTime", "limit"))
        opens = [at for at in range(max(first, listed_ms), last + 1, step_ms) if at != start_ms + 30 * step_ms]
        rows = [[at, "1", "1", "1", "1", "0", at + step_ms - 1, "0", 0, "0", "0", "0"] for at in opens[:limit]]
        return web.json_response(rows)

    venue.say(klines)
    end_ms = start_ms + 979 * step_ms  # 49 hours
    candles = await client.klines_range("BTCUSDT", "3m", start_ms, end_ms, priority=Priority.CONFIRM)
    assert [candle.open_time_ms for candle in candles] == [
        start_ms + place * step_ms for place in range(20, 980) if place != 30
    ]
    assert [request.query["limit"] for request in venue.asked] == ["499", "460"]
    assert client.snapshot().budget.weight_total[Priority.CONFIRM] == 4


async def test_an_empty_range_sends_no_request(client: BinanceClient, venue: Venue) -> None:
    assert await client.klines_range("BTCUSDT", "3m", 2_000, 1_000) == []
    assert venue.asked == []


async def test_rows_that_go_backwards_end_the_range_instead_of_looping(client: BinanceClient, venue: Venue) -> None:
    row = [1_000, "1", "1", "1", "1", "0", 2_000, "0", 0, "0", "0", "0"]
    venue.say(answer(200, [row]))
    with pytest.raises(Unavailable, match="order"):
        await client.klines_range("BTCUSDT", "3m", 1_791_374_400_000, 1_791_374_400_000)


async def test_an_invalid_interval_is_a_bad_request(client: BinanceClient) -> None:
    with pytest.raises(BadRequest, match="7m"):
        await client.klines_range("BTCUSDT", "7m", 0, 1)
