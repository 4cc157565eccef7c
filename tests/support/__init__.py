"""What tests share: waiting with a deadline, free ports, processes. Nothing else in tests/ waits by the clock."""

import asyncio
import inspect
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from hypothesis import settings

from tools.ports import free_port as free_port  # tests take it from here

POLL_SECONDS = 0.05
BUSY = 4
"""How many times as long as on a quiet machine a test waits before it fails: others may want the cores too."""

REQUEST_SECONDS = 60
"""How long a server on this machine may take to answer one request: for ever, were it not for one that hangs."""

EXAMPLES = 100
"""Of a property that does not say how many."""


def eventually[T](predicate: Callable[[], T], timeout_seconds: float = 10, *, what: str = "") -> T:
    """Call a predicate until it returns something true, and return that; AssertionError if it never does.

    `timeout_seconds` is enough on a quiet machine.
    """
    deadline = time.monotonic() + timeout_seconds * BUSY
    while not (value := predicate()):
        if time.monotonic() > deadline:
            raise AssertionError(_late(predicate, timeout_seconds, what, value))
        time.sleep(POLL_SECONDS)
    return value


async def eventually_async[T](
    predicate: Callable[[], T | Awaitable[T]], timeout_seconds: float = 10, *, what: str = ""
) -> T:
    """`eventually` for tests that run in an event loop; the predicate may be a coroutine function."""
    deadline = time.monotonic() + timeout_seconds * BUSY
    while True:
        answer = predicate()
        value: T = await answer if inspect.isawaitable(answer) else answer
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(_late(predicate, timeout_seconds, what, value))
        await asyncio.sleep(POLL_SECONDS)


def examples(count: int) -> int:
    """How many examples a property takes that takes `count` in `make test`: as many times more as `make fuzz` asks."""
    return count * settings().max_examples // EXAMPLES


def end(process: subprocess.Popen[bytes], timeout_seconds: float = 10) -> int:
    """End a process that a test started: SIGTERM, and SIGKILL if it never goes. Returns its exit code."""
    process.terminate()
    try:
        return process.wait(timeout_seconds * BUSY)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait(timeout_seconds)


def tail(log: Path, lines: int = 30) -> str:
    """The end of a process's log, for the message of a failed assertion."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def _late(predicate: object, timeout_seconds: float, what: str, value: object) -> str:
    return (
        f"{what or getattr(predicate, '__name__', predicate)}: not within {timeout_seconds * BUSY} s (last: {value!r})"
    )


@asynccontextmanager
async def http_server(handle: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """A server on a free port whose every request goes to `handle`; gives its URL."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    # A test that is over waits for no answer that it has kept open.
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
