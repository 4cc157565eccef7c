"""What must be done to take old systemd units out of service, or to bring them back. Pure; Python 3.11 or later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

ROLLED_BACK = "rolled back"
STOPPED = ("inactive", "failed")


class Refused(Exception):
    """The phase would do harm as things are; one line says what and what to do first."""


@dataclass(frozen=True)
class Unit:
    """One unit as its host has it.

    load, active, enabled: as `systemctl show` calls them (loaded, masked, not-found; active, inactive, failed; enabled,
    disabled, static, masked). own_files: what lies in /etc/systemd/system for it, links of targets among them; mask:
    its link to /dev/null is there. needed_by: active units that stop with it. record: what an earlier run noted.
    """

    name: str
    load: str
    active: str
    enabled: str
    path: str = ""
    own_files: tuple[str, ...] = ()
    mask: bool = False
    needed_by: tuple[str, ...] = ()
    record: Mapping[str, Any] | None = field(default=None)

    @property
    def runs(self) -> bool:
        return self.active not in STOPPED

    @property
    def starts(self) -> bool:
        """Whether the host starts it by itself."""
        return self.enabled in ("enabled", "enabled-runtime")

    @property
    def noted(self) -> bool:
        """Whether a record says how it was before it was quiesced."""
        return self.record is not None and self.record["state"] != ROLLED_BACK


def steps(phase: str, unit: Unit, listed: tuple[str, ...]) -> list[str]:
    """The steps of a phase for the unit, in order; none where nothing is left to do. Raises Refused.

    record: note how it is; stop, disable; archive: save its files; remove: delete them; mask, unmask; reset: forget
    that it failed; restore: put its files back; enable, start; finish: note that it is as it was.
    """
    match phase:
        case "quiesce":
            return list(_quiesce(unit, listed))
        case "remove":
            return list(_remove(unit))
        case "rollback":
            return list(_rollback(unit))
        case _:
            return []


def _quiesce(unit: Unit, listed: tuple[str, ...]) -> Iterator[str]:
    others = [name for name in unit.needed_by if name not in listed]
    if unit.runs and others:
        raise Refused(f"{unit.name}: {', '.join(others)} would stop with it: list it as well, or part them first")
    if (unit.runs or unit.starts) and not unit.noted:
        yield "record"
    if unit.runs:
        yield "stop"
    if unit.starts:
        yield "disable"


def _remove(unit: Unit) -> Iterator[str]:
    if unit.runs or unit.starts:
        raise Refused(f"{unit.name}: it is {unit.active} and {unit.enabled}: quiesce it first")
    if unit.own_files or (unit.load != "not-found" and not unit.mask):
        if not unit.noted:
            yield "record"
        if unit.own_files:
            yield "archive"
            yield "remove"
    if not unit.mask and unit.load != "not-found":
        yield "mask"
    if unit.active == "failed":
        yield "reset"


def _rollback(unit: Unit) -> Iterator[str]:
    if not unit.noted or unit.record is None:
        return
    if unit.mask and unit.record["load"] != "masked":
        yield "unmask"
    if unit.record["files"]:
        yield "restore"
    if unit.record["starts"]:
        yield "enable"
    if unit.record["runs"]:
        yield "start"
    yield "finish"
