"""The feed edge against a real TLS WebSocket server that misbehaves like the exchange."""

import asyncio
import gc
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import trustme
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from collector.delivery.batch import Batcher
from collector.delivery.points import PointCounters
from collector.delivery.spool import Spool
from collector.delivery.writer import Writer
from collector.feed.connections import Feeds
from collector.ingest.ingest import Ingest
from collector.model.clock import ExchangeClock
from exchange.adapters import ADAPTERS
from exchange.events import CANDLES, MARK_PRICE
from exchange.universe import Instrument
from marketdata.schema import EXCHANGE
from tests.support import eventually_async

DATA = Path(__file__).parent.parent.parent / "data"
NAMES = ("BTC", "ETH", "币安人生")
OPEN_MS = 1_791_383_580_000

type Behavior = Callable[[ServerConnection, str], Awaitable[None]]


def symbol(base: str) -> Instrument:
    pair = f"{base}/USDT:USDT"
    return Instrument(f"{base}USDT", pair, base, "USDT", "coin", "trading", "TRADING", "", 2, 3, OPEN_MS, OPEN_MS)


def kline(name: str, **changes: object) -> str:
    data = json.loads((DATA / "binance_usdm_2026-10/ws/stream_btcusdt_kline_1m.json").read_text(encoding="utf-8"))
    data["stream"] = f"{name.lower()}usdt@kline_3m"
    data["data"]["s"] = data["data"]["k"]["s"] = f"{name}USDT"
    data["data"]["k"].update({"t": OPEN_MS, "T": OPEN_MS + 179_999, "i": "3m", "x": True, **changes})
    return json.dumps(data)


def mark(name: str, second: int = 0) -> str:
    data = json.loads((DATA / "binance_usdm_2026-10/ws/stream_btcusdt_markPrice_1s.json").read_text(encoding="utf-8"))
    data["stream"] = f"{name.lower()}usdt@markPrice@1s"
    data["data"].update({"s": f"{name}USDT", "E": 1_791_383_686_000 + second * 1000})
    return json.dumps(data)


@dataclass
class Venue:
    """What the server saw, and what became of it in the collector."""

    ingest: Ingest
    feeds: Feeds
    spool: Path
    points: PointCounters
    paths: list[str] = field(default_factory=list)
    connected_at: list[float] = field(default_factory=list)
    open: int = 0
    left_open: list[int] = field(default_factory=list)

    def frames(self, channel: str) -> Any:
        return self.ingest.frames[channel]

    def law_holds(self) -> bool:
        return all(
            counts.received == counts.used + counts.invalid.total() + counts.filtered.total()
            for counts in self.ingest.frames.values()
        )


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def streaming(tmp_path: Path, authority: trustme.CA) -> Callable[..., Any]:
    @asynccontextmanager
    async def run(behavior: Behavior, *, names: Sequence[str] = NAMES, **options: Any) -> AsyncIterator[Venue]:
        points = {"main": PointCounters()}
        spool = Spool(tmp_path / "spool", points, max_bytes=10_000_000, max_files=1000)
        spool.recover()
        writer = Writer(Batcher(), spool, points, wake=lambda _bucket: None)
        ingest = Ingest(
            ExchangeClock(time.monotonic_ns), writer, wall_seconds=time.time, observe_latency=lambda *_: None
        )
        symbols = [symbol(name) for name in names]
        for info in symbols:
            ingest.watch(info.pair, OPEN_MS)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        ca_file = tmp_path / "ca.pem"
        authority.cert_pem.write_to_path(str(ca_file))

        async def handle(connection: ServerConnection) -> None:
            assert connection.request is not None
            venue.paths.append(connection.request.path)
            venue.connected_at.append(time.monotonic())
            venue.open += 1
            try:
                await behavior(connection, "candles" if "kline" in connection.request.path else "marks")
            finally:
                venue.open -= 1
                venue.left_open.append(venue.open)

        async with serve(handle, "localhost", 0, ssl=context) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            feeds = Feeds(ADAPTERS[EXCHANGE], ingest, symbols, f"wss://localhost:{port}", ca_file, **options)
            venue = Venue(ingest, feeds, tmp_path / "spool", points["main"])
            running = asyncio.create_task(feeds.run())
            try:
                yield venue
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running
                spool.close()

    return run


async def test_each_channel_has_its_own_connection_on_the_market_route(streaming: Any) -> None:
    async def serve_all(connection: ServerConnection, kind: str) -> None:
        for name in NAMES:
            await connection.send(kline(name) if kind == "candles" else mark(name))
        await connection.wait_closed()

    async with streaming(serve_all) as venue:
        await eventually_async(lambda: venue.frames(CANDLES).used == 3 and venue.frames(MARK_PRICE).used == 3)
        assert len(venue.paths) == 2
        assert all(path.startswith("/market/stream?streams=") for path in venue.paths)
        assert sorted("kline_3m" in path for path in venue.paths) == [False, True]
        assert all("%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9Fusdt@" in path for path in venue.paths)
        assert venue.law_holds()


async def test_a_coin_of_any_name_has_its_streams_and_does_not_break_others(streaming: Any) -> None:
    odd = ("BTC", "T$", "A&B", "C#D", "E F", "G+H", "I%41", "J?=K", "@L", 'M"N', "pO", "币,🚀")

    async def serve_what_is_asked(connection: ServerConnection, kind: str) -> None:
        assert connection.request is not None
        address = urlsplit(connection.request.path)
        streams = unquote(address.query.removeprefix("streams=")).split("/")
        ending = "kline_3m" if kind == "candles" else "markPrice@1s"
        assert streams == [f"{name.lower()}usdt@{ending}" for name in odd]
        assert parse_qs(address.query) == {"streams": ["/".join(streams)]}, "as a server splits a query"
        for name in odd:
            await connection.send(kline(name) if kind == "candles" else mark(name))
        await connection.wait_closed()

    async with streaming(serve_what_is_asked, names=odd) as venue:
        await eventually_async(lambda: all(venue.frames(channel).used == len(odd) for channel in (CANDLES, MARK_PRICE)))
        assert len(venue.paths) == 2
        assert venue.law_holds()


async def test_bad_frames_are_counted_and_the_connection_stays_up(streaming: Any) -> None:
    bad = (
        "{",
        "[]",
        "null",
        '{"result":null,"id":1}',
        kline("DOGE"),
        kline("BTC", i="1m"),
        kline("BTC", o="not a number"),
        kline("BTC", n=None),
        '{"stream":"btcusdt@kline_3m","data":{"e":"surprise","E":1}}',
        mark("BTC"),
    )

    async def misbehave(connection: ServerConnection, kind: str) -> None:
        if kind == "candles":
            for frame in (*bad, kline("ETH")):
                await connection.send(frame)
        await connection.wait_closed()

    async with streaming(misbehave) as venue:
        await eventually_async(lambda: venue.frames(CANDLES).used == 1)
        assert venue.frames(CANDLES).received == len(bad) + 1
        assert venue.frames(CANDLES).invalid["bug"] == 0
        assert venue.law_holds()
        assert len([path for path in venue.paths if "kline" in path]) == 1


async def test_repeated_and_contradicting_closing_frames_are_filtered(streaming: Any) -> None:
    async def repeat(connection: ServerConnection, kind: str) -> None:
        if kind == "candles":
            for frame in (kline("BTC", x=False), kline("BTC"), kline("BTC"), kline("BTC", c="83071.00")):
                await connection.send(frame)
        await connection.wait_closed()

    async with streaming(repeat) as venue:
        await eventually_async(lambda: venue.frames(CANDLES).received == 4)
        assert dict(venue.frames(CANDLES).filtered) == {"open": 1, "duplicate": 1, "superseded": 1}
        assert venue.ingest.finality.conflicts == 1
        assert venue.points.snapshot().produced == 1


async def test_a_server_that_closes_at_once_is_not_flooded_with_attempts(streaming: Any) -> None:
    async def close(connection: ServerConnection, _kind: str) -> None:
        await connection.close(1000)

    async with streaming(close) as venue:
        await eventually_async(lambda: len(venue.connected_at) >= 6, 20)
        spans = sorted(venue.connected_at)
        # Two connections, back-offs of at least 0, 0.5 and 1 s: not cryptofeed's 200 attempts a second.
        assert spans[-1] - spans[0] >= 1.0
        assert len(spans) <= 8


async def test_a_connection_that_is_acknowledged_but_silent_is_reported_and_replaced(streaming: Any) -> None:
    silent = True

    async def hold(connection: ServerConnection, kind: str) -> None:
        if not silent:
            for second in range(600):
                await connection.send(mark("BTC", second) if kind == "marks" else kline("BTC"))
                await asyncio.sleep(0.05)
        await connection.wait_closed()

    async with streaming(hold, silence_seconds=0.5) as venue:
        marks = await eventually_async(lambda: [c for c in venue.feeds.connections if c.channel == MARK_PRICE])
        await eventually_async(lambda: marks[0].silent)
        assert marks[0].totals.ended["silent"] >= 1
        silent = False
        await eventually_async(lambda: not marks[0].silent and marks[0].open, 20)
        assert venue.frames(MARK_PRICE).used >= 1


async def deliver_marks(connection: ServerConnection, kind: str) -> None:
    """Sends a mark price of every subscribed symbol ten times a second; candles are quiet after one frame each."""
    assert connection.request is not None
    path = unquote(connection.request.path).upper()
    names = [name for name in (*NAMES, "NEW") if f"{name}USDT@" in path]
    for name in names:
        await connection.send(kline(name, x=False) if kind == "candles" else mark(name))
    if kind == "candles":
        await connection.wait_closed()
    with suppress(ConnectionClosed):
        for second in range(1, 6000):
            for name in names:
                await connection.send(mark(name, second))
            with suppress(TimeoutError):
                await asyncio.wait_for(connection.wait_closed(), 0.1)


async def test_a_planned_replacement_has_the_new_connection_deliver_before_the_old_one_ends(streaming: Any) -> None:
    async with streaming(deliver_marks, life_seconds=1.0) as venue:
        await eventually_async(lambda: all(venue.feeds.totals[c].ended["planned"] >= 3 for c in venue.feeds.totals), 20)
        assert len(venue.left_open) >= 4
        assert min(venue.left_open) == 2  # one of each channel, whenever one has ended
        assert venue.frames(MARK_PRICE).filtered["not_sampled"] > 0
        assert set(venue.feeds.totals[MARK_PRICE].ended) == {"planned"}
        assert len(venue.feeds.connections) <= 4
        assert venue.law_holds()


async def test_a_new_connection_that_does_not_deliver_does_not_affect_the_old_one(streaming: Any) -> None:
    async def once(connection: ServerConnection, kind: str) -> None:
        if len(served[kind]) == 0:
            served[kind].append(connection)
            await deliver_marks(connection, kind)
        await connection.wait_closed()

    served: dict[str, list[ServerConnection]] = {"marks": [], "candles": []}
    async with streaming(once, life_seconds=0.5, silence_seconds=0.5) as venue:
        await eventually_async(lambda: len([path for path in venue.paths if "markPrice" in path]) >= 2)
        received = venue.frames(MARK_PRICE).received
        states = [state for state in venue.feeds.connections if state.channel == MARK_PRICE]
        assert len(states) == 2
        await eventually_async(lambda: [s for s in venue.feeds.connections if s.channel == MARK_PRICE] == states[:1])
        assert states[0].delivering
        await eventually_async(lambda: venue.frames(MARK_PRICE).received > received + 10)


async def test_a_listing_gets_its_own_connections_and_a_dropped_symbol_ends_once_the_new_connection_delivers(
    streaming: Any,
) -> None:
    async with streaming(deliver_marks) as venue:
        await eventually_async(lambda: venue.open == 2)
        venue.ingest.watch("NEW/USDT:USDT", OPEN_MS)
        venue.feeds.add([symbol("NEW")])
        await eventually_async(lambda: venue.ingest.freshness["NEW/USDT:USDT"].messages[MARK_PRICE] >= 1)
        await eventually_async(lambda: len(venue.paths) == 4)  # the one for candles opens in its own time
        assert sum("newusdt" in path for path in venue.paths) == 2
        assert not any("newusdt" in path and "btcusdt" in path for path in venue.paths)

        venue.feeds.leave(["ETHUSDT"])
        await eventually_async(lambda: venue.open == 2 and len(venue.paths) == 6)
        for path in venue.paths[4:]:  # both groups of a channel are one now
            assert "newusdt" in path
            assert "btcusdt" in path
            assert "ethusdt" not in path
        assert {state.streams for state in venue.feeds.connections} == {3}


async def test_silent_streams_are_resubscribed_separately_and_merged_later(streaming: Any) -> None:
    async with streaming(deliver_marks, again_life_seconds=1.0) as venue:
        await eventually_async(lambda: venue.open == 2)
        venue.feeds.resubscribe(MARK_PRICE, ["BTCUSDT", "NOTOURSUSDT"])
        await eventually_async(lambda: len(venue.paths) >= 3)
        assert venue.paths[2].endswith("streams=btcusdt@markPrice@1s")
        await eventually_async(lambda: len(venue.paths) == 4 and venue.open == 2)
        assert "ethusdt" in venue.paths[3]


async def test_many_replacements_leave_no_task_and_no_open_file(streaming: Any) -> None:
    async with streaming(deliver_marks, life_seconds=0.6) as venue:

        def replaced(times: int) -> bool:
            return all(venue.feeds.totals[channel].ended["planned"] >= times for channel in venue.feeds.totals)

        def held() -> tuple[int, int]:
            gc.collect()
            return len(asyncio.all_tasks()), len(list(Path("/proc/self/fd").iterdir()))

        def between_replacements() -> bool:
            return venue.open == 2 and len(venue.feeds.connections) == 2

        await eventually_async(lambda: replaced(1) and between_replacements())
        tasks, files = held()
        await eventually_async(lambda: replaced(12), 60)
        await eventually_async(lambda: between_replacements() and held()[0] <= tasks and held()[1] <= files)


async def test_every_recorded_frame_goes_through_the_edge(streaming: Any) -> None:
    """Frames of 2026 and 2021 are stored or counted as not ours; none raises or costs the connection."""
    frames = [
        json.dumps(json.loads(path.read_text(encoding="utf-8")))
        for path in sorted((DATA / "binance_usdm_2026-10/ws").glob("*.json"))
    ]
    capture = (DATA / "binance_futures/BINANCE_FUTURES.ws.1.0").read_text(encoding="utf-8").splitlines()
    frames += [line.split(": ", 1)[1] for line in capture if ": {" in line]

    async def replay(connection: ServerConnection, kind: str) -> None:
        if kind == "marks":
            for frame in frames:
                await connection.send(frame)
        await connection.wait_closed()

    async with streaming(replay) as venue:
        counts = venue.frames(MARK_PRICE)
        await eventually_async(lambda: counts.received == len(frames))
        assert len(frames) > 1000
        assert counts.used == 1  # the one mark price of BTCUSDT
        assert counts.invalid["bug"] == 0
        assert set(counts.invalid) <= {"unknown_symbol", "unknown_event", "malformed", "wrong_interval"}
        assert venue.law_holds()
        assert len([path for path in venue.paths if "markPrice" in path]) == 1
