"""`make fuzz`: every property test and state machine, with random seeds and many times the usual examples.

    FUZZ_SEEDS=3        number of seeds; each is printed before its run
    FUZZ_SEED=n         only this seed: repeats an earlier run with it, example by example
    FUZZ_TIMES=20       multiplies the number of examples of `make test`
    FUZZ_TESTS=path     files or tests, as for pytest; default: all

For each failure pytest prints the falsifying example and the line `@reproduce_failure(...)` to paste above the test.
Exit codes: 0 nothing found, 1 something found, 2 could not start.
"""

import os
import secrets
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOTHING_FOUND, FOUND, CANNOT_START = 0, 1, 2
ALL = "tests/unit tests/contract"


def main() -> int:
    """Run what the environment selects and print, at the end, which seeds found something."""
    try:
        seeds = [number("FUZZ_SEED", 0)] if os.environ.get("FUZZ_SEED") else random_seeds(number("FUZZ_SEEDS", 3))
        times = number("FUZZ_TIMES", 20)
    except ValueError as wrong:
        print(f"fuzz: {wrong}")
        return CANNOT_START
    tests = os.environ.get("FUZZ_TESTS") or ALL
    codes = {}
    for seed in seeds:
        print(f"== fuzz: seed {seed}, {times} times the examples", flush=True)
        started = time.monotonic()
        codes[seed] = run(seed, times, shlex.split(tests))
        print(f"== fuzz: seed {seed} took {(time.monotonic() - started) / 60:.1f} min", flush=True)
    for seed, code in codes.items():
        again = f"make fuzz FUZZ_SEED={seed} FUZZ_TIMES={times} FUZZ_TESTS={shlex.quote(tests)}"
        print(f"fuzz: seed {seed}: {'nothing found' if code == 0 else f'exit code {code}; again: {again}'}")
    return FOUND if any(codes.values()) else NOTHING_FOUND


def random_seeds(count: int) -> list[int]:
    """Return this many different seeds, short enough to type."""
    return [secrets.randbelow(10**9) for _ in range(count)]


def run(seed: int, times: int, tests: list[str]) -> int:
    """Run the property tests among `tests` with a seed; returns pytest's exit code."""
    options = ["-m", "hypothesis", "--hypothesis-profile=fuzz", f"--hypothesis-seed={seed}"]
    # The order of the tests also depends on this seed.
    packing = ["-n", str(os.cpu_count() or 1), "--dist=worksteal", f"--randomly-seed={seed}"]
    command = [sys.executable, "-m", "pytest", "-q", *options, *packing, *tests]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "FUZZ_TIMES": str(times)}, check=False).returncode


def number(name: str, default: int) -> int:
    """Read a whole number from the environment. Raises ValueError, which names the variable."""
    text = os.environ.get(name) or str(default)
    if not text.isdecimal():
        raise ValueError(f"{name} must be a whole number, not {text}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
