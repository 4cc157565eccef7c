"""Two collectors write the same pairs under the same keys: the store is their union, whichever of them is there."""

import asyncio
from pathlib import Path

from rich.console import Console

from tools.faults.rows import chosen
from tools.faults.runner import run_rows

LEAD_SECONDS = 200.0


def test_either_of_two_collectors_may_be_killed_or_lag_and_the_store_is_exact(tmp_path: Path, influxd: Path) -> None:
    """Killed in turns over two closes; and one away over a close whose spool comes late."""
    rows = chosen("one of two collectors*")
    assert len(rows) >= 3
    results = asyncio.run(
        run_rows(rows, tmp_path, influxd, at_once=len(rows), console=Console(), lead_seconds=LEAD_SECONDS)
    )
    assert {result.row.name: result.problems for result in results if not result.clean} == {}
