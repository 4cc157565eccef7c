"""A template of a role of our services as Ansible renders it: with what the role gives the role service."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ANSIBLE = Path(__file__).resolve().parents[2] / "ansible"


def calls(role: Path, shared: str) -> Iterator[dict[str, Any]]:
    """The variables of each call of a shared role in the tasks of another one."""
    for file in sorted((role / "tasks").glob("*.yml")):
        for task in yaml.safe_load(file.read_text(encoding="utf-8")):
            if task.get("ansible.builtin.import_role", {}).get("name") == shared:
                yield task["vars"]


def rendered(folder: Path, role: str, template: str, variables: dict[str, Any]) -> Path:
    """Render into the folder; returns the file. AssertionError with what Ansible said if it cannot."""
    path = folder / "rendered"
    roles = [ANSIBLE / "roles" / name for name in ("service", role)]
    for of in roles:  # beside each other: one includes the other
        shutil.copytree(of / "templates", folder / "templates", dirs_exist_ok=True)
    files = [of / part / "main.yml" for of in roles for part in ("defaults", "vars")]
    options = [option for file in files if file.exists() for option in ("-e", f"@{file}")]
    for given in (*calls(roles[1], "service"), variables):
        options += ["-e", json.dumps(given)]
    command = [str(Path(sys.executable).parent / "ansible"), "localhost", "--connection", "local", *options]
    command += ["-e", f"ansible_python_interpreter={sys.executable}"]
    command += ["-m", "ansible.builtin.template", "-a", f"src={folder}/templates/{template} dest={path}"]
    environment = {**os.environ, "ANSIBLE_LOCAL_TEMP": str(folder), "ANSIBLE_HOME": str(folder)}
    done = subprocess.run(command, cwd=ANSIBLE, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return path
