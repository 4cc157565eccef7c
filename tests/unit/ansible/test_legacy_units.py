"""What is done to an old unit in each phase, whatever state it is in."""

from dataclasses import replace
from typing import Any

import pytest
from legacy_units import Refused, Unit, steps

FILE = "/etc/systemd/system/old.service"
LINK = "/etc/systemd/system/multi-user.target.wants/old.service"
RUNNING = Unit("old.service", "loaded", "active", "enabled", FILE, (FILE, LINK))
QUIET = replace(RUNNING, active="inactive", enabled="disabled", own_files=(FILE,))
MISSING = Unit("old.service", "not-found", "inactive", "")
MASKED = Unit("old.service", "masked", "inactive", "masked", mask=True)
PACKAGED = Unit("old.service", "loaded", "inactive", "disabled", "/usr/lib/systemd/system/old.service")


def record(**changes: Any) -> dict[str, Any]:
    return {"state": "quiesced", "load": "loaded", "runs": True, "starts": True, "files": [], **changes}


@pytest.mark.parametrize(
    ("phase", "unit", "planned"),
    [
        ("report", RUNNING, []),
        ("quiesce", RUNNING, ["record", "stop", "disable"]),
        ("quiesce", replace(RUNNING, active="failed"), ["record", "disable"]),
        ("quiesce", replace(RUNNING, active="inactive", record=record()), ["disable"]),
        ("quiesce", replace(RUNNING, record=record(state="rolled back")), ["record", "stop", "disable"]),
        ("quiesce", replace(MASKED, active="active"), ["record", "stop"]),
        ("quiesce", QUIET, []),
        ("quiesce", MISSING, []),
        ("quiesce", MASKED, []),
        ("remove", replace(QUIET, record=record()), ["archive", "remove", "mask"]),
        ("remove", QUIET, ["record", "archive", "remove", "mask"]),
        ("remove", replace(QUIET, active="failed", record=record()), ["archive", "remove", "mask", "reset"]),
        ("remove", PACKAGED, ["record", "mask"]),
        ("remove", MISSING, []),
        ("remove", MASKED, []),
        ("rollback", RUNNING, []),
        ("rollback", MISSING, []),
        ("rollback", replace(QUIET, record=record()), ["enable", "start", "finish"]),
        ("rollback", replace(MASKED, record=record(files=[FILE])), ["unmask", "restore", "enable", "start", "finish"]),
        ("rollback", replace(MASKED, record=record(load="masked", starts=False)), ["start", "finish"]),
        ("rollback", replace(RUNNING, record=record(state="rolled back")), []),
    ],
)
def test_the_steps_of_a_phase(phase: str, unit: Unit, planned: list[str]) -> None:
    assert steps(phase, unit, ("old.service",)) == planned


@pytest.mark.parametrize("unit", [RUNNING, replace(QUIET, active="active"), replace(QUIET, enabled="enabled")])
def test_a_unit_that_runs_or_would_be_started_is_not_removed(unit: Unit) -> None:
    with pytest.raises(Refused, match="quiesce it first"):
        steps("remove", unit, ("old.service",))


def test_a_unit_that_another_one_needs_is_not_stopped_unless_that_is_listed_too() -> None:
    needed = replace(RUNNING, needed_by=("other.service",))
    with pytest.raises(Refused, match=r"other\.service would stop with it"):
        steps("quiesce", needed, ("old.service",))
    assert "stop" in steps("quiesce", needed, ("old.service", "other.service"))
