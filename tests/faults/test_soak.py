"""A few minutes of the soak: random faults, two collectors, an audit at the end. `make soak` does an hour of it."""

import asyncio
from pathlib import Path

import pytest
from rich.console import Console

from tools import programs
from tools.faults.soak import soak, soak_row

LEAD_SECONDS = 60.0
FILL_SECONDS = 40.0
"""Two dozen pairs are filled within it."""


def test_minutes_of_random_faults_leave_nothing_to_find_for_an_audit(tmp_path: Path) -> None:
    influxd = programs.find("influxd")
    if influxd is None:
        pytest.fail("influxd is not here: `make setup` gets it, or says how it can be had", pytrace=False)
    row = soak_row(4, pairs=24, seed=15, lead_seconds=LEAD_SECONDS, fill_seconds=FILL_SECONDS)
    assert asyncio.run(soak(row, tmp_path, influxd, Console(soft_wrap=True), lead_seconds=LEAD_SECONDS))
