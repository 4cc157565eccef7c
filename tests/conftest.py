"""Applies to every test: the integration mark by folder, Hypothesis' profiles. Helpers: tests/support/__init__.py.

ci      the default: the same examples in every run, so that a commit is judged by its own change
fuzz    `make fuzz`: random ones, FUZZ_TIMES as many (tools/fuzz.py), with what to paste to see a failure again
"""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support import EXAMPLES

# Tests ask servers on this machine by urllib, which would take a proxy of the environment for them.
os.environ["no_proxy"] = ",".join(filter(None, [os.environ.get("no_proxy"), "localhost", "127.0.0.1"]))

INTEGRATION = Path(__file__).parent / "integration"

# A timing is never a test: a busy machine must not fail one.
NO_CLOCK = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None, print_blob=True
)
settings.register_profile("ci", NO_CLOCK, derandomize=True)
settings.register_profile(
    "fuzz", NO_CLOCK, derandomize=False, max_examples=EXAMPLES * int(os.environ.get("FUZZ_TIMES") or 1)
)
settings.load_profile("ci")


def pytest_configure() -> None:
    """A run in the background ignores SIGINT, and so would what the tests start and end by Ctrl-C."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if INTEGRATION in item.path.parents:
            item.add_marker(pytest.mark.integration)
