"""Every frame and REST answer has the fields, types and number formats of tests/data/binance_usdm_2026-10."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.simulator_process import Client, Served, connect, serve

RECORDED = Path(__file__).parents[2] / "data" / "binance_usdm_2026-10"
# The recorded rows differ in the count of decimals of these, or it does not hang on the symbol's precision.
FREE_DECIMALS = {
    "minPrice", "maxPrice", "tickSize", "minQty", "maxQty", "stepSize", "notional", "multiplierUp", "multiplierDown",
    "maintMarginPercent", "requiredMarginPercent", "triggerProtect", "liquidationFee", "marketTakeBound",
    "adjustedFundingRateCap", "adjustedFundingRateFloor", "autoAssetExchange",
}  # fmt: skip

SAME = ("symbol", "pair", "contractType", "status", "baseAsset", "quoteAsset", "marginAsset", "underlyingType",
        "pricePrecision", "quantityPrecision")  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("simulator"), "--start-ms", "1791383670000") as running:
        yield running


@pytest.fixture
async def client(served: Served) -> AsyncIterator[Client]:
    async with connect(served) as talking:
        yield talking


def recorded(name: str) -> Any:
    return json.loads((RECORDED / name).read_text(encoding="utf-8"))


def form(value: Any, key: str = "") -> Any:
    """The shape of a JSON value: field names, types, digits after the point; of a list only that it is one."""
    if isinstance(value, dict):
        return {name: form(child, name) for name, child in sorted(value.items())}
    if isinstance(value, str):
        number = re.fullmatch(r"-?\d+(?:\.(\d+))?", value)
        if number is None:
            return "text"
        return "number" if key in FREE_DECIMALS else f"number with {len(number[1] or '')} decimals"
    return type(value).__name__


def row_form(row: list[Any]) -> list[Any]:
    return [form(value) for value in row]


async def one_frame(client: Client, path: str, stream: str) -> Any:
    async with client.socket(path, stream) as socket:
        return await socket.receive_json(timeout=60)


@pytest.mark.parametrize(
    ("file", "path", "stream"),
    [
        ("stream_btcusdt_kline_1m", "/market/stream", "btcusdt@kline_1m"),
        ("stream_btcusdt_markPrice_1s", "/market/stream", "btcusdt@markPrice@1s"),
        ("stream_btcusdt_aggTrade", "/market/stream", "btcusdt@aggTrade"),
        ("stream_btcusdt_ticker", "/market/stream", "btcusdt@ticker"),
        ("stream_btcusdt_bookTicker", "/public/stream", "btcusdt@bookTicker"),
    ],
)
async def test_a_frame_has_the_recorded_shape(client: Client, file: str, path: str, stream: str) -> None:
    frame = await one_frame(client, path, stream)
    assert form(frame) == form(recorded(f"ws/{file}.json"))
    assert list(frame["data"]) == list(recorded(f"ws/{file}.json")["data"])


async def test_a_depth_frame_has_the_recorded_shape(client: Client) -> None:
    frame = await one_frame(client, "/public/stream", "btcusdt@depth20@100ms")
    old = recorded("ws/stream_btcusdt_depth20_100ms.json")
    for side in "ba":
        levels, old_levels = frame["data"].pop(side), old["data"].pop(side)
        assert len(levels) == 20
        assert {str(row_form(level)) for level in levels} == {str(row_form(level)) for level in old_levels}
    assert form(frame) == form(old)


async def test_all_mark_prices_come_in_two_frames_with_the_coin_margined_rows(client: Client) -> None:
    old = {row["s"]: row for row in recorded("ws/stream_all_markPrice_arr_1s.json")["data"]}
    async with client.socket("/market/stream", "!markPrice@arr@1s") as socket:
        first, second = [await socket.receive_json(timeout=60) for _ in range(2)]
    assert first["stream"] == second["stream"] == "!markPrice@arr@1s"
    parts = [{row["s"]: row for row in frame["data"]} for frame in (first, second)]
    coins, tradfi = parts if "BTCUSDT" in parts[0] else parts[::-1]
    assert "XAUUSDT" in tradfi
    assert not set(tradfi) & set(coins)
    for symbol in ("BTCUSDT", "BTCUSD_PERP"):
        assert form(coins[symbol]) == form(old[symbol])
        assert coins[symbol]["st"] == old[symbol]["st"]
    assert {row["E"] % 1000 for row in (*coins.values(), *tradfi.values())} == {0}
    assert (coins["OMGUSDT"]["T"], coins["OMGUSDT"]["r"]) == (0, "0.00000000")


async def test_the_array_of_tickers_has_the_recorded_shape(client: Client) -> None:
    old_rows = {row["s"]: row for row in recorded("ws/stream_all_ticker_arr.json")["data"]}
    new_rows: dict[str, Any] = {}
    async with client.socket("/market/stream", "!ticker@arr") as socket:
        while not old_rows.keys() <= new_rows.keys():
            new_rows |= {row["s"]: row for row in (await socket.receive_json(timeout=60))["data"]}
    for symbol, old in old_rows.items():
        new = new_rows[symbol]
        assert list(new) == list(old)
        assert [type(value) for value in new.values()] == [type(value) for value in old.values()]
        assert new["st"] == old["st"]
    assert form(new_rows["QCOMUSDT"]) == form(old_rows["QCOMUSDT"])


async def test_a_plain_connection_gets_the_event_without_envelope(client: Client) -> None:
    async with client.socket("/market/ws", "btcusdt@markPrice@1s") as socket:
        frame = await socket.receive_json(timeout=60)
    assert form(frame) == form(recorded("ws/stream_btcusdt_markPrice_1s.json")["data"])


async def test_exchange_info_has_the_recorded_shape(client: Client) -> None:
    new, old = await client.get("/fapi/v1/exchangeInfo"), recorded("rest/exchange_info.json")
    assert {name: type(value) for name, value in new.items()} == {name: type(value) for name, value in old.items()}
    assert new["rateLimits"] == old["rateLimits"]
    assert new["assets"] == old["assets"]
    symbols = {row["symbol"]: row for row in new["symbols"]}
    for row in old["symbols"]:
        mine = symbols[row["symbol"]]
        filters, old_filters = (
            {item["filterType"]: form(item) for item in side.pop("filters")} for side in (mine, row)
        )
        assert filters == old_filters
        assert form(mine) == form(row)
        assert [mine[name] for name in SAME] == [row[name] for name in SAME]


@pytest.mark.parametrize(
    ("file", "path", "query"),
    [
        ("time", "/fapi/v1/time", {}),
        ("open_interest", "/fapi/v1/openInterest", {"symbol": "BTCUSDT"}),
        ("premium_index", "/fapi/v1/premiumIndex", {}),
        ("funding_rate", "/fapi/v1/fundingRate", {"symbol": "BTCUSDT"}),
        ("funding_info", "/fapi/v1/fundingInfo", {}),
        ("ticker_24hr", "/fapi/v1/ticker/24hr", {}),
        ("agg_trades", "/fapi/v1/aggTrades", {"symbol": "BTCUSDT", "limit": "20"}),
    ],
)
async def test_an_answer_has_the_recorded_shape(client: Client, file: str, path: str, query: dict[str, str]) -> None:
    new, old = await client.get(path, **query), recorded(f"rest/{file}.json")
    if isinstance(old, dict):
        assert form(new) == form(old)
        return
    by_symbol = {row.get("symbol"): row for row in new}
    for row in old:
        assert form(by_symbol[row.get("symbol")]) == form(row)


async def test_klines_and_depth_have_the_recorded_shape(client: Client) -> None:
    rows = await client.get("/fapi/v1/klines", symbol="BTCUSDT", interval="1m", limit="20")
    assert {str(row_form(row)) for row in rows} == {str(row_form(row)) for row in recorded("rest/klines.json")}
    new, old = await client.get("/fapi/v1/depth", symbol="BTCUSDT", limit="5"), recorded("rest/depth.json")
    for side in ("bids", "asks"):
        assert [row_form(row) for row in new.pop(side)] == [row_form(row) for row in old.pop(side)]
    assert form(new) == form(old)


async def test_numbers_have_the_precision_of_their_symbol(client: Client) -> None:
    """Price pricePrecision, base amounts quantityPrecision, quote amounts their sum, mark 8 decimals."""
    for info in (await client.get("/fapi/v1/exchangeInfo"))["symbols"][::17]:
        p, q = info["pricePrecision"], info["quantityPrecision"]
        rows = await client.get("/fapi/v1/klines", symbol=info["symbol"], interval="3m", limit="3")
        for row in rows:
            decimals = [len(text.partition(".")[2]) for text in (*row[1:6], row[7], row[9], row[10])]
            assert decimals == [p, p, p, p, q, p + q, q, p + q], info["symbol"]
