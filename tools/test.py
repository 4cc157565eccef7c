"""`make test`: every test, on real servers in containers, stage by stage.

    python3 -m tools.test [STAGE ...]

Stages: setup docker images unit+contract integration faults clients lab. By name alone: lab-test,
which is all of the lab. FAST=1 in the environment leaves the lab out.

The first stage that fails ends the run with its exit code. A missing Docker engine fails; it never skips. At the end
the minutes of each stage are printed. PYTEST_ARGUMENTS in the environment is passed to pytest. Without names clients
and lab, which wait most of their time, run side by side; what lab prints comes when it has ended.

Standard library alone, Python >= 3.9: its first stage is set-up.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

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
BESIDE = {"clients": "lab"}
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
    minutes: list[str] = []
    code = 0
    for step in [[name] for name in names] or default_steps():
        started = time.monotonic()
        with contextlib.ExitStack() as stack:
            # The first of a step prints as it goes, what runs beside it when it has ended.
            files = [None, *(stack.enter_context(tempfile.TemporaryFile()) for _ in step[1:])]
            running = [Stage(name, stages[name], environment, file) for name, file in zip(step, files)]  # noqa: B905  Python 3.9
            ended = [stage.end() for stage in running]
        minutes.append(f"{' beside '.join(step)} {(time.monotonic() - started) / 60:.1f} min")
        code, why = next(((code, why) for code, why in ended if code), (0, ""))
        if code:
            minutes[-1] += why
            break
    print(f"== {', '.join(minutes)}", flush=True)
    return code


def default_steps() -> list[list[str]]:
    """The names of what runs one after the other, each with what runs beside it."""
    wanted = [name for name in STAGES if not (name == "lab" and os.environ.get("FAST"))]
    steps = [[name, *([BESIDE[name]] if BESIDE.get(name) in wanted else [])] for name in wanted]
    return [step for step in steps if step[0] not in BESIDE.values()]


class Stage:
    """A stage that runs; what it prints goes to `printed` and is shown at its end, or, if there is none, at once."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], printed: IO[bytes] | None) -> None:
        self._name = name
        self._is_pytest = "pytest" in command
        self._printed = printed
        if self._is_pytest:
            command = command + shlex.split(os.environ.get("PYTEST_ARGUMENTS", ""))
        print(f"== {name}", flush=True)
        self._process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=printed, stderr=printed)

    def end(self) -> tuple[int, str]:
        """Wait for it; its exit code, and what to say if that is not 0."""
        code = self._process.wait()
        if self._printed is not None:
            self._printed.seek(0)
            print(f"== what {self._name} printed\n{self._printed.read().decode(errors='replace')}", flush=True)
        nothing = self._is_pytest and code == NO_TESTS
        return code, f" failed: no test of {self._name} was found" if nothing else f" failed: {self._name}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
