"""A template of a role as Ansible renders it: with the role's defaults and variables, and those given."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ANSIBLE = Path(__file__).resolve().parents[2] / "ansible"


def rendered(folder: Path, role: str, template: str, variables: dict[str, Any]) -> Path:
    """Render into the folder; returns the file. AssertionError with what Ansible said if it cannot."""
    of = ANSIBLE / "roles" / role
    path = folder / "rendered"
    options = [option for file in ("defaults", "vars") for option in ("-e", f"@{of}/{file}/main.yml")]
    command = [str(Path(sys.executable).parent / "ansible"), "localhost", "--connection", "local", *options]
    command += ["-e", json.dumps(variables)]
    command += ["-e", f"ansible_python_interpreter={sys.executable}"]
    command += ["-m", "ansible.builtin.template", "-a", f"src={of}/templates/{template} dest={path}"]
    environment = {**os.environ, "ANSIBLE_LOCAL_TEMP": str(folder), "ANSIBLE_HOME": str(folder)}
    done = subprocess.run(command, cwd=ANSIBLE, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return path
