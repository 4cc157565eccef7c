"""The simulated WebSocket API: routes, requests, limits, pings, closing frames and faults as a client meets them."""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType

from tests.contract.simulator_process import Client, Served, connect, serve
from tests.support import eventually_async

THREE_MINUTES_MS = 180_000
CANDLE_MS = 180_000
CLOSE_MS = 1_791_384_120_000  # the end of a candle of three minutes
START_MS = CLOSE_MS - 8_000
SHORT_SECONDS = 1.5
FIRST_SECONDS = 60
"""Until the first frame comes, on a machine that has other things to do."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("simulator"), "--pairs", "30", "--ping-seconds", "1") as running:
        yield running


@pytest.fixture
async def client(served: Served, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    """An address of its own for every test, for limits count by address."""
    number = zlib.crc32(request.node.nodeid.encode())
    async with connect(served, f"127.2.{number >> 8 & 127}.{number % 254 + 1}") as talking:
        yield talking
        await talking.heal()


async def received(socket: aiohttp.ClientWebSocketResponse, seconds: float = SHORT_SECONDS) -> list[Any]:
    """The first JSON frame, however late it comes, and those that come within a time after it."""
    async with asyncio.timeout(FIRST_SECONDS):
        first = await socket.receive_json()
    return [first, *await within(socket, seconds)]


async def within(socket: aiohttp.ClientWebSocketResponse, seconds: float = SHORT_SECONDS) -> list[Any]:
    """The JSON frames that come within a time."""
    frames = []
    try:
        async with asyncio.timeout(seconds):  # receive(timeout=) begins anew with every ping
            async for message in socket:
                frames += [json.loads(message.data)]
    except TimeoutError:
        pass
    return frames


async def closed(socket: aiohttp.ClientWebSocketResponse) -> tuple[int | None, str]:
    """Read until the server closes: (code, reason); 1006 if it was cut."""
    async with asyncio.timeout(FIRST_SECONDS):
        while True:
            message = await socket.receive()
            if message.type is WSMsgType.CLOSE:
                return message.data, message.extra or ""
            if message.type in (WSMsgType.CLOSED, WSMsgType.CLOSING, WSMsgType.ERROR):
                return socket.close_code or 1006, ""


async def until(socket: aiohttp.ClientWebSocketResponse, complete: Callable[[list[Any]], bool]) -> list[Any]:
    """The JSON frames up to the one that makes them complete, however late it comes."""
    frames: list[Any] = []
    async with asyncio.timeout(FIRST_SECONDS):
        while not complete(frames):
            frames.append(await socket.receive_json())
    return frames


async def now_ms(client: Client) -> int:
    """The exchange's time; frames with an earlier one may still be on their way."""
    return int((await client.get("/_control/state"))["now_ms"])


def sent_after(time_ms: int, frames: list[Any]) -> list[Any]:
    return [frame for frame in frames if frame["data"]["E"] > time_ms]


def streams_of(frames: list[Any]) -> set[str]:
    return {frame["stream"] for frame in frames if "stream" in frame}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/market", {"btcusdt@markPrice@1s"}),
        ("/public", {"btcusdt@depth5@100ms"}),
        ("", {"btcusdt@depth5@100ms"}),
    ],
)
async def test_a_route_delivers_its_own_streams_alone(client: Client, path: str, expected: set[str]) -> None:
    async with client.socket(f"{path}/stream", "btcusdt@markPrice@1s", "btcusdt@depth5@100ms") as socket:
        assert streams_of(await received(socket)) == expected


async def test_unknown_and_uppercase_streams_are_acknowledged_and_silent(client: Client) -> None:
    async with client.socket("/market/stream") as socket:
        names = ["BTCUSDT@markPrice@1s", "nosuchusdt@markPrice@1s"]
        await socket.send_json({"method": "SUBSCRIBE", "params": names, "id": 7})
        assert await received(socket) == [{"result": None, "id": 7}]
        await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 8})
        assert await received(socket, 0.5) == [{"result": names, "id": 8}]


async def test_subscriptions_can_be_changed(client: Client) -> None:
    async with client.socket("/market/ws", "btcusdt@markPrice@1s") as socket:
        await socket.send_json({"method": "SUBSCRIBE", "params": ["ethusdt@markPrice@1s"], "id": 1})
        await socket.send_json({"method": "UNSUBSCRIBE", "params": ["btcusdt@markPrice@1s"], "id": 2})
        frames = await until(socket, lambda frames: {"id", "s"} <= {key for frame in frames[-2:] for key in frame})
        frames += await until(socket, lambda more: "ETHUSDT" in {frame.get("s") for frame in more})
        assert [frame["id"] for frame in frames if "id" in frame] == [1, 2]
        assert {frame.get("s") for frame in await received(socket)} == {"ETHUSDT"}


async def test_what_is_no_request_gets_an_error(client: Client) -> None:
    async with client.socket("/market/ws") as socket:
        for text in ("{", "[]", '{"params": []}', '{"method": "SUBSCRIBE", "params": "all", "id": 1}'):
            await socket.send_str(text)
        assert {frame["error"]["code"] for frame in await received(socket, 0.5)} == {3}


async def test_the_1025th_stream_is_one_too_many(client: Client) -> None:
    async with client.socket("/market/ws") as socket:
        for part in range(4):
            names = [f"x{part}n{number}@kline_1m" for number in range(256)]
            await socket.send_json({"method": "SUBSCRIBE", "params": names, "id": part})
        assert [await socket.receive_json(timeout=60) for _ in range(4)] == [
            {"result": None, "id": n} for n in range(4)
        ]
        await socket.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@kline_1m"], "id": 5})
        assert await socket.receive_json(timeout=60) == {"error": {"code": 4, "msg": "Too many subscriptions"}}
        assert await closed(socket) == (1008, "Invalid request")


async def test_more_than_ten_messages_a_second_end_the_connection(client: Client) -> None:
    async with client.socket("/market/ws") as socket:
        for number in range(40):
            await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": number})
        assert await closed(socket) == (1008, "Too many requests")


async def test_a_long_url_is_refused(client: Client) -> None:
    names = [f"s{number:04}usdt@kline_3m" for number in range(430)]
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with client.socket("/market/stream", *names):
            pass
    assert refused.value.status == 414
    async with client.socket("/market/stream", *names[:410]) as socket:
        assert not socket.closed


async def test_the_301st_connect_is_refused(served: Served) -> None:
    async with connect(served, "127.2.250.1") as client:
        statuses = [(await client.status("/market/ws"))[0] for _ in range(301)]
        assert statuses == [400] * 300 + [403]


async def test_the_server_pings_with_its_time(client: Client) -> None:
    async with client.socket("/market/ws", autoping=False) as socket:
        message = await socket.receive(timeout=60)
        assert message.type is WSMsgType.PING
        now = (await client.get("/_control/state"))["now_ms"]
        assert abs(int(message.data) - now) < 10_000


async def test_mark_frames_bear_every_full_second(client: Client) -> None:
    async with client.socket("/market/stream", "btcusdt@markPrice@1s") as socket:
        events = [frame["data"]["E"] for frame in await until(socket, lambda frames: len(frames) == 4)]
    assert events == list(range(events[0], events[-1] + 1, 1000))
    assert events[0] % 1000 == 0


async def test_a_load_option_sends_every_candle_each_quarter_second(tmp_path_factory: pytest.TempPathFactory) -> None:
    with serve(tmp_path_factory.mktemp("load"), "--pairs", "2", "--kline-every-ms", "250") as running:
        async with connect(running) as client, client.socket("/market/stream", "ethusdt@kline_3m") as socket:
            frames = await until(socket, lambda frames: len(frames) == 20)
    events = [frame["data"]["E"] for frame in frames]
    assert min(later - earlier for earlier, later in pairwise(events)) <= 300, "without it a frame each second"


async def test_connections_end_after_their_life_and_without_pong(tmp_path_factory: pytest.TempPathFactory) -> None:
    options = ("--pairs", "1", "--life-seconds", "2", "--ping-seconds", "0.3", "--pong-seconds", "0.5")
    with serve(tmp_path_factory.mktemp("life"), *options) as running:
        async with connect(running) as client:
            async with client.socket("/market/ws") as socket:
                assert (await closed(socket))[0] == 1001
            async with client.socket("/market/ws", autoping=False) as socket:
                assert (await closed(socket))[0] == 1008


async def test_closing_frames_come_about_two_seconds_late_and_equal_the_truth(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with serve(tmp_path_factory.mktemp("close"), "--start-ms", str(START_MS), "--pairs", "164") as running:
        async with connect(running) as client:
            pairs = (await client.get("/_control/state"))["pairs"]
            closes: dict[str, Any] = {}
            async with client.socket("/market/stream", *(f"{pair.lower()}@kline_3m" for pair in pairs)) as socket:
                state = await client.get("/_control/state")
                close_ms = state["now_ms"] // CANDLE_MS * CANDLE_MS + CANDLE_MS
                late = 0
                while late < close_ms + 3_500:
                    frame = await socket.receive_json(timeout=FIRST_SECONDS)
                    late = frame["data"]["E"]
                    if frame["data"]["k"]["x"]:
                        closes[frame["data"]["s"]] = frame["data"]
            assert len(closes) > 0.9 * len(pairs)
            assert "币安人生USDT" in closes
            for symbol, data in closes.items():
                k = data["k"]
                assert 1_000 < data["E"] - k["T"] < 4_000
                rows = await client.get("/_control/truth", symbol=symbol, interval="3m", start=k["t"], end=k["t"])
                assert rows == [
                    [k["t"], k["o"], k["h"], k["l"], k["c"], k["v"], k["T"], k["q"], k["n"], k["V"], k["Q"], "0"]
                ]
                assert (k["f"], k["L"]) == (-1, -1) if k["n"] == 0 else k["L"] >= k["f"] > 0


async def test_a_silenced_route_acknowledges_and_sends_nothing_until_it_is_healed(client: Client) -> None:
    async with client.socket("/market/stream", "btcusdt@markPrice@1s") as old:
        assert await received(old)
        await client.fault("silent_route", route="market")
        silent_ms = await now_ms(client)
        assert sent_after(silent_ms, await within(old, 2 * SHORT_SECONDS)) == []
        async with client.socket("/market/stream") as new:
            await new.send_json({"method": "SUBSCRIBE", "params": ["ethusdt@markPrice@1s"], "id": 1})
            assert await received(new, 2) == [{"result": None, "id": 1}]
            await client.heal()
            assert await received(new)
        assert await received(old)


async def test_one_symbol_can_be_silenced(client: Client) -> None:
    async with client.socket("/market/stream", "btcusdt@markPrice@1s", "ethusdt@markPrice@1s") as socket:
        await client.fault("silent_symbol", symbol="BTCUSDT", stream="markPrice@1s")
        silent_ms = await now_ms(client)
        await until(socket, lambda frames: bool(sent_after(silent_ms, frames)))
        assert streams_of(sent_after(silent_ms, await received(socket))) == {"ethusdt@markPrice@1s"}


@pytest.mark.parametrize("code", [1000, 1001, 1006, 1008])
async def test_connections_are_closed_on_order(client: Client, code: int) -> None:
    async with client.socket("/market/ws") as socket:
        await client.fault("close_connections", code=code, route="market")
        assert (await closed(socket))[0] == code


async def test_handshakes_are_refused_on_order(client: Client) -> None:
    await client.fault("refuse_handshake", status=429, retry_after_seconds=9)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with client.socket("/market/ws"):
            pass
    assert refused.value.status == 429
    assert refused.value.headers is not None
    assert refused.value.headers["Retry-After"] == "9"


async def test_bad_frames_are_sent_on_order(client: Client) -> None:
    async with client.socket("/market/stream", "btcusdt@markPrice@1s") as socket:
        await client.fault("unknown_symbol_frame")
        await client.fault("unknown_event_frame")
        await until(socket, lambda frames: {"nosuchusdt@markPrice@1s", "!unheardOf@arr"} <= streams_of(frames))
        await client.fault("malformed_frame")
        with pytest.raises(json.JSONDecodeError):
            await received(socket, FIRST_SECONDS)


async def test_the_log_counts_connects_streams_and_messages(served: Served) -> None:
    async with connect(served, "127.2.251.1") as client:
        async with client.socket("/market/stream", "btcusdt@kline_3m", "ethusdt@kline_3m") as socket:
            await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
            await socket.receive_json(timeout=60)

        async def rows() -> list[dict[str, Any]]:
            return [row for row in await client.get("/_control/log") if row["address"] == "127.2.251.1"]

        mine: list[dict[str, Any]] = await eventually_async(rows)
        assert sum(row["connects"] for row in mine) == 1
        assert max(row["streams_max"] for row in mine) == 2
        assert sum(row["messages"] for row in mine) >= 1
        assert sum(row["requests"] for row in mine) == 0
