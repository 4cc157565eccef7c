"""The simulated REST API: spans, errors, weights, limits and faults as a client meets them."""

import gzip
import json
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest

from tests.contract.simulator_process import Client, Served, connect, serve
from tests.support import eventually_async

START_MS = 1_791_383_580_000
THREE_MINUTES_MS = 180_000
NEWCOMER = "GRASSUSDT"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("simulator"), "--start-ms", str(START_MS)) as running:
        yield running


@pytest.fixture
async def client(served: Served, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    """An address of its own for every test, for limits count by address."""
    number = zlib.crc32(request.node.nodeid.encode())
    async with connect(served, f"127.1.{number >> 8 & 127}.{number % 254 + 1}") as talking:
        yield talking
        await talking.heal()


async def klines(client: Client, **query: Any) -> list[list[Any]]:
    rows: list[list[Any]] = await client.get("/fapi/v1/klines", **{"symbol": "BTCUSDT", "interval": "3m"} | query)
    return rows


async def test_klines_answer_500_rows_and_the_last_one_is_forming(client: Client) -> None:
    rows = await klines(client)
    now = (await client.get("/fapi/v1/time"))["serverTime"]
    assert len(rows) == 500
    assert [row[0] for row in rows] == list(range(rows[0][0], rows[-1][0] + 1, THREE_MINUTES_MS))
    assert rows[-1][6] > START_MS
    assert now - rows[-1][0] < 2 * THREE_MINUTES_MS


async def test_a_span_is_by_open_time_and_inclusive(client: Client) -> None:
    first = START_MS // THREE_MINUTES_MS * THREE_MINUTES_MS - 100 * THREE_MINUTES_MS
    last = first + 4 * THREE_MINUTES_MS
    assert [row[0] for row in await klines(client, startTime=first, endTime=last)][::4] == [first, last]
    assert len(await klines(client, startTime=first + 1, endTime=last)) == 4
    assert len(await klines(client, startTime=first, endTime=last - 1)) == 4


async def test_an_exchange_hole_is_in_no_row_and_fills_no_limit(client: Client) -> None:
    first = START_MS // THREE_MINUTES_MS * THREE_MINUTES_MS - 100 * THREE_MINUTES_MS
    hole = {"start_ms": first + THREE_MINUTES_MS, "end_ms": first + 3 * THREE_MINUTES_MS}
    await client.fault("exchange_hole", symbols=["BTCUSDT"], **hole)
    has = [first, *(first + n * THREE_MINUTES_MS for n in (3, 4))]
    assert [row[0] for row in await klines(client, startTime=first, limit=3)] == has
    assert [row[0] for row in await klines(client, endTime=has[-1], limit=3)] == has
    truth = await client.get("/_control/truth", symbol="BTCUSDT", interval="3m", start=first, end=has[-1])
    assert [row[0] for row in truth] == has
    assert len(await klines(client, symbol="ETHUSDT", startTime=first, endTime=has[-1])) == 5
    assert len(await klines(client, interval="15m", startTime=first, limit=3)) == 3


async def test_rest_tells_nothing_new_of_a_frozen_symbol_and_no_candle_that_was_not_closed(client: Client) -> None:
    ordered = (await client.get("/fapi/v1/time"))["serverTime"]
    await client.fault("rest_frozen", symbol="BTCUSDT")
    frozen = await klines(client, limit=2)
    index = await client.get("/fapi/v1/premiumIndex", symbol="BTCUSDT")
    assert ordered - THREE_MINUTES_MS <= frozen[-1][6] < ordered

    async def others_go_on() -> bool:
        other = await client.get("/fapi/v1/premiumIndex", symbol="ETHUSDT")
        return bool(other["time"] > index["time"] + 1000)

    went_on: bool = await eventually_async(others_go_on)
    assert went_on
    assert await klines(client, limit=2) == frozen
    assert await client.get("/fapi/v1/premiumIndex", symbol="BTCUSDT") == index
    everyone = {row["symbol"]: row for row in await client.get("/fapi/v1/premiumIndex")}
    assert everyone["BTCUSDT"] == index
    truth = await client.get("/_control/truth", symbol="BTCUSDT", interval="3m", start=frozen[-1][0])
    assert len(truth) > 1
    assert (await client.get("/_control/faults"))[0]["acted"] > 0
    await client.heal()
    assert (await klines(client, limit=1))[0][0] > frozen[-1][0]
    assert (await client.get("/fapi/v1/premiumIndex", symbol="BTCUSDT"))["time"] > index["time"]


async def test_a_start_gives_the_oldest_rows_and_an_end_the_newest(client: Client) -> None:
    first = START_MS // THREE_MINUTES_MS * THREE_MINUTES_MS - 100 * THREE_MINUTES_MS
    assert [row[0] for row in await klines(client, startTime=first, limit=2)] == [first, first + THREE_MINUTES_MS]
    assert [row[0] for row in await klines(client, endTime=first, limit=2)] == [first - THREE_MINUTES_MS, first]
    both = await klines(client, startTime=first, endTime=first + 10 * THREE_MINUTES_MS, limit=3)
    assert [row[0] for row in both] == [first + n * THREE_MINUTES_MS for n in range(3)]


async def test_there_are_no_rows_before_the_listing(client: Client) -> None:
    info = await client.get("/fapi/v1/exchangeInfo")
    (listed,) = [row["onboardDate"] for row in info["symbols"] if row["symbol"] == NEWCOMER]
    assert (await klines(client, symbol=NEWCOMER, startTime=0, limit=1500))[0][0] == listed
    assert (await klines(client, symbol=NEWCOMER, limit=1500))[0][0] == listed
    assert await klines(client, symbol=NEWCOMER, startTime=0, endTime=listed - 1) == []
    assert len(await klines(client, symbol="ETHUSDT", interval="1d", limit=499)) == 61
    assert await klines(client, symbol="NEWBORNUSDT") == []


async def test_a_delisted_symbol_ends_with_its_last_candle(client: Client) -> None:
    assert (await klines(client, symbol="OMGUSDT", limit=1))[0][0] == 1_738_314_000_000 - THREE_MINUTES_MS


async def test_wider_candles_follow_from_the_narrow_ones(client: Client) -> None:
    rows = await klines(client, limit=1000)
    for wide in (await klines(client, interval="1h", limit=30))[:-1]:
        parts = [row for row in rows if wide[0] <= row[0] <= wide[6]]
        assert len(parts) == 20
        assert (wide[1], wide[4], wide[8]) == (parts[0][1], parts[-1][4], sum(row[8] for row in parts))
        assert float(wide[2]) == max(float(row[2]) for row in parts)
        assert float(wide[3]) == min(float(row[3]) for row in parts)
        assert float(wide[5]) == pytest.approx(sum(float(row[5]) for row in parts), abs=1e-9)


async def test_lowercase_symbols_and_chinese_ones_are_accepted(client: Client) -> None:
    assert await klines(client, symbol="btcusdt", endTime=START_MS, limit=1) == await klines(
        client, endTime=START_MS, limit=1
    )
    assert len(await klines(client, symbol="币安人生USDT", limit=3)) == 3


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"symbol": "NOSUCHUSDT", "interval": "3m"}, -1121),
        ({"symbol": "BTCUSDT", "interval": "7m"}, -1120),
        ({"symbol": "BTCUSDT", "interval": "1s"}, -1120),
        ({"symbol": "BTCUSDT", "interval": "3m", "limit": "1501"}, -1130),
        ({"symbol": "BTCUSDT", "interval": "3m", "limit": "0"}, -1130),
        ({"symbol": "BTCUSDT", "interval": "3m", "limit": "many"}, -1100),
        ({"symbol": "BTCUSDT", "interval": "3m", "startTime": "-5"}, -1100),
        ({"symbol": "BTCUSDT", "interval": "3m", "startTime": "9", "endTime": "8"}, -1023),
        ({"symbol": "BTCUSDT"}, -1102),
        ({"interval": "3m"}, -1102),
    ],
)
async def test_a_bad_request_costs_weight_and_names_its_error(client: Client, query: dict[str, str], code: int) -> None:
    status, headers, body = await client.status("/fapi/v1/klines", **query)
    assert (status, json.loads(body)["code"]) == (400, code)
    assert int(headers["X-MBX-USED-WEIGHT-1M"]) >= 1


async def test_funding_rates_span_the_market_and_have_no_weight(client: Client) -> None:
    status, headers, body = await client.status("/fapi/v1/fundingRate", startTime=START_MS - 8 * 3_600_000, limit=1000)
    rows = json.loads(body)
    assert status == 200
    assert "X-MBX-USED-WEIGHT-1M" not in headers
    assert [row["fundingTime"] for row in rows] == sorted(row["fundingTime"] for row in rows)
    symbols = {row["symbol"] for row in rows}
    assert {"BTCUSDT", "XAUUSDT", "币安人生USDT"} <= symbols
    assert "BTCUSDT_261225" not in symbols
    mine = await client.get("/fapi/v1/fundingRate", symbol="BTCUSDT", limit=3)
    assert len(mine) == 3
    again = await client.get(
        "/fapi/v1/fundingRate", symbol="BTCUSDT", startTime=mine[0]["fundingTime"], endTime=mine[2]["fundingTime"]
    )
    assert again == mine


async def test_mark_price_klines_follow_the_rules_of_klines(client: Client) -> None:
    query = {"symbol": "BTCUSDT", "interval": "1h", "limit": 30}
    rows = await client.get("/fapi/v1/markPriceKlines", **query)
    assert len(rows) == 30
    assert rows[0][8] == 3600
    assert all(float(row[3]) <= float(row[1]) <= float(row[2]) for row in rows)


async def test_large_answers_are_compressed_when_asked(client: Client) -> None:
    async with aiohttp.ClientSession(
        connector=client.session.connector, connector_owner=False, auto_decompress=False
    ) as raw:
        url = f"{client.url}/fapi/v1/exchangeInfo"
        async with raw.get(url, headers={"Accept-Encoding": "gzip"}) as packed:
            assert packed.headers["Content-Encoding"] == "gzip"
            assert json.loads(gzip.decompress(await packed.read()))["futuresType"] == "U_MARGINED"
        async with raw.get(url, headers={"Accept-Encoding": "identity"}) as plain:
            assert "Content-Encoding" not in plain.headers


async def test_too_much_weight_is_refused_then_banned_and_all_is_in_the_log(served: Served) -> None:
    async with connect(served, "127.9.9.9") as client:
        statuses = []
        while 418 not in statuses:  # a weight of 20 each, though refused
            status, headers, body = await client.status("/fapi/v1/aggTrades", symbol="NOSUCHUSDT")
            statuses.append(status)
            if status == 400:
                continue
            assert int(headers["Retry-After"]) >= 1
            assert json.loads(body)["code"] == -1003
        assert "banned until" in json.loads(body)["msg"]
        assert 120 <= statuses.count(400) < 240
        assert statuses.count(429) >= 10
        mine = [row for row in await client.get("/_control/log") if row["address"] == "127.9.9.9"]
        assert sum(row["requests"] for row in mine) == len(statuses)
        assert sum(row["refused_429"] for row in mine) == statuses.count(429)
        assert sum(row["refused_418"] for row in mine) == 1


async def test_the_truth_costs_nothing_and_equals_the_klines(client: Client) -> None:
    first = START_MS // THREE_MINUTES_MS * THREE_MINUTES_MS - 2000 * THREE_MINUTES_MS
    truth = await client.get("/_control/truth", symbol="BTCUSDT", interval="3m", start=first, end=START_MS - 1)
    assert len(truth) == 2000
    rows = await klines(client, startTime=first, limit=1500)
    assert truth[:1500] == rows


@pytest.mark.parametrize("status", [418, 429, 451, 500, 503])
async def test_a_rest_fault_answers_its_status_until_it_is_removed(client: Client, status: int) -> None:
    await client.fault("rest_status", status=status, path="/klines", retry_after_seconds=7)
    answered, headers, body = await client.status("/fapi/v1/klines", symbol="BTCUSDT", interval="3m")
    assert (answered, headers["Retry-After"]) == (status, "7")
    assert "code" in json.loads(body)
    await client.get("/fapi/v1/time")
    await client.heal()
    assert await klines(client, limit=1)


async def test_a_403_is_the_html_of_a_firewall(client: Client) -> None:
    await client.fault("rest_status", status=403)
    status, headers, body = await client.status("/fapi/v1/time")
    assert status == 403
    assert headers["Content-Type"].startswith("text/html")
    assert "could not be satisfied" in body


async def test_a_hanging_route_gives_no_answer(client: Client) -> None:
    await client.fault("rest_hang", path="/time")
    with pytest.raises(TimeoutError):
        await client.session.get(f"{client.url}/fapi/v1/time", timeout=aiohttp.ClientTimeout(total=0.3))
    await client.get("/fapi/v1/ping")


async def test_a_cut_network_gives_no_answer_and_comes_back(client: Client) -> None:
    await client.fault("connection_cut")
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.session.get(f"{client.url}/fapi/v1/time")
    await client.heal()

    async def back() -> bool:
        return bool(await client.get("/fapi/v1/time"))

    answered: bool = await eventually_async(back)
    assert answered


async def test_a_bad_order_is_refused(client: Client) -> None:
    async with client.session.post(f"{client.url}/_control/faults", json={"kind": "earthquake"}) as answer:
        assert answer.status == 400
        assert "silent_route" in (await answer.json())["error"]


async def test_the_state_names_pairs_and_faults(client: Client) -> None:
    number = await client.fault("missing_close", symbols=["BTCUSDT"])
    state = await client.get("/_control/state")
    assert len(state["pairs"]) == 164
    assert [fault["id"] for fault in state["faults"]] == [number]
    async with client.session.delete(f"{client.url}/_control/faults/{number}") as answer:
        assert answer.status == 200
    assert await client.get("/_control/faults") == []
