#!/usr/bin/python
"""Ansible module: old systemd units, out of service step by step, and back."""

from __future__ import annotations

DOCUMENTATION = """
module: legacy_units
short_description: Report, quiesce, remove or bring back old systemd units
description:
  - Works on units that are missing, masked, failed, or files in C(/etc/systemd/system), which systemctl does not mask.
  - Notes how a unit was before it is touched, so that O(phase=rollback) makes it so again.
options:
  units:
    description: Names of the units, with their suffix.
    type: list
    elements: str
    required: true
  phase:
    description:
      - C(report) changes nothing. C(quiesce) stops and disables. C(remove) moves the files to O(archive) and masks.
      - C(rollback) undoes whatever was done.
    type: str
    choices: [report, quiesce, remove, rollback]
    default: report
  archive:
    description: Folder of the records and of removed files.
    type: path
    default: /var/backups/decommission
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
"""

EXAMPLES = """
- name: Stop the old producers
  legacy_units:
    units: [producer-a.service, producer-b.service]
    phase: quiesce
"""

RETURN = """
units:
  description: How each unit was found.
  type: list
  elements: dict
  returned: success
steps:
  description: What was done (in check mode, would be), a line each.
  type: list
  elements: str
  returned: success
"""

import json  # noqa: E402  Ansible wants the documentation first
import shutil  # noqa: E402
from dataclasses import asdict  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible.module_utils.legacy_units import ROLLED_BACK, Refused, Unit, steps  # noqa: E402

SYSTEM = Path("/etc/systemd/system")
PROPERTIES = "LoadState,ActiveState,UnitFileState,FragmentPath,RequiredBy,BoundBy"


class Host:
    """systemd and the files of this host."""

    def __init__(self, module: AnsibleModule, archive: Path) -> None:
        self._module = module
        self._archive = archive

    def unit(self, name: str) -> Unit:
        """How the unit is now."""
        shown = self._systemctl("show", f"--property={PROPERTIES}", name)
        told = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
        record = self._record(name)
        return Unit(
            name=name,
            load=told["LoadState"],
            active=told["ActiveState"],
            enabled=told["UnitFileState"],
            path=told["FragmentPath"],
            own_files=tuple(map(str, self._own_files(name))),
            mask=_is_mask(SYSTEM / name),
            needed_by=tuple(filter(self._is_active, f"{told['RequiredBy']} {told['BoundBy']}".split())),
            record=json.loads(record.read_text(encoding="utf-8")) if record.exists() else None,
        )

    def do(self, step: str, unit: Unit) -> None:
        """One step of the plan."""
        name = unit.name
        match step:
            case "record":
                self._note(unit)
            case "archive":
                self._save(unit)
            case "remove":
                for file in map(Path, unit.own_files):
                    file.unlink()
                self._systemctl("daemon-reload")
            case "restore":
                self._put_back(unit)
            case "unmask":
                (SYSTEM / name).unlink()
                self._systemctl("daemon-reload")
            case "reset":
                self._systemctl("reset-failed", name)
            case "finish":
                self._write(name, {**(unit.record or {}), "state": ROLLED_BACK})
            case _:
                self._systemctl(step, name)

    def _own_files(self, name: str) -> list[Path]:
        """The unit's file, drop-ins and links, none of which is of a package; not its mask."""
        found = [SYSTEM / name, *SYSTEM.glob(f"{name}.d/*")]
        found += [*SYSTEM.glob(f"*.wants/{name}"), *SYSTEM.glob(f"*.requires/{name}")]
        return [path for path in found if (path.exists() or path.is_symlink()) and not _is_mask(path)]

    def _note(self, unit: Unit) -> None:
        noted = {"state": "quiesced", "load": unit.load, "runs": unit.runs, "starts": unit.starts, "files": []}
        self._write(unit.name, noted)

    def _save(self, unit: Unit) -> None:
        """All files are in the archive, and on the record, before the first is removed."""
        for file in map(Path, unit.own_files):
            copy = self._saved(unit.name, file)
            copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            copy.unlink(missing_ok=True)
            shutil.copy2(file, copy, follow_symlinks=False)
        record = json.loads(self._record(unit.name).read_text(encoding="utf-8"))
        files = sorted({*record["files"], *unit.own_files})
        self._write(unit.name, {**record, "state": "removed", "files": files})

    def _put_back(self, unit: Unit) -> None:
        assert unit.record is not None, "the plan restores what is on record"
        for file in map(Path, unit.record["files"]):
            file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            file.unlink(missing_ok=True)
            shutil.copy2(self._saved(unit.name, file), file, follow_symlinks=False)
        self._systemctl("daemon-reload")

    def _saved(self, name: str, file: Path) -> Path:
        return self._archive / name / "files" / file.relative_to("/")

    def _record(self, name: str) -> Path:
        return self._archive / name / "record.json"

    def _write(self, name: str, record: dict[str, Any]) -> None:
        path = self._record(name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_text(f"{json.dumps(record, indent=1)}\n", encoding="utf-8")
        fresh.replace(path)

    def _is_active(self, name: str) -> bool:
        code, _, _ = self._module.run_command(["systemctl", "is-active", "--quiet", name])
        return bool(code == 0)

    def _systemctl(self, *arguments: str) -> str:
        code, output, error = self._module.run_command(["systemctl", *arguments])
        if code:
            self._module.fail_json(msg=f"systemctl {' '.join(arguments)}: {error.strip() or output.strip()}")
        return str(output)


def _is_mask(path: Path) -> bool:
    return path.is_symlink() and path.resolve() == Path("/dev/null")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "units": {"type": "list", "elements": "str", "required": True},
            "phase": {"type": "str", "choices": ["report", "quiesce", "remove", "rollback"], "default": "report"},
            "archive": {"type": "path", "default": "/var/backups/decommission"},
        },
        supports_check_mode=True,
    )
    host = Host(module, Path(module.params["archive"]))
    listed = tuple(module.params["units"])
    found = [host.unit(name) for name in listed]
    try:
        planned = [(step, unit) for unit in found for step in steps(module.params["phase"], unit, listed)]
    except Refused as reason:
        module.fail_json(msg=str(reason), units=[asdict(unit) for unit in found])
    if not module.check_mode:
        for step, unit in planned:
            host.do(step, unit)
    lines = [f"{step} {unit.name}" for step, unit in planned]
    diff = {"prepared": "".join(f"{line}\n" for line in lines)}
    module.exit_json(changed=bool(planned), steps=lines, units=[asdict(unit) for unit in found], diff=diff)


if __name__ == "__main__":
    main()
