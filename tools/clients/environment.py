"""The clients' environment: freqtrade and ccxt in .clients, with hashes for each package.

    python3 -m tools.clients.environment

It shares nothing with ours: other versions of pandas and aiohttp, other licences. A second run does nothing. The reader
library is on its path as in a bot. To update the list of packages, run

    python3 -m tools.bootstrap.uv pip compile --python-version 3.13 --generate-hashes --no-header --no-annotate \\
        --output-file tools/clients/requirements.txt tools/clients/requirements.in

Standard library only, Python >= 3.9.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tools.bootstrap.interpreter import find_interpreter
from tools.bootstrap.uv import Missing, find_uv

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".clients"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
READER = ROOT / "marketdata"


def python(home: Path = HOME) -> Path:
    """Return the environment's interpreter, creating the environment if it is missing or differs from requirements.txt.

    Raises:
        Missing: it could not be created; the message says why.
    """
    interpreter = home / "bin" / "python"
    stamp = home / "requirements.sha256"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    home.parent.mkdir(parents=True, exist_ok=True)
    with home.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in parallel
        if not (stamp.exists() and stamp.read_text(encoding="utf-8") == wanted and interpreter.exists()):
            _make(home, interpreter)
            stamp.write_text(wanted, encoding="utf-8")
    return interpreter


def _make(home: Path, interpreter: Path) -> None:
    uv, _ = find_uv()
    base, _ = find_interpreter(uv, home)
    shutil.rmtree(home, ignore_errors=True)
    install = [*uv, "pip", "install", "--quiet", "--python", str(interpreter)]
    for command in (
        [*uv, "venv", "--quiet", "--python", str(base), str(home)],
        [*install, "--require-hashes", "--requirements", str(REQUIREMENTS)],
        [*install, "--no-deps", "--editable", str(READER)],
    ):
        if subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode:
            raise Missing(
                f"the clients' environment could not be created: see the output of `{' '.join(command)}` above"
            )


def main() -> int:
    """Create it and print how long that took."""
    started = time.monotonic()
    try:
        interpreter = python()
    except Missing as missing:
        print(missing)
        return 1
    print(f"clients           {interpreter} ({time.monotonic() - started:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
