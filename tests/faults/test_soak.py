"""Five faults of the soak: 164 pairs, two collectors, an audit at the end. `make soak` does an hour."""

import asyncio
from pathlib import Path

from rich.console import Console

from tools.faults.soak import soak, soak_row

MINUTES = 7
"""Two of them fill the stores; the faults begin after that."""


def test_minutes_of_random_faults_leave_nothing_to_find_for_an_audit(tmp_path: Path, influxd: Path) -> None:
    row = soak_row(MINUTES, pairs=164, seed=15)
    assert asyncio.run(soak(row, tmp_path, influxd, Console(soft_wrap=True)))
