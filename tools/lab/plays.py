"""Runs plays on the lab, in the same way for a person and for the tests."""

import os
import sys
from pathlib import Path

from tools.bootstrap import programs
from tools.lab.hosts import INVENTORY, ROOT, Lab

ANSIBLE = ROOT / "ansible"
BIN = Path(sys.executable).parent


def command(lab: Lab, playbook: str, *options: str) -> list[str]:
    """Return the ansible-playbook command with the lab's inventory; to be run in ansible/."""
    return [str(BIN / "ansible-playbook"), *inventories(lab), playbook, *options]


def inventories(lab: Lab) -> list[str]:
    """Return the lab's inventory, and the one with how to reach the containers."""
    return ["-i", str(INVENTORY), "-i", str(lab.overlay)]


def environment(lab: Lab) -> dict[str, str]:
    """Return the plays' environment in addition to the caller's: third-party programs, and ssh sockets for this lab."""
    influxd = programs.find("influxd")
    return {
        "PATH": f"{BIN}:{os.environ.get('PATH', '')}",
        "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(lab.folder / "ssh"),
        "ANSIBLE_CACHE_PLUGIN": "jsonfile",
        "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(facts(lab)),
        "LAB_INFLUXD": str(influxd or "influxd: run `make setup`"),
        "LAB_PROGRAMS": str(_programs_folder(lab)),
    }


def facts(lab: Lab) -> Path:
    """Return where the facts of the hosts are cached, which are gathered once per lab."""
    return lab.folder / "facts"


def _programs_folder(lab: Lab) -> Path:
    """Return a folder with the available programs under their own names, including those Debian names differently."""
    folder = lab.folder / "programs"
    folder.mkdir(parents=True, exist_ok=True)
    for name in programs.PROGRAMS:
        link, found = folder / name, programs.find(name)
        if found is not None and not (link.is_symlink() and link.readlink() == found):
            link.unlink(missing_ok=True)
            link.symlink_to(found)
    return folder
