"""`make faults`: run the rows in parallel and print the table.

    FAULTS_ROWS=pattern       only rows whose name matches (fnmatch, or part of the name)
    FAULTS_AT_ONCE=n          concurrent rows; 10 for two cores, because rows mostly wait
    FAULTS_FOLDER=path        folder for the rows' files; default: .faults in the repository

Exit codes: 0 every row is clean, 1 a row is not, 2 it could not start.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Coroutine
from pathlib import Path

from rich.console import Console

from tools.bootstrap import programs
from tools.demo.settings import ROOT
from tools.faults.engine import Result
from tools.faults.rows import NoSuchRow, chosen
from tools.faults.runner import run_rows
from tools.faults.table import table

CLEAN, NOT_CLEAN, CANNOT_START, INTERRUPTED = 0, 1, 2, 130


def main() -> int:
    """Run the rows that the environment selects."""
    console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else 160)
    influxd = programs.find("influxd")
    try:
        rows = chosen(os.environ.get("FAULTS_ROWS") or "*")
        at_once = int(os.environ.get("FAULTS_AT_ONCE") or 10)
    except (NoSuchRow, ValueError) as error:
        console.print(f"faults: {error}")
        return CANNOT_START
    if influxd is None:
        console.print("faults: influxd is missing: run `make setup` to see how to get it")
        return CANNOT_START
    folder = Path(os.environ.get("FAULTS_FOLDER") or ROOT / ".faults")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    started = time.monotonic()
    results = _until_signal(run_rows(rows, folder, influxd, at_once=at_once, console=console))
    if results is None:
        return INTERRUPTED
    console.print(table(results))
    clean = sum(result.clean for result in results)
    console.print(f"{clean} of {len(results)} rows are clean, in {(time.monotonic() - started) / 60:.1f} min")
    return CLEAN if clean == len(results) else NOT_CLEAN


def _until_signal(work: Coroutine[None, None, list[Result]]) -> list[Result] | None:
    async def supervised() -> list[Result] | None:
        task = asyncio.ensure_future(work)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            return await task
        return None

    return asyncio.run(supervised())


if __name__ == "__main__":
    sys.exit(main())
