"""Runs many rows in parallel."""

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from tools.faults import engine
from tools.faults.engine import Result
from tools.faults.row import LEAD_SECONDS, Row

STAGGER_SECONDS = 4.0
"""Rows start one after another, so that two cores do not have to fill ten stores at once."""


async def run_rows(
    rows: Sequence[Row],
    folder: Path,
    influxd: Path,
    *,
    at_once: int,
    console: Console,
    lead_seconds: float = LEAD_SECONDS,
) -> list[Result]:
    """Run rows, this many at a time, each in its own folder; returns results in the order of the rows."""
    places = asyncio.Semaphore(at_once)
    starting = asyncio.Lock()

    async def run_one(index: int, row: Row) -> Result:
        async with places:
            async with starting:
                await asyncio.sleep(STAGGER_SECONDS if index else 0)
            own = folder / f"{index:02d}"
            own.mkdir()
            (own / "row").write_text(row.name + "\n")
            result = await engine.run(row, own, influxd, lead_seconds=lead_seconds)
            tell(result, own, console)
            if result.clean:
                shutil.rmtree(own / "influxdb", ignore_errors=True)
            return result

    return await asyncio.gather(*(run_one(index, row) for index, row in enumerate(rows)))


def tell(result: Result, folder: Path, console: Console) -> None:
    """Print a line with the result of a row, and one for each problem."""
    verdict = "clean" if result.clean else "FAILED"
    notes = "".join(f"; {note}" for note in result.notes)
    console.print(f"{verdict:6} {result.row.name} ({result.took_seconds:.0f} s, {folder}{notes})", highlight=False)
    for problem in result.problems:
        console.print(f"       {problem}", style="red", highlight=False)
