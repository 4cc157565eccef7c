"""`make test` and `make test-all`: the test suite, on real servers in containers, stage by stage.

    python3 -m tools.test [STAGE[,STAGE ...] ...]

Stages, in the order of `make test`: setup docker images unit+contract,integration; others, by name: lab-image faults
clients lab, and lab-test, which is the whole lab. Stages joined by a comma run in parallel: the output of the first is
shown live, that of each of the others when it has finished.

The first stage that fails ends the run with its exit code. A missing Docker engine is a failure, never a skip. At the
end, the minutes of each stage and the slowest tests of all stages are printed. PYTEST_ARGUMENTS in the environment is
passed to pytest.

Standard library only, Python >= 3.9: its first stage is set-up.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
PYTHON = str(ROOT / ".venv/bin/python")
PYTEST = [PYTHON, "-m", "pytest"]
TEST = {
    "setup": [sys.executable, "-m", "tools.bootstrap.setup"],
    "docker": [PYTHON, "-m", "tools.bootstrap.engine"],
    "images": [PYTHON, "-m", "tools.bootstrap.images"],
    # Uses the cores that the integration tests leave idle: these wait half of their time, and for deadlines.
    "unit+contract": ["nice", *PYTEST, "-n", "2", "tests/unit", "tests/contract"],
    # More workers than cores: these tests wait for servers, deadlines, closes of candles. The longest start first.
    "integration": [*PYTEST, "-n", "5", "--dist", "loadgroup", "--no-loadscope-reorder", "tests/integration"],
}
MORE = {
    "lab-image": [PYTHON, "-m", "tools.lab.image"],
    # In parallel: the soak waits and works for as long as the others together.
    "faults": [*PYTEST, "-n", "3", "tests/faults"],
    # freqtrade and ccxt themselves, in their own environment.
    "clients": [*PYTEST, "tests/clients"],
    # In order: a host is new only once.
    "lab": [*PYTEST, "-p", "no:randomly", "-m", "short", "tests/lab"],
    "lab-test": [*PYTEST, "-p", "no:randomly", "-rA", "tests/lab"],
}
STAGES = {**TEST, **MORE}
STEPS = ["setup", "docker", "images", "unit+contract,integration"]
NO_TESTS = 5  # pytest's exit code if it found none
SLOWEST = 10


def main(words: list[str]) -> int:
    """Run the stages in order; returns the exit code of the first failed one, 2 for an unknown stage."""
    steps = [word.split(",") for word in words or STEPS]
    unknown = [name for step in steps for name in step if name not in STAGES]
    if unknown:
        print(f"no stage {unknown[0]}: there are {' '.join(STAGES)}")
        return 2
    environment = {
        **os.environ,
        # Ryuk is testcontainers' own cleaner: another image to pull, although the fixtures remove what they start.
        "TESTCONTAINERS_RYUK_DISABLED": "true",
        # Tests start hundreds of processes: without a cache, compiling imports costs more than a second each time.
        "PYTHONPYCACHEPREFIX": str(ROOT / ".cache" / "pycache"),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    minutes: list[str] = []
    timings: list[tuple[float, str, str]] = []
    code = 0
    with tempfile.TemporaryDirectory() as reports:
        for step in steps:
            stages, ended = run_beside(step, environment, Path(reports))
            minutes.append(" beside ".join(f"{stage.name} {stage.seconds / 60:.1f} min" for stage in stages))
            timings += [timing for stage in stages for timing in stage.timings()]
            code, why = next(((code, why) for code, why in ended if code), (0, ""))
            if code:
                minutes[-1] += why
                break
    for seconds, stage, test in sorted(timings, reverse=True)[:SLOWEST]:
        print(f"{seconds:8.1f} s  {stage:<14} {test}")
    print(f"== {', '.join(minutes)}", flush=True)
    return code


def run_beside(
    names: list[str], environment: dict[str, str], reports: Path
) -> tuple[list[Stage], list[tuple[int, str]]]:
    """Run some stages in parallel; yield the stages, and for each its exit code and, if that is not 0, a message."""
    with contextlib.ExitStack() as stack:
        files = [None, *(stack.enter_context(tempfile.TemporaryFile()) for _ in names[1:])]
        stages = [Stage(name, environment, reports, file) for name, file in zip(names, files)]  # noqa: B905  Python 3.9
        with ThreadPoolExecutor(len(stages)) as waiting:
            return stages, list(waiting.map(Stage.end, stages))


class Stage:
    """A running stage. Its output goes to `printed` and is shown at its end or, without `printed`, live."""

    def __init__(self, name: str, environment: dict[str, str], reports: Path, printed: IO[bytes] | None) -> None:
        command = STAGES[name]
        self.name = name
        self.seconds = 0.0
        self._printed = printed
        self._report = reports / f"{name}.xml"
        self._is_pytest = PYTEST[-1] in command
        if self._is_pytest:
            arguments = shlex.split(os.environ.get("PYTEST_ARGUMENTS", ""))
            command = [*command, f"--junitxml={self._report}", *arguments]
        print(f"== {name}", flush=True)
        self._started = time.monotonic()
        self._process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=printed, stderr=printed)

    def end(self) -> tuple[int, str]:
        """Wait for it; return its exit code and, if that is not 0, a message."""
        code = self._process.wait()
        self.seconds = time.monotonic() - self._started
        if self._printed is not None:
            self._printed.seek(0)
            print(f"== output of {self.name}\n{self._printed.read().decode(errors='replace')}", flush=True)
        nothing = self._is_pytest and code == NO_TESTS
        return code, f" failed: no tests found for {self.name}" if nothing else f" failed: {self.name}"

    def timings(self) -> list[tuple[float, str, str]]:
        """Return seconds (including fixtures), stage and name of each test, from pytest's report."""
        if not self._report.exists():
            return []
        cases = ElementTree.parse(self._report).iter("testcase")  # noqa: S314  our own pytest wrote it
        return [
            (float(case.get("time", 0)), self.name, f"{case.get('classname')}::{case.get('name')}") for case in cases
        ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
