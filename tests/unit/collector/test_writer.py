"""The pump: what was accepted reaches the spool, what was not is counted, and a failing disk loses nothing."""

import asyncio
import os
from pathlib import Path

import pytest

from collector.delivery.batch import Batch, Batcher
from collector.delivery.points import PointCounters
from collector.delivery.spool import Spool
from collector.delivery.writer import Writer
from tests.support import eventually_async

BUCKET = "market_data"
DEADLINE_SECONDS = 60


class Pump:
    """A writer with one store's spool, and the buckets it woke."""

    def __init__(self, root: Path, *, queue_points_max: int = 1_000) -> None:
        self.counters = {"main": PointCounters()}
        self.spool = Spool(root, self.counters, max_bytes=10**9, max_files=1_000)
        self.spool.recover()
        self.woken: list[str] = []
        self.writer = Writer(
            Batcher(max_lines=10),
            self.spool,
            self.counters,
            wake=self.woken.append,
            queue_points_max=queue_points_max,
        )

    def lines(self, bucket: str = BUCKET) -> list[str]:
        lines: list[str] = []
        while file := self.spool.claim("main", bucket):
            lines += self.spool.read(file).lines
            self.spool.acknowledge(file)
        return lines


async def test_everything_accepted_is_in_the_spool_when_flush_returns(tmp_path: Path) -> None:
    pump = Pump(tmp_path)
    accepted = [str(number) for number in range(25)]
    for line in accepted:
        assert pump.writer.put_nowait(BUCKET, line)

    await pump.writer.flush()

    assert pump.counters["main"].snapshot().in_spool == 25
    assert pump.lines() == accepted
    assert set(pump.woken) == {BUCKET}


async def test_a_batch_that_does_not_fill_up_is_written_when_old_enough(tmp_path: Path) -> None:
    pump = Pump(tmp_path)
    running = asyncio.create_task(pump.writer.run())
    pump.writer.put_nowait(BUCKET, "1")

    await eventually_async(lambda: pump.woken)
    running.cancel()

    assert pump.lines() == ["1"]


async def test_a_full_queue_refuses_points_and_counts_them(tmp_path: Path) -> None:
    pump = Pump(tmp_path, queue_points_max=2)

    accepted = [pump.writer.put_nowait(BUCKET, str(number)) for number in range(3)]

    totals = pump.counters["main"].snapshot()
    assert accepted == [True, True, False]
    assert (totals.produced, totals.in_queue, totals.dropped["queue_full"]) == (3, 2, 1)
    assert totals.unaccounted == 0
    await pump.writer.flush()
    assert pump.writer.queue_free == 2


async def test_a_failing_disk_is_retried_and_nothing_is_lost_or_duplicated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pump = Pump(tmp_path)
    real_link, refusals = os.link, [OSError(28, "No space left on device")]

    def full_once(source: Path, target: Path) -> None:
        if refusals:
            raise refusals.pop()
        real_link(source, target)

    monkeypatch.setattr(os, "link", full_once)
    pump.writer.put_nowait(BUCKET, "1")

    await pump.writer.flush()

    assert pump.lines() == ["1"]
    assert pump.counters["main"].snapshot().unaccounted == 0


async def test_close_does_not_wait_for_a_failing_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pump = Pump(tmp_path)

    def full(*_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    pump.writer.put_nowait(BUCKET, "1")

    await pump.writer.close()

    assert pump.counters["main"].snapshot().in_batch == 1


async def test_a_stop_in_the_middle_of_writing_puts_every_batch_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pump, loop, first_file = Pump(tmp_path), asyncio.get_running_loop(), asyncio.Event()
    real_put = pump.spool.put

    def put(batch: Batch) -> None:
        loop.call_soon_threadsafe(first_file.set)
        real_put(batch)

    monkeypatch.setattr(pump.spool, "put", put)
    for number in range(200):
        pump.writer.put_nowait(BUCKET, str(number))
    running = asyncio.create_task(pump.writer.run())
    await first_file.wait()
    running.cancel()
    await pump.writer.close()

    assert pump.lines() == [str(number) for number in range(200)]
    assert pump.counters["main"].snapshot().unaccounted == 0


async def test_drained_waits_for_what_is_there_and_not_for_what_arrives_later(tmp_path: Path) -> None:
    pump = Pump(tmp_path)
    await asyncio.wait_for(pump.writer.drained("main"), DEADLINE_SECONDS)
    pump.writer.put_nowait(BUCKET, "1")
    await pump.writer.flush()
    drained = asyncio.create_task(pump.writer.drained("main"))
    await asyncio.sleep(0)
    pump.writer.put_nowait(BUCKET, "2")
    await pump.writer.flush()
    assert not drained.done()

    first = pump.spool.claim("main", BUCKET)
    assert first is not None
    pump.spool.acknowledge(first)

    await asyncio.wait_for(drained, DEADLINE_SECONDS)
    assert pump.spool.level("main").files == 1
