"""uv, and an interpreter new enough for this repository.

uv is asked last for an interpreter: its own search stops at a pyenv shim whose version is not chosen, and its
download needs a network that not every machine has. So every candidate is run to prove its version.

Standard library alone, Python >= 3.9: this runs before anything is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.programs import cache_dir

MINIMUM = (3, 13)
_PROVE = "import sys; v = sys.version_info; print(v[0], v[1], v[2], v.releaselevel, 't' in sys.abiflags)"


class Missing(Exception):  # noqa: N818 - the name already says what is wrong
    """Something that set-up cannot do without. The text is one line that says what to do."""


def find_uv() -> tuple[list[str], bool]:
    """The command that runs uv, and whether it was installed just now (into a virtual environment in the cache).

    Raises:
        Missing: there is none and it cannot be installed.
    """
    home = cache_dir() / "uv"
    private = home / "bin" / "uv"
    on_path = shutil.which("uv")
    for command in ([on_path] if on_path else [], [sys.executable, "-m", "uv"], [str(private)]):
        if command and _output([*command, "--version"]) is not None:
            return command, False
    for step in (
        [sys.executable, "-m", "venv", "--clear", str(home)],
        [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv"],
    ):
        if _output(step) is None:
            raise Missing("install uv (https://docs.astral.sh/uv/) or, on Debian, python3-venv; then run `make setup`")
    return [str(private)], True


def find_interpreter(uv: list[str], venv: Path) -> tuple[Path, str]:
    """An interpreter >= 3.13 and its version; uv downloads one where the machine has none.

    Raises:
        Missing: there is none, and uv could not get one.
    """
    for candidate in _candidates(uv, venv):
        if found := prove(candidate):
            return candidate, found
    subprocess.run([*uv, "python", "install", "3.13"], stdin=subprocess.DEVNULL, check=False)
    downloaded = _output([*uv, "python", "find", "--managed-python", "3.13"])
    if downloaded and (found := prove(Path(downloaded))):
        return Path(downloaded), found
    raise Missing("install Python 3.13 or newer (pyenv install 3.13, or your system's package); then run `make setup`")


def prove(python: Path) -> str | None:
    """Run a candidate and give its version; None if it does not run, is too old, a preview or free-threaded."""
    words = (_output([str(python), "-c", _PROVE]) or "").split()
    if len(words) != 5 or words[3:] != ["final", "False"]:
        return None
    if (int(words[0]), int(words[1])) < MINIMUM:
        return None
    return ".".join(words[:3])


def _candidates(uv: list[str], venv: Path) -> Iterator[Path]:
    settings = venv / "pyvenv.cfg"
    if settings.exists():  # what the environment was made with: a second run changes nothing
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
    if managed := _output([*uv, "python", "find", "--managed-python", "--no-python-downloads", ">=3.13"]):
        yield Path(managed)


def _output(command: list[str]) -> str | None:
    """The last line that a command prints, or None if it fails."""
    try:
        run = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    except OSError:
        return None
    lines = run.stdout.strip().splitlines()
    return None if run.returncode else (lines[-1] if lines else "")
