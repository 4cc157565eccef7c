"""The simulated exchange changes under its clients: listings, delistings, a short exchangeInfo, a corrected candle."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest

from tests.contract.simulator_process import Client, Served, connect, serve
from tests.support import eventually_async

CLOSE_MS = 1_791_384_120_000  # the end of a candle of three minutes
START_MS = CLOSE_MS - 6_000
NEWBORN = "NEWBORNUSDT"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("changes"), "--pairs", "6", "--start-ms", str(START_MS)) as running:
        yield running


@pytest.fixture
async def client(served: Served) -> AsyncIterator[Client]:
    async with connect(served) as talking:
        yield talking
        await talking.heal()


async def statuses(client: Client) -> dict[str, str]:
    return {row["symbol"]: row["status"] for row in (await client.get("/fapi/v1/exchangeInfo"))["symbols"]}


async def klines(client: Client, symbol: str) -> list[Any]:
    rows: list[Any] = await client.get("/fapi/v1/klines", symbol=symbol, interval="1m", limit=5)
    return rows


async def last_event_ms(socket: aiohttp.ClientWebSocketResponse) -> int:
    """The event time of the newest frame when none has come for a while."""
    newest = 0
    while True:
        try:
            newest = (await socket.receive_json(timeout=2.5))["data"]["E"]
        except TimeoutError:
            return newest


async def test_a_listing_appears_in_exchange_info_rest_and_streams(client: Client) -> None:
    assert (await statuses(client))[NEWBORN] == "PENDING_TRADING"
    assert await klines(client, NEWBORN) == []
    await client.fault("listing")

    async def listed() -> bool:
        return (await statuses(client))[NEWBORN] == "TRADING"

    begun: bool = await eventually_async(listed)
    assert begun
    first = (await klines(client, NEWBORN))[0]
    assert first[0] % 180_000 == 0
    assert NEWBORN in (await client.get("/_control/state"))["pairs"]
    async with client.socket("/market/stream", f"{NEWBORN.lower()}@markPrice@1s") as socket:
        frame = await socket.receive_json(timeout=60)
        assert frame["data"]["s"] == NEWBORN


async def test_a_delisting_ends_candles_and_streams_at_its_time(client: Client) -> None:
    symbol = (await client.get("/_control/state"))["pairs"][1]
    async with client.socket("/market/stream", f"{symbol.lower()}@markPrice@1s") as socket:
        await socket.receive_json(timeout=60)
        assert (await statuses(client))[symbol] == "TRADING"
        at_ms = (await client.get("/fapi/v1/time"))["serverTime"] + 1_500
        await client.fault("delisting", symbol=symbol, at_ms=at_ms)
        ordered_ms = (await client.get("/fapi/v1/time"))["serverTime"]

        async def delisted() -> bool:
            return (await statuses(client))[symbol] == "SETTLING"

        ended: bool = await eventually_async(delisted)
        assert ended
        assert symbol not in (await client.get("/_control/state"))["pairs"]
        last = (await klines(client, symbol))[-1]
        assert last[0] <= at_ms
        assert await last_event_ms(socket) <= max(at_ms, ordered_ms)


async def test_a_row_of_exchange_info_may_lack_a_field_while_its_symbol_trades_on(client: Client) -> None:
    rows = {row["symbol"]: row for row in (await client.get("/fapi/v1/exchangeInfo"))["symbols"]}
    await client.fault("unreadable_row", symbol="BTCUSDT")
    lacking = {row["symbol"]: row for row in (await client.get("/fapi/v1/exchangeInfo"))["symbols"]}
    without = {name: value for name, value in rows["BTCUSDT"].items() if name != "underlyingType"}
    assert lacking == rows | {"BTCUSDT": without}
    assert await client.get("/fapi/v1/klines", symbol="BTCUSDT", interval="3m", limit=1)
    await client.heal()
    assert {row["symbol"]: row for row in (await client.get("/fapi/v1/exchangeInfo"))["symbols"]} == rows


async def test_exchange_info_may_be_short_or_empty(client: Client) -> None:
    whole = await statuses(client)
    await client.fault("short_exchange_info", symbols=["BTCUSDT"])
    assert whole.keys() - await statuses(client) == {"BTCUSDT"}
    await client.fault("short_exchange_info")
    assert await statuses(client) == {}
    await client.heal()
    assert await statuses(client) == whole


async def test_a_halted_symbol_says_so_and_its_streams_are_silent_until_it_trades_again(client: Client) -> None:
    symbol = (await client.get("/_control/state"))["pairs"][0]
    async with client.socket("/market/stream", f"{symbol.lower()}@markPrice@1s") as socket:
        await socket.receive_json(timeout=60)
        await client.fault("halt", symbol=symbol)
        assert (await statuses(client))[symbol] == "TRADING_HALT"
        assert await last_event_ms(socket) <= (await client.get("/fapi/v1/time"))["serverTime"] - 1_000
        assert (await klines(client, symbol))[-1][0] > 0
        await client.heal()
        assert (await statuses(client))[symbol] == "TRADING"
        await socket.receive_json(timeout=60)


async def test_a_changed_funding_interval_is_the_same_in_history_info_frames_and_premium_index(client: Client) -> None:
    hour_ms = 3_600_000
    now_ms = (await client.get("/fapi/v1/time"))["serverTime"]
    hour = now_ms // hour_ms
    symbol = (await client.get("/_control/state"))["pairs"][2]
    first_ms = (hour // 8 - 6) * 8 * hour_ms
    await client.fault("funding_interval", symbol=symbol, hours=4, at_ms=first_ms + 8 * hour_ms)
    await client.fault("funding_interval", symbol=symbol, hours=1, at_ms=(hour - 3) * hour_ms)

    async def told() -> bool:
        rows = await client.get("/fapi/v1/fundingInfo")
        return {row["symbol"]: row["fundingIntervalHours"] for row in rows}.get(symbol) == 1

    changed: bool = await eventually_async(told)
    assert changed
    rows = await client.get("/fapi/v1/fundingRate", symbol=symbol, startTime=first_ms, limit=1000)
    settled = [row["fundingTime"] // hour_ms for row in rows]
    eight, four = range(first_ms // hour_ms, first_ms // hour_ms + 9, 8), range(first_ms // hour_ms + 12, hour - 2, 4)
    assert settled == [*eight, *four, *range(hour - 2, hour + 1)]
    assert await client.get("/_control/settled", symbol=symbol, start=first_ms, end=now_ms) == rows
    assert (await client.get("/fapi/v1/premiumIndex", symbol=symbol))["nextFundingTime"] == (hour + 1) * hour_ms
    async with client.socket("/market/stream", f"{symbol.lower()}@markPrice@1s") as socket:
        assert (await socket.receive_json(timeout=60))["data"]["T"] == (hour + 1) * hour_ms


async def test_a_corrected_close_tells_other_values_before_the_true_ones(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with serve(tmp_path_factory.mktemp("close"), "--pairs", "3", "--start-ms", str(START_MS)) as running:
        async with connect(running) as client:
            await client.fault("corrected_close", delay_ms=1_000)
            closes: list[Any] = []
            async with client.socket("/market/stream", "btcusdt@kline_3m") as socket:
                while len(closes) < 2:
                    kline = (await socket.receive_json(timeout=60))["data"]["k"]
                    closes += [kline] if kline["x"] else []
            first, second = closes
            open_ms = first["t"]
            assert open_ms % 180_000 == 0
            (truth,) = await client.get("/_control/truth", symbol="BTCUSDT", interval="3m", start=open_ms, end=open_ms)
            assert first["t"] == second["t"] == open_ms
            assert [second[name] for name in "ohlcvn"] == [truth[column] for column in (1, 2, 3, 4, 5, 8)]
            assert (first["v"], first["n"]) != (second["v"], second["n"])
