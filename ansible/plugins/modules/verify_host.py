#!/usr/bin/python
"""Ansible module: proves what a host of the platform must be like, and changes nothing."""

from __future__ import annotations

DOCUMENTATION = """
module: verify_host
short_description: Prove services, ports, secrets and shipped files of a host
description:
  - Looks and changes nothing. What is wrong is in RV(proofs), and does not fail the module.
options:
  units:
    description: systemd units that must be active.
    type: list
    elements: str
    required: true
  ports:
    description: TCP ports that something must listen on.
    type: list
    elements: int
    required: true
  secrets:
    description: Files, and folders of files, that only their owner may read, and whose text may be nowhere else.
    type: list
    elements: path
    required: true
  folders:
    description: By folder the names and SHA-256 of the files that it must hold, and no others.
    type: dict
    required: true
attributes:
  check_mode:
    support: full
"""

EXAMPLES = """
- name: Look at the host
  verify_host:
    units: [influxdb.service]
    ports: [8086]
    secrets: [/etc/influxdb/tokens]
    folders: {}
"""

RETURN = """
proofs:
  description: A list of C(check), C(ok), C(detail).
  type: list
  elements: dict
  returned: success
"""

import hashlib  # noqa: E402  Ansible wants the documentation first
import stat  # noqa: E402
from collections.abc import Iterator, Mapping  # noqa: E402
from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible.module_utils.platform_proofs import proof  # noqa: E402

UNITS = [Path("/etc/systemd/system"), Path("/run/systemd/system"), Path("/run/systemd/generator")]
LISTENS = "0A"
SHORTEST_SECRET = 8
"""What is shorter is found by chance."""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "units": {"type": "list", "elements": "str", "required": True},
            "ports": {"type": "list", "elements": "int", "required": True},
            "secrets": {"type": "list", "elements": "path", "required": True, "no_log": False},
            "folders": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    secrets = [file for path in map(Path, module.params["secrets"]) for file in files(path)]
    closed = sorted(set(module.params["ports"]) - open_ports())
    lacking = [f"{path} is missing" for path in map(Path, module.params["secrets"]) if not path.exists()]
    proofs = [
        proof("services are active", inactive(module, module.params["units"])),
        proof("no unit has failed", failed(module)),
        proof("ports are open", [f"nothing listens on {port}" for port in closed]),
        proof("secrets are their owners' alone", [*lacking, *readable(secrets)]),
        proof("no secret is in a unit or a process", exposed(secrets)),
    ]
    for folder, expected in sorted(module.params["folders"].items()):
        proofs.append(proof(f"{folder} is as shipped", edited(Path(folder), expected)))
    module.exit_json(changed=False, proofs=proofs)


def inactive(module: AnsibleModule, units: list[str]) -> Iterator[str]:
    for unit in units:
        _, answer, _ = module.run_command(["systemctl", "is-active", unit])
        if answer.strip() != "active":
            yield f"{unit} is {answer.strip()}"


def failed(module: AnsibleModule) -> list[str]:
    _, answer, _ = module.run_command(["systemctl", "list-units", "--failed", "--plain", "--no-legend"])
    return [line.split()[0] for line in answer.splitlines()]


def open_ports() -> set[int]:
    """TCP ports that something listens on, on any address."""
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    rows = [line.split() for path in tables if path.exists() for line in path.read_text().splitlines()[1:]]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == LISTENS}


def files(path: Path) -> list[Path]:
    """A file itself, or all files in a folder."""
    return [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())


def readable(secrets: list[Path]) -> Iterator[str]:
    for file in secrets:
        mode = stat.S_IMODE(file.stat().st_mode)
        if mode & 0o077:
            yield f"{file} has mode {mode:04o}, allowed is 0600"


def exposed(secrets: list[Path]) -> Iterator[str]:
    """Secrets whose text is in a unit, in a command line or in an environment. Never the text itself."""
    texts = {file: file.read_bytes().strip() for file in secrets}
    wanted = {file: text for file, text in texts.items() if len(text) >= SHORTEST_SECRET}
    places = [file for folder in UNITS for file in files(folder)]
    places += [process / name for process in Path("/proc").glob("[0-9]*") for name in ("cmdline", "environ")]
    for place in places:
        try:
            content = place.read_bytes()
        except OSError:  # the process has ended
            continue
        yield from (f"the text of {file} is in {place}" for file, text in wanted.items() if text in content)


def edited(folder: Path, expected: Mapping[str, str]) -> Iterator[str]:
    found = {file.name: file for file in files(folder)}
    for name in sorted(expected.keys() - found.keys()):
        yield f"{name} is missing"
    for name, file in sorted(found.items()):
        if name not in expected:
            yield f"{name} is not ours"
        elif hashlib.sha256(file.read_bytes()).hexdigest() != expected[name]:
            yield f"{name} was edited"


if __name__ == "__main__":
    main()
