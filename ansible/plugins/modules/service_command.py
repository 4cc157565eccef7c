#!/usr/bin/python
"""Ansible module: tells what a systemd service starts and what runs of it, and changes nothing."""

from __future__ import annotations

DOCUMENTATION = """
module: service_command
short_description: Tell what a systemd service starts, and what runs of it
description:
  - Looks and changes nothing.
options:
  unit:
    description: The service, with its suffix.
    type: str
    required: true
  without:
    description: Name of a drop-in that is left out of RV(commands).
    type: str
    default: ""
attributes:
  check_mode:
    support: full
"""

EXAMPLES = """
- name: Look at the bot
  service_command:
    unit: freqtrade.service
    without: 90-ours.conf
"""

RETURN = """
loaded:
  description: Whether systemd knows the unit by a file.
  type: bool
  returned: success
commands:
  description: ExecStart of its files, as they have it.
  type: list
  elements: str
  returned: success
active:
  description: Whether it is up or coming up.
  type: bool
  returned: success
arguments:
  description: The command line of its main process; empty if there is none.
  type: list
  elements: str
  returned: success
started:
  description: When its main process was started, in seconds since 1970; 0 if there is none.
  type: int
  returned: success
restarts:
  description: How often systemd has restarted it by itself since it was started.
  type: int
  returned: success
"""

import shlex  # noqa: E402  Ansible wants the documentation first
from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible.module_utils.unit_files import commands  # noqa: E402

PROPERTIES = (
    "LoadState",
    "FragmentPath",
    "DropInPaths",
    "ActiveState",
    "MainPID",
    "NRestarts",
    "ExecMainStartTimestamp",
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={"unit": {"type": "str", "required": True}, "without": {"type": "str", "default": ""}},
        supports_check_mode=True,
    )
    show = ["systemctl", "show", "--timestamp=unix", f"--property={','.join(PROPERTIES)}", module.params["unit"]]
    _, said, _ = module.run_command(show, check_rc=True)
    is_ = dict(line.split("=", 1) for line in said.splitlines())
    paths = [Path(is_["FragmentPath"]), *map(Path, shlex.split(is_["DropInPaths"]))] if is_["FragmentPath"] else []
    texts = [
        path.read_text(encoding="utf-8") for path in paths if path.name != module.params["without"] and path.exists()
    ]
    module.exit_json(
        changed=False,
        loaded=is_["LoadState"] == "loaded" and bool(paths),
        commands=commands(texts),
        active=is_["ActiveState"] in ("active", "activating", "reloading"),
        arguments=arguments(Path("/proc", is_["MainPID"])),
        started=int(is_["ExecMainStartTimestamp"].lstrip("@") or 0) if is_["MainPID"] != "0" else 0,
        restarts=int(is_["NRestarts"]),
    )


def arguments(process: Path) -> list[str]:
    try:
        text = (process / "cmdline").read_text(encoding="utf-8", errors="replace").rstrip("\0")
    except OSError:  # there is none, or it has ended
        return []
    return text.split("\0") if text else []  # empty: it has ended, and nobody has taken notice yet


if __name__ == "__main__":
    main()
