"""Work that several wait for at the same time is done once."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class SingleFlight[Key, Result]:
    """The work under way by key. It goes on if nobody waits for it any longer: who asks next finds it.

    `failed(key, error)` sees what work ended with, once, before those who wait do; what it raises goes to the event
    loop's exception handler.
    """

    def __init__(self, failed: Callable[[Key, BaseException], None]) -> None:
        self._failed = failed
        self._tasks: dict[Key, asyncio.Task[Result]] = {}

    def __contains__(self, key: Key) -> bool:
        return key in self._tasks

    def task(self, key: Key, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Return the task under way by that key, else a new one of `work`. Wait for it by `asyncio.wait` or `shield`:
        to await it bare would end it with the first who gives up.
        """
        task = self._tasks.get(key)
        if task is not None:
            work.close()
            return task
        task = self._tasks[key] = asyncio.create_task(work)
        task.add_done_callback(lambda done: self._ended(key, done))
        return task

    async def close(self) -> None:
        """Cancel what is under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, key: Key, task: asyncio.Task[Result]) -> None:
        del self._tasks[key]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(key, error)
