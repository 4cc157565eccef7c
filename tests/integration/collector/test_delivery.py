"""Queue, batch, spool and delivery against a real InfluxDB: after every fault the store has exactly what was put.

The store is read back by plain InfluxQL, which shares nothing with the code that wrote it.
"""

import asyncio
import gzip
import itertools
import json
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from collector.delivery.batch import Batcher
from collector.delivery.deliver import Deliverer
from collector.delivery.points import PointCounters, PointTotals
from collector.delivery.spool import Spool
from collector.delivery.writer import Writer
from collector.store.write import WriteClient
from tests.integration.servers import InfluxServer, InfluxStack
from tests.support import BUSY, eventually_async, free_port

pytestmark = pytest.mark.integration

BUCKET = "market_data"
STORE = "main"
START_MS = 1_760_000_400_000
STEP_MS = 180_000
PAIRS = 7
DEADLINE_SECONDS = 60

type Rows = dict[tuple[str, int], float]


def line(measurement: str, number: int) -> str:
    """The point of a number, which determines its pair, time and value."""
    return f"{measurement},pair=P{number % PAIRS} value={number}.5 {START_MS + number * STEP_MS}"


def rows(numbers: Sequence[int]) -> Rows:
    """What the store must have for these numbers."""
    return {(f"P{number % PAIRS}", START_MS + number * STEP_MS): number + 0.5 for number in numbers}


def stored(stack: InfluxStack, measurement: str, bucket: str = BUCKET) -> Rows:
    """What the store has of a measurement, by plain InfluxQL."""
    query = urllib.parse.urlencode(
        {"db": bucket, "epoch": "ms", "q": f'SELECT value FROM "{measurement}" GROUP BY pair'}
    )
    request = urllib.request.Request(
        f"{stack.url}/query?{query}", headers={"Authorization": f"Token {stack.operator_token}"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        result: dict[str, Any] = json.load(response)["results"][0]
    assert "error" not in result, result
    found: Rows = {}
    for series in result.get("series", []):
        for time_ms, value in series["values"]:
            found[series["tags"]["pair"], time_ms] = value
    return found


class Pipeline:
    """The parts of one process, from the queue to the store."""

    def __init__(self, root: Path, write: WriteClient, max_lines: int) -> None:
        self.root = root
        self.counters = PointCounters()
        self.spool = Spool(root, {STORE: self.counters}, max_bytes=10**9, max_files=10_000)
        self.spool.recover()
        self.delivered = 0
        self.deliverer = Deliverer(STORE, self.spool, write.write, on_delivered=self._count)
        self.writer = Writer(Batcher(max_lines=max_lines), self.spool, {STORE: self.counters}, wake=self.deliverer.wake)

    async def _count(self, _bucket: str, lines: Sequence[str]) -> None:
        self.delivered += len(lines)

    def put(self, *lines: str, bucket: str = BUCKET) -> None:
        for each in lines:
            assert self.writer.put_nowait(bucket, each)

    async def drained(self) -> None:
        async with asyncio.timeout(DEADLINE_SECONDS * BUSY):
            await self.writer.flush()
            await self.writer.drained(STORE)

    def reason(self, bucket: str = BUCKET) -> str | None:
        """Why delivery to a bucket waits."""
        waiting = self.deliverer.waiting_for.get(bucket)
        return None if waiting is None else waiting.reason

    def totals(self) -> PointTotals:
        totals = self.counters.snapshot()
        assert totals.unaccounted == 0
        return totals

    def rejected(self) -> list[str]:
        texts = [path.read_text() for path in sorted((self.root / "rejected").rglob("*.lp"))]
        return [each for text in texts for each in text.splitlines() if not each.startswith("#")]


@asynccontextmanager
async def pipeline(
    root: Path,
    stack: InfluxStack,
    *,
    token: Callable[[], str] | None = None,
    url: str | None = None,
    max_lines: int = 5_000,
    timeout_seconds: float = 30,
) -> AsyncIterator[Pipeline]:
    """Run a pipeline; leaving the block ends it like a kill, with whatever is in its queue and batch."""
    async with AsyncExitStack() as exits:
        session = await exits.enter_async_context(aiohttp.ClientSession())
        client = WriteClient(
            url or stack.url,
            stack.org,
            token or (lambda: stack.token("ingest", "collector-1")),
            session,
            timeout_seconds=timeout_seconds,
        )
        built = Pipeline(root, client, max_lines)
        exits.callback(built.spool.close)
        tasks = [asyncio.create_task(built.writer.run()), asyncio.create_task(built.deliverer.run())]
        try:
            yield built
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("end", [InfluxServer.stop, InfluxServer.kill], ids=["stopped", "killed"])
async def test_a_store_that_goes_down_under_load_ends_up_with_every_point(
    fresh_influx: InfluxStack, tmp_path: Path, end: Callable[[InfluxServer], None]
) -> None:
    async with pipeline(tmp_path, fresh_influx, max_lines=500) as running:
        numbers = itertools.count()

        def feed(count: int) -> None:
            running.put(*(line("outage", next(numbers)) for _ in range(count)))

        feed(5_000)
        await eventually_async(lambda: running.delivered > 0, DEADLINE_SECONDS)
        stopping = asyncio.create_task(asyncio.to_thread(end, fresh_influx.server))
        while not stopping.done():
            feed(100)
            await asyncio.wait((stopping,), timeout=0.1)
        feed(1_000)
        await running.writer.flush()
        await eventually_async(lambda: running.reason() is not None, DEADLINE_SECONDS)
        starting = asyncio.create_task(asyncio.to_thread(fresh_influx.server.start))
        while not starting.done():
            feed(100)
            await asyncio.wait((starting,), timeout=0.1)
        sent = next(numbers)
        await running.drained()

        assert stored(fresh_influx, "outage") == rows(range(sent))
        totals = running.totals()
        assert (totals.produced, totals.acknowledged, totals.in_spool) == (sent, sent, 0)
        assert running.deliverer.waiting_for == {}


async def test_a_store_that_hangs_is_given_up_after_the_timeout_and_found_again(
    fresh_influx: InfluxStack, tmp_path: Path
) -> None:
    async with pipeline(tmp_path, fresh_influx, timeout_seconds=1) as running:
        fresh_influx.server.pause()
        running.put(*(line("hang", number) for number in range(100)))
        await eventually_async(lambda: running.reason() == "timeout", DEADLINE_SECONDS)
        fresh_influx.server.unpause()
        await running.drained()

        assert stored(fresh_influx, "hang") == rows(range(100))
        assert running.totals().acknowledged == 100


async def test_a_wrong_token_keeps_the_points_until_the_right_one_is_in_its_file(
    influx: InfluxStack, tmp_path: Path
) -> None:
    token_file = tmp_path / "ingest.token"
    async with pipeline(tmp_path / "spool", influx, token=token_file.read_text) as running:
        running.put(*(line("token", number) for number in range(100)))
        await eventually_async(lambda: running.reason() == "token_unreadable", DEADLINE_SECONDS)
        token_file.write_text("wrong\n")
        await eventually_async(lambda: running.reason() == "unauthorized", DEADLINE_SECONDS)
        token_file.write_text(influx.token("reader", "library") + "\n")
        await eventually_async(lambda: running.reason() == "forbidden", DEADLINE_SECONDS)
        assert running.totals().in_spool == 100

        token_file.write_text(influx.token("ingest", "collector-1") + "\n")
        await running.drained()

        assert stored(influx, "token") == rows(range(100))


async def test_a_missing_bucket_keeps_its_points_until_it_is_created_and_blocks_no_other(
    fresh_influx: InfluxStack, tmp_path: Path
) -> None:
    late = "created_later"
    headers = {"Authorization": f"Token {fresh_influx.operator_token}"}
    async with (
        pipeline(tmp_path, fresh_influx, token=lambda: fresh_influx.operator_token) as running,
        aiohttp.ClientSession(fresh_influx.url, headers=headers) as operator,
    ):
        running.put(*(line("bucket", number) for number in range(50)), bucket=late)
        running.put(*(line("bucket", number) for number in range(100)))
        await eventually_async(lambda: running.reason(late) == "not_found", DEADLINE_SECONDS)
        await eventually_async(lambda: running.totals().acknowledged == 100, DEADLINE_SECONDS)

        async with operator.get("/api/v2/orgs", params={"org": fresh_influx.org}) as answer:
            org_id = (await answer.json())["orgs"][0]["id"]
        async with operator.post("/api/v2/buckets", json={"orgID": org_id, "name": late}) as answer:
            assert answer.status == 201
        await running.drained()

    assert stored(fresh_influx, "bucket") == rows(range(100))
    assert stored(fresh_influx, "bucket", late) == rows(range(50))


async def test_one_malformed_line_among_5000_costs_only_that_line(influx: InfluxStack, tmp_path: Path) -> None:
    lines = [line("malformed", number) for number in range(5_000)]
    lines[1_234] = "malformed,pair=P1 value=nan 1"
    async with pipeline(tmp_path, influx) as running:
        running.put(*lines)
        await running.drained()

        assert stored(influx, "malformed") == rows([number for number in range(5_000) if number != 1_234])
        assert running.rejected() == ["malformed,pair=P1 value=nan 1"]
        totals = running.totals()
        assert (totals.acknowledged, totals.rejected) == (4_999, 1)


async def test_points_of_another_type_are_found_in_every_shard(influx: InfluxStack, tmp_path: Path) -> None:
    shards_apart_ms = 90 * 24 * 3_600_000
    of_another_type = [f"conflict,pair=P0 value={n}i {START_MS - n * shards_apart_ms + 60_000}" for n in range(3)]
    async with pipeline(tmp_path, influx) as running:
        running.put(*(f"conflict,pair=P0 value=1.5 {START_MS - n * shards_apart_ms}" for n in range(3)))
        await running.drained()
        running.put(*of_another_type, *(line("conflict", number) for number in range(1, 500)))
        await running.drained()

        assert sorted(running.rejected()) == sorted(of_another_type)
        assert stored(influx, "conflict").items() >= rows(range(1, 500)).items()
        assert len(stored(influx, "conflict")) == 499 + 3
        totals = running.totals()
        assert (totals.acknowledged, totals.rejected) == (499 + 3, 3)


async def test_the_next_process_continues_after_one_killed_while_spooling(influx: InfluxStack, tmp_path: Path) -> None:
    async with pipeline(tmp_path, influx, max_lines=50) as first:
        first.put(*(line("restart", number) for number in range(10_000)))
        await first.writer.flush()
        await eventually_async(lambda: first.delivered >= 50, DEADLINE_SECONDS)
    left = first.totals().in_spool
    assert left > 0, "the store was faster than the kill: nothing was left to recover"

    async with pipeline(tmp_path, influx, max_lines=50) as second:
        second.put(*(line("restart", number) for number in range(10_000, 10_500)))
        await second.drained()

        assert stored(influx, "restart") == rows(range(10_500))
        totals = second.totals()
        assert (totals.recovered_from_spool, totals.acknowledged) == (left, left + 500)


async def test_a_damaged_file_is_counted_and_the_files_around_it_arrive(influx: InfluxStack, tmp_path: Path) -> None:
    async with pipeline(tmp_path / "spool", influx, token=lambda: "wrong", max_lines=100) as first:
        first.put(*(line("damaged", number) for number in range(300)))
        await first.writer.flush()
    paths = sorted((tmp_path / "spool" / STORE / BUCKET).iterdir())
    paths[1].write_bytes(paths[1].read_bytes()[:-20])

    async with pipeline(tmp_path / "spool", influx) as second:
        await second.drained()

        assert stored(influx, "damaged") == rows([*range(100), *range(200, 300)])
        totals = second.totals()
        assert (totals.acknowledged, totals.dropped["damaged"]) == (200, 100)


async def test_a_proxy_that_refuses_large_bodies_gets_small_ones(influx: InfluxStack, tmp_path: Path) -> None:
    sizes: list[int] = []

    async def forward(request: web.Request) -> web.Response:
        body = gzip.decompress(await request.read()) if request.headers.get("Content-Encoding") else b""
        if body.count(b"\n") > 700:
            return web.Response(status=413, text="Request Entity Too Large")
        sizes.append(body.count(b"\n"))
        headers = {"Authorization": request.headers["Authorization"]}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{influx.url}{request.path_qs}", data=body, headers=headers) as answer,
        ):
            return web.Response(status=answer.status, body=await answer.read())

    proxy = web.Application(client_max_size=10**9)
    proxy.router.add_post("/api/v2/write", forward)
    runner = web.AppRunner(proxy, auto_decompress=False)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        async with pipeline(tmp_path, influx, url=f"http://127.0.0.1:{port}") as running:
            running.put(*(line("proxy", number) for number in range(5_000)))
            await running.drained()

            assert stored(influx, "proxy") == rows(range(5_000))
            assert running.totals().acknowledged == 5_000
            assert max(sizes) <= 700
    finally:
        await runner.cleanup()
