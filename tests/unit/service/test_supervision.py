"""The watchdog is pinged while all parts progress, and READY is sent once; systemd's socket is a real one."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.run import Service, Supervisor, nothing
from service.systemd import Notifier

START_PATIENCE_SECONDS = 30.0


class Clock:
    """A clock moved by the test."""

    def __init__(self) -> None:
        self.now = 1000.0

    def seconds(self) -> float:
        return self.now


class Readings:
    """A supervisor whose inputs are set by the test."""

    def __init__(self, notifier: Notifier, clock: Clock) -> None:
        self.started = False
        self.not_ready: list[str] = []
        self.stuck: list[str] = []
        service = Service(
            nothing,
            started=lambda: self.started,
            start_patience_seconds=START_PATIENCE_SECONDS,
            not_ready=lambda: self.not_ready,
            stuck=lambda: self.stuck,
        )
        self.supervisor = Supervisor(notifier, service, clock.seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(10)
        yield listener


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


def test_a_systemd_that_does_not_read_blocks_nothing(systemd: socket.socket) -> None:
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


def test_ready_is_sent_once_when_the_service_has_started(clock: Clock) -> None:
    service = Readings(Notifier({}), clock)
    assert "READY=1" not in service.supervisor.message()
    service.started = True
    assert "READY=1" in service.supervisor.message()
    assert "READY=1" not in service.supervisor.message()


def test_the_service_starts_even_if_others_are_down(clock: Clock) -> None:
    service = Readings(Notifier({}), clock)
    clock.now += START_PATIENCE_SECONDS
    assert "READY=1" in service.supervisor.message()


def test_a_stuck_part_stops_the_pings_and_is_shown_in_the_status(clock: Clock) -> None:
    service = Readings(Notifier({}), clock)
    service.not_ready = ["3 pairs are stale"]
    assert service.supervisor.message() == ["WATCHDOG=1", "STATUS=3 pairs are stale"]
    service.stuck = ["the writer has not moved"]
    assert service.supervisor.message() == ["STATUS=the writer has not moved"]
    service.stuck, service.not_ready = [], []
    assert service.supervisor.message() == ["WATCHDOG=1", "STATUS=ready"]


async def test_the_supervisor_pings_several_times_in_each_period(systemd: socket.socket, clock: Clock) -> None:
    service = Readings(notifier_to(systemd, WATCHDOG_USEC="300000"), clock)
    service.started = True
    running = asyncio.create_task(service.supervisor.run())
    messages = [await asyncio.to_thread(systemd.recv, 1000) for _ in range(4)]
    running.cancel()

    assert messages[0] == b"WATCHDOG=1\nREADY=1\nSTATUS=ready"
    assert set(messages[1:]) == {b"WATCHDOG=1\nSTATUS=ready"}
