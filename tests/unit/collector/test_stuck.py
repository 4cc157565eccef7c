"""Which parts of the collector have stopped making steps, and which are only waiting."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.delivery.batch import Batcher
from collector.delivery.points import PointCounters
from collector.delivery.spool import Spool
from collector.delivery.writer import Writer
from collector.feed.connection import ConnectionState
from collector.feed.pacing import WINDOW_SECONDS
from collector.observe.health import FEED_STUCK_SECONDS, WRITER_STUCK_SECONDS, stuck
from exchange.events import CANDLES, MARK_PRICE

BUCKET = "market_data"


class Clock:
    """A clock set by the test."""

    def __init__(self) -> None:
        self.now = 1000.0

    def nanoseconds(self) -> int:
        return int(self.now * 1e9)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def writer(tmp_path: Path, clock: Clock) -> Iterator[Writer]:
    counters = {"main": PointCounters()}
    spool = Spool(tmp_path / "spool", counters, max_bytes=10**9, max_files=1_000)
    spool.recover()
    yield Writer(Batcher(), spool, counters, wake=lambda _bucket: None, clock_ns=clock.nanoseconds)
    spool.close()


def test_a_writer_with_nothing_to_do_is_not_stuck(writer: Writer, clock: Clock) -> None:
    clock.now += 10 * WRITER_STUCK_SECONDS
    assert stuck(writer, [], clock.now) == []
    writer.put_nowait(BUCKET, "1")
    assert stuck(writer, [], clock.now) == []


async def test_a_writer_that_does_not_move_while_points_wait_is_stuck(writer: Writer, clock: Clock) -> None:
    writer.put_nowait(BUCKET, "1")
    clock.now += WRITER_STUCK_SECONDS + 1
    writer.put_nowait(BUCKET, "2")
    assert len(stuck(writer, [], clock.now)) == 1

    await writer.flush()
    assert stuck(writer, [], clock.now) == []


def test_a_connection_that_neither_delivers_nor_retries_is_stuck(writer: Writer, clock: Clock) -> None:
    retrying = ConnectionState(CANDLES, 200, progressed_at=clock.now - WINDOW_SECONDS)
    hung = ConnectionState(MARK_PRICE, 200, open=True, progressed_at=clock.now - FEED_STUCK_SECONDS - 1)
    assert stuck(writer, [retrying], clock.now) == []
    assert len(stuck(writer, [retrying, hung], clock.now)) == 1
