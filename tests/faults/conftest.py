"""What every fault test needs."""

from pathlib import Path

import pytest

from tools.bootstrap import programs


@pytest.fixture
def influxd() -> Path:
    """The program; without it the test fails, it never skips."""
    found = programs.find("influxd")
    if found is None:
        pytest.fail("influxd is not here: `make setup` gets it, or says how it can be had", pytrace=False)
    return found
