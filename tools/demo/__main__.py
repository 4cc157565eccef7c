"""`make demo`: python -m tools.demo, with EXCHANGE=simulator|binance and DEMO_SECONDS=n in the environment.

Exit codes: 0 the check passed, or, without DEMO_SECONDS, the demo was ended by Ctrl-C or SIGTERM; 1 the check failed or
a process died; 2 it cannot start as requested; 130 it was ended before the check that DEMO_SECONDS requested.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time

from rich.console import Console

from tools.demo import stack
from tools.demo.display import Display
from tools.demo.folder import Folder, InUse
from tools.demo.processes import ChildDied, Children
from tools.demo.servers import CannotStart
from tools.demo.session import CheckFailed, Session
from tools.demo.settings import BadSetting, Settings, from_environment
from tools.demo.view import View

DONE, FAILED, CANNOT_START, INTERRUPTED = 0, 1, 2, 130
END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Run the demo; returns the exit code."""
    os.umask(0o077)
    try:
        settings = from_environment(os.environ)
        asyncio.run(stack.check_exchange(settings))
        folder = Folder(settings.folder)
    except (BadSetting, CannotStart, InUse) as error:
        print(f"demo: {error}", file=sys.stderr)
        return CANNOT_START
    children = stack.children_of(folder)
    try:
        return asyncio.run(_run(settings, folder, children))
    finally:
        _end(children)
        folder.release()


async def _run(settings: Settings, folder: Folder, children: Children) -> int:
    ended = asyncio.Event()
    for number in END_SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # under nohup, continue
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
    view = View(settings.exchange, str(folder.logs), seconds=settings.seconds, started_at=time.monotonic())
    with Display(Console()) as display:
        session = Session(settings, folder, children, display, view)
        work = asyncio.create_task(session.work())
        # The order in which errors are reported: a process that died is the reason for whatever failed with it.
        tasks = (asyncio.create_task(children.watch()), work, asyncio.create_task(ended.wait()))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            finished = [task for task in tasks if task.done()]
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for task in finished:
            if error := task.exception():
                return _report(display, error)
        if ended.is_set():
            display.say_at_end(f"ended; the logs are in {folder.logs}")
            return DONE if settings.seconds is None else INTERRUPTED
        display.say_at_end(f"all results: {folder.summary_file}")
        return DONE if work.result() else FAILED


def _report(display: Display, error: BaseException) -> int:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if not isinstance(error, CannotStart | ChildDied | CheckFailed):
        raise error
    display.say_at_end(f"demo: {error}")
    return CANNOT_START if isinstance(error, CannotStart) else FAILED


def _end(children: Children) -> None:
    """Stop every child in order; a second Ctrl-C means that the user does not want to wait."""
    try:
        children.stop()
    except KeyboardInterrupt:
        with contextlib.suppress(ProcessLookupError):
            children.kill()


if __name__ == "__main__":
    sys.exit(main())
