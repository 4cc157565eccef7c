"""GET /stream over real sockets: nothing is lost between snapshot and live, and a slow reader harms only itself."""

import asyncio
import itertools
import json
import re
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from collector.delivery.batch import Batcher
from collector.delivery.points import PointCounters
from collector.delivery.spool import Spool
from collector.delivery.writer import Writer
from collector.ingest.ingest import Ingest
from collector.model.clock import ExchangeClock
from collector.publish.stream import MOST_BEHIND_BYTES, Stream
from exchange.events import CANDLE_MS, Candle, MarkPrice, Origin
from marketdata.candle_values import CandleValues
from marketdata.schema import BUCKET_RAW, OHLCV_BASE
from service.config_file import ServiceSection
from service.http import Server, application
from tests.support import eventually_async

DOCS = Path(__file__).parent.parent.parent.parent / "docs" / "stream.md"
START = 1_791_383_580_000
BTC = "BTC/USDT:USDT"
FIRST_LIVE = 198  # the candle that is forming when traffic begins
EXCHANGE_INFO = {
    "timezone": "UTC",
    "serverTime": START,
    "symbols": [{"symbol": "BTCUSDT", "pair": "BTCUSDT", "contractType": "PERPETUAL", "status": "TRADING"}],
}


def candle(
    index: int, *, pair: str = BTC, close: str = "83142.90", final: bool = True, origin: Origin = "stream"
) -> Candle:
    values = CandleValues(
        "83070.80", "83143.00", "83070.70", close, "86.568", "7193689.13750", "55.410", "4604044.96780", 2723
    )
    open_ms = START + index * CANDLE_MS
    return Candle(pair, open_ms, values, final, origin, open_ms + (CANDLE_MS + 2_013 if final else 60_250))


def mark_price(event_time_ms: int, pair: str = BTC, mark: str = "83134.61729710") -> MarkPrice:
    return MarkPrice(
        pair, event_time_ms, mark, "83165.64673913", "0.00000253", 1791388800000, "83143.84436135", "83134.61729710"
    )


@dataclass
class Time:
    """A monotonic clock that follows the events."""

    elapsed_ms: int = 0

    def ns(self) -> int:
        return self.elapsed_ms * 1_000_000

    def reach(self, event_time_ms: int) -> None:
        self.elapsed_ms = max(self.elapsed_ms, event_time_ms - START)


@dataclass
class Collector:
    """A stream as wired by the collector, on its own port, fed by hand."""

    stream: Stream
    ingest: Ingest
    url: str
    time: Time

    def candle(self, some: Candle) -> None:
        self.time.reach(some.event_time_ms)
        if some.origin == "rest":
            self.ingest.on_rest_candle(some)
        else:
            self.ingest.on_candle(some, time.time())

    def mark_price(self, event: MarkPrice) -> None:
        self.time.reach(event.event_time_ms)
        self.ingest.on_mark_price(event, time.time())


@asynccontextmanager
async def collecting(folder: Path, *, pairs: int = 1) -> AsyncIterator[Collector]:
    points = {"main": PointCounters()}
    spool = Spool(folder, points, max_bytes=1_000_000, max_files=100)
    passing = Time()
    clock = ExchangeClock(passing.ns)
    clock.observe(START)
    stream = Stream("collector-1", "5f0c6f4e0b8f4d0f8f3f0a3a0f6a2c11", clock)
    ingest = Ingest(
        clock,
        Writer(Batcher(), spool, points, wake=lambda _bucket: None),
        wall_seconds=time.time,
        observe_latency=lambda *_: None,
        listeners=[stream],
    )
    for index in range(pairs):
        ingest.watch(BTC if not index else f"PAIR{index}/USDT:USDT", START)
    stream.exchange_info_answered(EXCHANGE_INFO)
    async with served(stream) as server:
        beating = asyncio.create_task(stream.run())
        try:
            yield Collector(stream, ingest, f"http://{server.address}/stream", passing)
        finally:
            beating.cancel()
            stream.close()


def served(stream: Stream) -> Server:
    app = application(CollectorRegistry(), web.get("/stream", stream.handle, allow_head=False))
    return Server(app, "collector", ServiceSection(listen="127.0.0.1:0"))


@dataclass
class Reader:
    """What one reader received; ``state`` is its view of the pairs."""

    response: aiohttp.ClientResponse
    seq: int = 0
    is_live: bool = False
    pairs: set[str] = field(default_factory=set)
    finals: dict[tuple[str, int], str] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)
    ended_in_order: bool = False

    async def line(self) -> dict[str, Any]:
        """Return the next line, applied; ``seq`` must follow."""
        text = await self.response.content.readline()
        if not text:
            self.ended_in_order = True
            raise EOFError
        message: dict[str, Any] = json.loads(text)
        self._follows(message)
        match message["type"]:
            case "live":
                self.is_live = True
            case "final":
                self._final(message["pair"], message)
            case "mark_price":
                self.marks[message["pair"]] = message["mark"]
            case "pair":
                for final in message["final"]:
                    self._final(message["pair"], final)
                if message["mark_price"]:
                    self.marks[message["pair"]] = message["mark_price"]["mark"]
        return message

    def _follows(self, message: dict[str, Any]) -> None:
        kind, seq = message["type"], message.get("seq", 0)
        if self.is_live:
            assert seq == self.seq + (kind != "heartbeat")
        assert seq >= self.seq
        self.seq = seq
        if kind == "pair":
            self.pairs.add(message["pair"])
        assert message.get("pair") in self.pairs | {None}, "an event of a pair before its ``pair`` line"

    async def size(self) -> int:
        """Read the next line; return its bytes."""
        return len(json.dumps(await self.line(), separators=(",", ":"))) + 1

    async def until(self, kind: str) -> list[dict[str, Any]]:
        """Read up to a line of this kind."""
        read = [await self.line()]
        while read[-1]["type"] != kind:
            read.append(await self.line())
        return read

    def _final(self, pair: str, final: dict[str, Any]) -> None:
        self.finals[pair, final["open_time_ms"]] = final["close"]


@asynccontextmanager
async def reading(url: str) -> AsyncIterator[Reader]:
    timeout = aiohttp.ClientTimeout(total=None, sock_read=20)
    async with (
        aiohttp.ClientSession(timeout=timeout, read_bufsize=1 << 17) as session,
        session.get(url) as response,
    ):
        assert response.status == 200, await response.text()
        yield Reader(response)


async def test_the_documented_lines_are_the_ones_sent(tmp_path: Path) -> None:
    async with collecting(tmp_path) as collector:
        collector.candle(candle(0))
        collector.candle(candle(1, final=False))
        collector.mark_price(mark_price(START + CANDLE_MS + 60_000))
        async with reading(collector.url) as reader:
            sent = await reader.until("live")
            collector.candle(candle(1, close="83099.10"))
            collector.candle(candle(2, final=False))
            collector.candle(candle(3))
            collector.ingest.absent(BTC, START + 2 * CANDLE_MS)
            collector.mark_price(mark_price(START + 4 * CANDLE_MS))
            collector.ingest.unwatch(BTC)
            sent += await reader.until("heartbeat")
    documented = [
        json.loads(line) for line in re.findall(r"^```json\n(.*)\n```$", DOCS.read_text("utf-8"), re.MULTILINE)
    ]
    first_of_kind = {message["type"]: message for message in reversed(sent)}
    assert {message["type"]: message for message in documented} == first_of_kind


def traffic(collector: Collector, truth: dict[str, str]) -> Iterator[None]:
    """Endless events; every third close arrives after the one that follows it."""
    pairs = list(collector.ingest.freshness)
    told_and_untold = dict.fromkeys(itertools.chain.from_iterable(zip(pairs, reversed(pairs), strict=True)))
    for step in itertools.count():
        for pair in told_and_untold:
            if step % 10 == 0:
                index = FIRST_LIVE + step // 10
                collector.candle(candle(index + (1, -1, 0)[index % 3], pair=pair))
                yield
            truth[pair] = str(step)
            collector.mark_price(mark_price(START + (FIRST_LIVE + 2) * CANDLE_MS + step * 30_000, pair, truth[pair]))
            yield


async def test_readers_that_join_during_traffic_miss_nothing_between_snapshot_and_live(tmp_path: Path) -> None:
    async with collecting(tmp_path, pairs=30) as collector, AsyncExitStack() as connections:
        for index, pair in itertools.product(range(FIRST_LIVE), collector.ingest.freshness):
            collector.candle(candle(index, pair=pair))
        truth: dict[str, str] = {}
        events = traffic(collector, truth)
        lines_read = itertools.count()
        in_between: Counter[str] = Counter()

        async def follow(reader: Reader) -> None:
            live_seq = None
            while live_seq is None or reader.seq < live_seq + 300:
                kind = (await reader.line())["type"]
                if next(lines_read) % 10 == 0 or reader.seq == collector.stream._seq:
                    next(events)  # no faster than each of the five readers reads
                if reader.is_live:
                    live_seq = live_seq or reader.seq
                else:
                    in_between[kind] += 1

        readers = [await connections.enter_async_context(reading(collector.url)) for _ in range(5)]
        await asyncio.gather(*(follow(reader) for reader in readers))
        assert in_between["mark_price"] > 0
        finals = {
            (pair, final.candle.open_time_ms): final.candle.values.close
            for pair, state in collector.stream.recent.pairs.items()
            for final in state.shown()
        }
        for reader in readers:
            while reader.seq < collector.stream._seq:
                await reader.line()
            assert reader.marks == truth
            assert reader.finals == finals
        assert collector.stream.readers_cut_off == 0


async def test_a_reader_1_mib_behind_is_cut_off_and_the_others_receive_everything(tmp_path: Path) -> None:
    async with collecting(tmp_path) as collector:
        idle = socket.socket()  # reads nothing
        idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        idle.setblocking(False)
        host, port = "127.0.0.1", int(collector.url.split(":")[2].split("/")[0])
        await asyncio.get_running_loop().sock_connect(idle, (host, port))
        await asyncio.get_running_loop().sock_sendall(idle, b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with reading(collector.url) as reader:
            await reader.until("live")
            await eventually_async(lambda: collector.stream.readers == 2)
            heard, published = 0, reader.seq
            while collector.stream.readers == 2 or reader.seq < published:
                for _ in range(20 if reader.seq == published else 0):
                    published += 1
                    collector.mark_price(mark_price(START + published))
                heard += await reader.size()
            assert MOST_BEHIND_BYTES < heard < 3 * MOST_BEHIND_BYTES  # the sockets' buffers contain some, too
            assert collector.stream.readers_cut_off == 1
        idle.close()


async def test_a_long_snapshot_is_read_at_the_readers_pace(tmp_path: Path) -> None:
    async with collecting(tmp_path, pairs=10) as collector:
        for index, pair in itertools.product(range(400), collector.ingest.freshness):
            collector.candle(candle(index, pair=pair))
        async with reading(collector.url) as reader:
            read = 0
            while not reader.is_live:
                message = await reader.line()
                read += len(json.dumps(message))
                collector.mark_price(mark_price(collector.ingest.clock.now_ms() + 1))
            assert read > 1.1 * MOST_BEHIND_BYTES
            assert len(reader.finals) == 4_000
        assert collector.stream.readers_cut_off == 0


async def test_the_snapshot_shrinks_to_the_newest_20_once_a_store_has_the_candles(tmp_path: Path) -> None:
    async with collecting(tmp_path) as collector:
        for index in range(40):
            collector.candle(candle(index))
        delivered = [final.line for final in collector.stream.recent.pairs[BTC].shown()]
        async with reading(collector.url) as reader:
            await reader.until("live")
        assert len(reader.finals) == 40
        collector.stream.on_delivered(BUCKET_RAW, delivered)
        async with reading(f"{collector.url}?since_ms={START + 35 * CANDLE_MS}") as later:
            await later.until("live")
        assert [open_ms for _, open_ms in later.finals] == [START + index * CANDLE_MS for index in range(35, 40)]
        async with reading(collector.url) as later:
            await later.until("live")
        assert [open_ms for _, open_ms in later.finals] == [START + index * CANDLE_MS for index in range(20, 40)]


async def test_corrections_new_pairs_and_changed_symbols_are_sent_as_they_happen(tmp_path: Path) -> None:
    async with collecting(tmp_path) as collector:
        collector.candle(candle(0, close="83100.00"))
        async with reading(collector.url) as reader:
            await reader.until("live")
            collector.candle(candle(0, close="83100.10"))  # contradicts: nothing is sent until REST decides
            collector.candle(candle(0, close="83100.20", origin="rest"))
            corrected = await reader.line()
            assert (corrected["type"], corrected["close"]) == ("final", "83100.20")
            assert (corrected["origin"], corrected["corrected"]) == ("rest", True)
            collector.stream.exchange_info_answered({**EXCHANGE_INFO, "serverTime": START + 60_000})
            collector.stream.exchange_info_answered({**EXCHANGE_INFO, "symbols": []})
            assert (await reader.line())["exchange_info"]["symbols"] == []
            collector.ingest.watch("NEW/USDT:USDT", START)
            assert await reader.line() == {
                "type": "pair",
                "seq": reader.seq,
                "pair": "NEW/USDT:USDT",
                "next_open_ms": START,
                "final": [],
                "absent": [],
                "invalid": [],
                "open": None,
                "mark_price": None,
            }


async def test_a_pair_that_is_dropped_is_announced_and_sends_nothing_afterwards(tmp_path: Path) -> None:
    async with collecting(tmp_path, pairs=2) as collector, reading(collector.url) as reader:
        await reader.until("live")
        collector.ingest.unwatch(BTC)
        assert await reader.line() == {"type": "left", "seq": reader.seq, "pair": BTC}
        collector.candle(candle(0))
        collector.ingest.on_history(candle(-1, origin="rest"), OHLCV_BASE)
        collector.mark_price(mark_price(START + 1_000, "PAIR1/USDT:USDT"))
        assert (await reader.line())["pair"] == "PAIR1/USDT:USDT"


async def test_a_frame_from_an_unconfirmed_future_is_sent_to_no_reader(tmp_path: Path) -> None:
    async with collecting(tmp_path) as collector, reading(collector.url) as reader:
        await reader.until("live")
        collector.ingest.on_mark_price(mark_price(START + 3_600_000, mark="9"), time.time())
        collector.ingest.on_candle(candle(20, final=False), time.time())
        collector.mark_price(mark_price(START + 1_000, mark="1"))
        assert (await reader.line())["mark"] == "1"


async def test_a_stop_ends_the_response_properly_and_refuses_new_readers(tmp_path: Path) -> None:
    async with collecting(tmp_path) as collector, reading(collector.url) as reader:
        await reader.until("live")
        collector.mark_price(mark_price(START + 1_000))
        collector.stream.close()
        with pytest.raises(EOFError):
            await reader.until("nothing")
        assert reader.marks == {BTC: "83134.61729710"}
        async with aiohttp.ClientSession() as session, session.get(collector.url) as refused:
            assert (refused.status, await refused.text()) == (503, "stopping\n")
        assert collector.stream.readers_cut_off == 0


@pytest.mark.parametrize("since", ["", "-1", "yesterday", "1.5", "٣", "9" * 16])
async def test_a_since_that_is_not_a_time_is_refused_in_one_line(tmp_path: Path, since: str) -> None:
    async with (
        collecting(tmp_path) as collector,
        aiohttp.ClientSession() as session,
        session.get(collector.url, params={"since_ms": since}) as refused,
    ):
        assert refused.status == 400
        assert await refused.text() == f"since_ms={since}: must be a UTC time in milliseconds\n"


async def test_readers_wait_until_the_pairs_are_known(tmp_path: Path) -> None:
    stream = Stream("collector-1", "boot", ExchangeClock(lambda: 0))
    async with served(stream) as server, aiohttp.ClientSession() as session:
        refused = await session.get(f"http://{server.address}/stream")
        assert refused.status == 503
        assert refused.headers["Retry-After"] == "1"
