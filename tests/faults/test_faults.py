"""The fast third of the fault table: every row ends with each candle stored, once and right. `make faults` runs all."""

import asyncio
from pathlib import Path

from rich.console import Console

from tools.faults.rows import ROWS
from tools.faults.runner import run_rows

LEAD_SECONDS = 75.0
"""These rows need the close at midnight alone: the fill has this long before the first fault."""


def test_the_fast_rows_of_the_fault_table_are_clean(tmp_path: Path, influxd: Path) -> None:
    rows = [row for row in ROWS if row.fast]
    assert len(rows) >= len(ROWS) // 3
    results = asyncio.run(
        run_rows(rows, tmp_path, influxd, at_once=len(rows), console=Console(), lead_seconds=LEAD_SECONDS)
    )
    assert {result.row.name: result.problems for result in results if not result.clean} == {}
