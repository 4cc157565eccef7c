"""The exchange's limits against the simulator's log: every way to overstep them is named."""

from typing import Any

import pytest

from simulator.limits import Limits
from tools.faults.limits import MINUTE_MS, broken

MIDNIGHT_MS = 1_790_000_000_000 // 86_400_000 * 86_400_000


def log_of(*minutes: dict[str, int]) -> list[dict[str, Any]]:
    """A log of one address, one entry a minute, as the simulator writes it."""
    limits = Limits()
    for index, values in enumerate(minutes):
        entry = limits.minute("127.0.0.1", MIDNIGHT_MS + index * MINUTE_MS)
        for name, value in values.items():
            setattr(entry, name, value)
    return limits.log()


def test_a_log_within_every_limit_is_not_broken() -> None:
    assert broken(log_of({"weight": 2_400, "connects": 60, "streams_max": 1_024}, {"weight": 2_400})) == []


@pytest.mark.parametrize(
    "values",
    [
        {"weight": 2_401},
        {"streams_max": 1_025},
        {"streams_refused": 1},
        {"messages_refused": 1},
        {"refused_429": 1},
        {"refused_418": 1},
        {"connects_refused": 1},
        {"connects": 301},
        {"funding_requests": 501},
    ],
    ids=str,
)
def test_one_step_over_a_limit_is_named(values: dict[str, int]) -> None:
    found = broken(log_of({}, values))
    assert found
    assert all(next(iter(values)) in line for line in found)


def test_connects_count_over_five_minutes() -> None:
    assert broken(log_of(*[{"connects": 60}] * 10)) == []
    assert broken(log_of(*[{"connects": 61}] * 5))
