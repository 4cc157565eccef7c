"""Which event loop to run on: uvloop if it passes a start-up test, else asyncio's own.

The predecessor of this service did not start with its combination of Python and uvloop; the test takes 2 ms.
"""

import asyncio
import logging
from collections.abc import Callable

log = logging.getLogger(__name__)

type LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def loop_factory() -> LoopFactory:
    """Return uvloop's factory if a timer, a thread and a task group work on it, else asyncio's."""
    try:
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_start_up_test())
    except Exception as error:  # noqa: BLE001 - whatever is wrong with uvloop, asyncio's own loop works
        log.warning('uvloop does not work fallback=asyncio error="%r"', error)
        return asyncio.new_event_loop
    return uvloop.new_event_loop


async def _start_up_test() -> None:
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(0.001))
        group.create_task(asyncio.to_thread(int))
