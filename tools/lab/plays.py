"""How a play is run on the lab: the same for a person and for the tests."""

import os
import sys
from pathlib import Path

from tools.bootstrap import programs
from tools.lab.hosts import INVENTORY, ROOT, Lab

ANSIBLE = ROOT / "ansible"
BIN = Path(sys.executable).parent


def command(lab: Lab, playbook: str, *options: str) -> list[str]:
    """ansible-playbook with the lab's inventory, for a folder of ansible/ as working directory."""
    return [str(BIN / "ansible-playbook"), *inventories(lab), playbook, *options]


def inventories(lab: Lab) -> list[str]:
    """The lab's inventory, and beside it how the containers are reached."""
    return ["-i", str(INVENTORY), "-i", str(lab.overlay)]


def environment(lab: Lab) -> dict[str, str]:
    """What the plays need beside the caller's environment: third-party programs, and ssh sockets of this lab alone."""
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
    """Where the facts of the hosts are kept, which are gathered once in the life of a lab."""
    return lab.folder / "facts"


def _programs_folder(lab: Lab) -> Path:
    """A folder with what can be had here under its own name, wherever it is, Debian's names on PATH among it."""
    folder = lab.folder / "programs"
    folder.mkdir(parents=True, exist_ok=True)
    for name in programs.PROGRAMS:
        link, found = folder / name, programs.find(name)
        if found is not None and not (link.is_symlink() and link.readlink() == found):
            link.unlink(missing_ok=True)
            link.symlink_to(found)
    return folder
