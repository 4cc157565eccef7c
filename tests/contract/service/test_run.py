"""A service's life, as a process that gets real signals and talks to a real socket in place of systemd's."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.contract.repository.test_repository import ROOT
from tests.support import BUSY

type Started = Callable[..., subprocess.Popen[str]]

PROGRAM = """
import asyncio
from service.run import Service, run_service

def step(name):
    async def run():
        await asyncio.sleep(0)  # lets the work run, if it was cancelled already
        print(name, flush=True)
    return run

async def work():
    print("working", flush=True)
    try:
        {work}
    finally:
        print("work ends", flush=True)

async def build(stack):
    {build}
    stack.callback(print, "unwound", flush=True)
    return Service(work, drain=step("drained"), close=step("closed"))

asyncio.run(run_service(build))
"""
FOREVER = "await asyncio.Event().wait()"


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    with ExitStack() as running:
        yield lambda **given: running.enter_context(_running(tmp_path / "program.py", **given))


@contextmanager
def _running(
    file: Path, *, work: str = FOREVER, build: str = "pass", notify: str = ""
) -> Iterator[subprocess.Popen[str]]:
    file.write_text(textwrap.dedent(PROGRAM).format(work=work, build=build))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NOTIFY_SOCKET": notify}
    pipe = subprocess.PIPE
    command = [sys.executable, str(file)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def the_rest(process: subprocess.Popen[str]) -> tuple[int, list[str], str]:
    out, err = process.communicate("\n", timeout=30 * BUSY)
    return process.returncode, out.split("\n")[:-1], err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_drains_then_ends_the_work_then_closes_then_unwinds(started: Started, number: signal.Signals) -> None:
    process = started()
    assert first_line(process) == "working"
    process.send_signal(number)
    assert the_rest(process) == (0, ["drained", "work ends", "closed", "unwound"], "")


def test_a_stop_during_the_build_stops_the_service(started: Started) -> None:
    process = started(build='print("building", flush=True); await asyncio.to_thread(input)')
    assert first_line(process) == "building"
    process.send_signal(signal.SIGTERM)
    code, lines, errors = the_rest(process)
    assert (code, lines, errors) == (0, ["working", "drained", "work ends", "closed", "unwound"], "")


@pytest.mark.parametrize(
    ("work", "error"),
    [("raise OSError('the disk is gone')", "the disk is gone"), ("pass", "the service's work ended on its own")],
)
def test_work_that_ends_without_a_stop_ends_the_process_with_its_error(started: Started, work: str, error: str) -> None:
    code, lines, errors = the_rest(started(work=work))
    assert (code, lines) == (1, ["working", "work ends", "unwound"])
    assert error in errors


def test_an_error_in_the_build_is_raised_and_nothing_runs(started: Started) -> None:
    code, lines, errors = the_rest(started(build="raise ValueError('wrong configuration')"))
    assert (code, lines) == (1, [])
    assert "wrong configuration" in errors


def test_systemd_is_notified_of_start_and_stop(started: Started, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30 * BUSY)
        process = started(notify=str(tmp_path / "notify"))
        assert systemd.recv(1000) == b"WATCHDOG=1\nREADY=1\nSTATUS=ready"
        process.terminate()
        assert systemd.recv(1000) == b"STOPPING=1\nSTATUS=stopping"
    assert the_rest(process)[0] == 0
