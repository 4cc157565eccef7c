"""An event loop whose time passes only when everything waits: hours of waiting take no time, in the same order."""

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs timers in their order and work for threads at once. Its time, seconds, begins at 0."""

    def __init__(self) -> None:
        self.now_seconds = 0.0
        super().__init__(_Leaping(self))
        self._clock_resolution = 1e-6  # far above what a float of months resolves: a timer due now is due
        self.set_default_executor(_AtOnce())

    def time(self) -> float:
        return self.now_seconds

    def pass_time(self, seconds: float) -> None:
        """Let everything happen that is due in the next seconds."""
        self.run_until_complete(elapse(seconds))

    def suspend(self, seconds: float) -> None:
        """Let time pass in which nothing runs; what became due meanwhile is late."""
        self.now_seconds += seconds

    def close(self) -> None:
        """Cancel what still runs, and end."""
        tasks = asyncio.all_tasks(self)
        for task in tasks:
            task.cancel()
        if tasks:
            self.run_until_complete(asyncio.wait(tasks))
        super().close()


async def elapse(seconds: float) -> None:
    """Return when so much of the loop's time has passed."""
    loop = asyncio.get_running_loop()
    over = loop.create_future()
    timer = loop.call_later(seconds, over.set_result, None)
    try:
        await over
    finally:
        timer.cancel()


class _Leaping(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        events: list[Any] = super().select(0)
        if not events and timeout is None:
            raise RuntimeError("everything waits for something that never comes")
        if not events and timeout:
            self._loop.now_seconds += timeout
        return events


class _AtOnce(ThreadPoolExecutor):
    def submit[**P, T](self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - whoever waits for it raises it
            future.set_exception(error)
        return future
