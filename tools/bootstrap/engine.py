"""Finds, starts or installs the Docker engine that the integration tests need.

python -m tools.bootstrap.engine      prints one line about the engine; exit code 1 and what to do if there is none
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import docker
from docker.errors import DockerException

from tools.bootstrap import debian
from tools.bootstrap.programs import cache_dir

# Including recommended packages: cgroupfs-mount is needed where systemd does not run.
PACKAGES = ["docker.io", "iptables"]
START_SECONDS = 60.0


class NoEngine(Exception):
    """There is no Docker engine, and the operator has to act. The message says how."""


def ensure() -> str:
    """Make sure that a Docker engine responds; return one line on what was found or done.

    Raises:
        NoEngine: none responds, and installing or starting one was declined, failed, or is not up to us.
    """
    if version := answering():
        return f"engine {version} answers"
    done = ""
    if shutil.which("dockerd") is None:
        _install()
        done = "installed and "
    _start()
    return f"{done}started the engine {answering()}; it stays running"


def answering() -> str | None:
    """Return the version of the engine that responds, or None."""
    try:
        client = docker.from_env(timeout=10)
    except DockerException:
        return None
    try:
        return str(client.version()["Version"])
    except DockerException:
        return None
    finally:
        client.close()


def _install() -> None:
    try:
        debian.install(PACKAGES, "Docker engine")
    except debian.CannotInstall as reason:
        raise NoEngine(str(reason)) from None


def _start() -> None:
    if os.geteuid() != 0:
        raise NoEngine(
            "the Docker engine does not respond: start it (sudo systemctl start docker), and if you lack access to it, "
            "join its group (sudo usermod -aG docker $USER, then log in again)"
        )
    log = cache_dir() / "dockerd.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        if Path("/run/systemd/system").is_dir():
            subprocess.run(["systemctl", "start", "docker"], stdout=output, stderr=output, check=False)
        else:
            if mount := shutil.which("cgroupfs-mount"):
                subprocess.run([mount], stdout=output, stderr=output, check=False)
            subprocess.Popen(
                ["dockerd"], stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
    deadline = time.monotonic() + START_SECONDS
    while answering() is None:
        if time.monotonic() > deadline:
            raise NoEngine(f"the Docker engine did not respond within {START_SECONDS:.0f} s: see {log}")
        time.sleep(0.2)


if __name__ == "__main__":
    try:
        print(ensure())
    except NoEngine as reason:
        sys.exit(str(reason))
