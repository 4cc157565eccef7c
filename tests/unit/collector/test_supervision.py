"""The watchdog is pinged while the parts progress, and the start is told once; systemd's socket is a real one."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.delivery.batch import Batcher
from collector.delivery.points import PointCounters
from collector.delivery.spool import Spool
from collector.delivery.writer import Writer
from collector.feed.connection import ConnectionState
from collector.feed.pacing import WINDOW_SECONDS
from collector.observe.supervision import (
    FEED_STUCK_SECONDS,
    START_PATIENCE_SECONDS,
    WRITER_STUCK_SECONDS,
    Supervisor,
    stuck,
)
from exchange.events import CANDLES, MARK_PRICE
from service.systemd import Notifier

BUCKET = "market_data"


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 1000.0

    def seconds(self) -> float:
        return self.now

    def nanoseconds(self) -> int:
        return int(self.now * 1e9)


class Service:
    """A supervisor whose readings a test sets."""

    def __init__(self, notifier: Notifier, clock: Clock) -> None:
        self.delivering = False
        self.not_ready: list[str] = []
        self.stuck: list[str] = []
        self.supervisor = Supervisor(
            notifier,
            delivering=lambda: self.delivering,
            not_ready=lambda: self.not_ready,
            stuck=lambda: self.stuck,
            monotonic=clock.seconds,
        )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(10)
        yield listener


@pytest.fixture
def writer(tmp_path: Path, clock: Clock) -> Iterator[Writer]:
    counters = {"main": PointCounters()}
    spool = Spool(tmp_path / "spool", counters, max_bytes=10**9, max_files=1_000)
    spool.recover()
    yield Writer(Batcher(), spool, counters, wake=lambda _bucket: None, clock_ns=clock.nanoseconds)
    spool.close()


def notifier_to(listener: socket.socket, **environment: str) -> Notifier:
    return Notifier({"NOTIFY_SOCKET": listener.getsockname(), **environment})


def test_a_message_reaches_the_socket_that_systemd_names(systemd: socket.socket) -> None:
    notifier_to(systemd).tell("READY=1", "STATUS=two\nlines")

    assert systemd.recv(1000) == b"READY=1\nSTATUS=two lines"


def test_a_socket_in_the_abstract_namespace_is_reached() -> None:
    name = f"marketdata-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        listener.settimeout(10)
        Notifier({"NOTIFY_SOCKET": f"@{name}"}).tell("READY=1")
        assert listener.recv(100) == b"READY=1"


def test_without_systemd_nothing_is_sent() -> None:
    notifier = Notifier({})
    notifier.tell("READY=1")
    assert notifier.watchdog_seconds is None


def test_a_systemd_that_does_not_read_holds_nobody_up(systemd: socket.socket) -> None:
    notifier = notifier_to(systemd)
    for _ in range(2_000):  # more than any socket's queue
        notifier.tell("STATUS=" + "x" * 1_000)


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
    ],
)
def test_the_watchdog_is_ours_only_if_it_names_us(environment: dict[str, str], seconds: float | None) -> None:
    assert Notifier(environment).watchdog_seconds == seconds


def test_the_start_is_told_once_and_with_the_first_frame(clock: Clock) -> None:
    service = Service(Notifier({}), clock)
    assert "READY=1" not in service.supervisor.message()
    service.delivering = True
    assert "READY=1" in service.supervisor.message()
    assert "READY=1" not in service.supervisor.message()


def test_an_exchange_that_is_away_does_not_keep_the_service_from_starting(clock: Clock) -> None:
    service = Service(Notifier({}), clock)
    clock.now += START_PATIENCE_SECONDS
    assert "READY=1" in service.supervisor.message()


def test_what_is_stuck_stops_the_pings_and_is_what_people_read(clock: Clock) -> None:
    service = Service(Notifier({}), clock)
    service.not_ready = ["3 pairs are stale"]
    assert service.supervisor.message() == ["WATCHDOG=1", "STATUS=3 pairs are stale"]
    service.stuck = ["the writer has not moved"]
    assert service.supervisor.message() == ["STATUS=the writer has not moved"]
    service.stuck, service.not_ready = [], []
    assert service.supervisor.message() == ["WATCHDOG=1", "STATUS=ready"]


async def test_the_supervisor_pings_several_times_in_each_period(systemd: socket.socket, clock: Clock) -> None:
    service = Service(notifier_to(systemd, WATCHDOG_USEC="300000"), clock)
    service.delivering = True
    running = asyncio.create_task(service.supervisor.run())
    messages = [await asyncio.to_thread(systemd.recv, 1000) for _ in range(4)]
    running.cancel()

    assert messages[0] == b"WATCHDOG=1\nREADY=1\nSTATUS=ready"
    assert set(messages[1:]) == {b"WATCHDOG=1\nSTATUS=ready"}


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
