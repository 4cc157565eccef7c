"""Finds an interpreter that is new enough for this repository.

uv is only asked last: its own search stops at a pyenv shim whose version is not selected, and its download needs a
network that not every machine has. So every candidate is run to determine its version.

Standard library only, Python >= 3.9: this runs before anything is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tools.bootstrap.uv import Missing, output

MINIMUM = (3, 13)
_PROVE = "import sys; v = sys.version_info; print(v[0], v[1], v[2], v.releaselevel, 't' in sys.abiflags)"


def find_interpreter(uv: list[str], venv: Path) -> tuple[Path, str]:
    """Return an interpreter >= 3.13 and its version; uv downloads one if the machine has none.

    Raises:
        Missing: there is none, and uv could not get one.
    """
    for candidate in _candidates(uv, venv):
        if found := prove(candidate):
            return candidate, found
    subprocess.run([*uv, "python", "install", "3.13"], stdin=subprocess.DEVNULL, check=False)
    downloaded = output([*uv, "python", "find", "--managed-python", "3.13"])
    if downloaded and (found := prove(Path(downloaded))):
        return Path(downloaded), found
    raise Missing("install Python 3.13 or newer (pyenv install 3.13, or your system's package); then run `make setup`")


def prove(python: Path) -> str | None:
    """Run a candidate and return its version; None if it does not run, is too old, a preview or free-threaded."""
    words = (output([str(python), "-c", _PROVE]) or "").split()
    if len(words) != 5 or words[3:] != ["final", "False"]:
        return None
    if (int(words[0]), int(words[1])) < MINIMUM:
        return None
    return ".".join(words[:3])


def _candidates(uv: list[str], venv: Path) -> Iterator[Path]:
    settings = venv / "pyvenv.cfg"
    if settings.exists():  # the interpreter of the environment, so that a second run changes nothing
        for line in settings.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(" = ")
            if key == "home":
                yield Path(value) / "python3"
    for name in ("python3.13", "python3.14", "python3"):
        if on_path := shutil.which(name):
            yield Path(on_path)
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for pattern in ("3.13.*", "3.14.*"):
        yield from sorted(versions.glob(pattern + "/bin/python"), reverse=True)
    if managed := output([*uv, "python", "find", "--managed-python", "--no-python-downloads", ">=3.13"]):
        yield Path(managed)
