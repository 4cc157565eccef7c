"""Runs work once if several callers wait for it at the same time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class SingleFlight[Key, Result]:
    """Work in progress, by key. It continues when nobody waits for it any more, and the next caller finds it.

    `failed(key, error)` is called once with the error that ended the work, before those who wait see it; if it raises,
    the event loop's exception handler gets that.
    """

    def __init__(self, failed: Callable[[Key, BaseException], None]) -> None:
        self._failed = failed
        self._tasks: dict[Key, asyncio.Task[Result]] = {}

    def __contains__(self, key: Key) -> bool:
        return key in self._tasks

    def task(self, key: Key, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Return the running task for that key, else a new one for `work`.

        Wait for it with `asyncio.wait` or `shield`: awaiting it directly would cancel it with the first who gives up.
        """
        task = self._tasks.get(key)
        if task is not None:
            work.close()
            return task
        task = self._tasks[key] = asyncio.create_task(work)
        task.add_done_callback(lambda done: self._ended(key, done))
        return task

    async def close(self) -> None:
        """Cancel everything in progress."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, key: Key, task: asyncio.Task[Result]) -> None:
        del self._tasks[key]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(key, error)
