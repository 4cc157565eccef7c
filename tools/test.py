"""`make test`: every test, on real servers in containers, stage by stage.

    python3 -m tools.test [STAGE ...]

Stages: setup docker images unit+contract integration faults clients lab. By name alone: lab-test,
which is all of the lab. FAST=1 in the environment leaves the lab out.

The first stage that fails ends the run with its exit code. A missing Docker engine fails; it never skips. At the end
the minutes of each stage are printed. PYTEST_ARGUMENTS in the environment is passed to pytest.

Standard library alone, Python >= 3.9: its first stage is set-up.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = str(ROOT / ".venv/bin/python")
STAGES = {
    "setup": [sys.executable, "-m", "tools.setup"],
    "docker": [PYTHON, "-m", "tools.engine"],
    "images": [PYTHON, "-m", "tools.images"],
    "unit+contract": [PYTHON, "-m", "pytest", "-n", "2", "tests/unit", "tests/contract"],
    # More workers than cores: these tests wait for servers, deadlines and the closes of candles.
    "integration": [PYTHON, "-m", "pytest", "-n", "5", "tests/integration"],
    # Alone and one after the other: each starts a dozen servers of its own.
    "faults": [PYTHON, "-m", "pytest", "tests/faults"],
    # freqtrade and ccxt themselves, in an environment of their own.
    "clients": [PYTHON, "-m", "pytest", "tests/clients"],
    # In order: a host is new only once.
    "lab": [PYTHON, "-m", "pytest", "-p", "no:randomly", "-m", "short", "tests/lab"],
}
# Run only when they are named.
ON_DEMAND = {
    "lab-test": [PYTHON, "-m", "pytest", "-p", "no:randomly", "--durations=0", "-rA", "tests/lab"],
}
NO_TESTS = 5  # pytest's exit code when it found none


def main(names: list[str]) -> int:
    """Run the stages in order; the exit code is that of the first one that failed, 2 for an unknown stage."""
    stages = STAGES | ON_DEMAND
    unknown = [name for name in names if name not in stages]
    if unknown:
        print(f"no stage {unknown[0]}: there are {' '.join(stages)}")
        return 2
    # Ryuk is testcontainers' own cleaner: one more image to pull, and the fixtures remove what they start.
    environment = {**os.environ, "TESTCONTAINERS_RYUK_DISABLED": "true"}
    minutes = []
    code = 0
    for name in names or [name for name in STAGES if not (name == "lab" and os.environ.get("FAST"))]:
        print(f"== {name}", flush=True)
        command = stages[name]
        if "pytest" in command:
            command = command + shlex.split(os.environ.get("PYTEST_ARGUMENTS", ""))
        started = time.monotonic()
        code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        minutes.append(f"{name} {(time.monotonic() - started) / 60:.1f} min")
        if code:
            minutes[-1] += " failed: no test was found" if "pytest" in command and code == NO_TESTS else " failed"
            break
    print(f"== {', '.join(minutes)}", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
