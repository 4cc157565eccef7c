"""`make demo` as a process of a test: started, live, ended."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import BUSY, eventually
from tools.demo.run import Run

ROOT = Path(__file__).parents[2]
LIVE_SECONDS = 150


@contextmanager
def demo(folder: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A demo in a folder, all eligible pairs unless DEMO_PAIRS says less; what it prints goes to <folder>.out."""
    given = {**os.environ, "DEMO_FOLDER": str(folder), **environment}
    with folder.with_suffix(".out").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tools.demo"], cwd=ROOT, env=given, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60 * BUSY)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def live(process: subprocess.Popen[bytes], folder: Path, timeout_seconds: float = LIVE_SECONDS) -> Run:
    """Where its parts are, once all is live and filled; AssertionError with what it printed if it ends before."""
    file = folder / "run.json"

    def filled() -> Run | None:
        assert process.poll() is None, folder.with_suffix(".out").read_text(encoding="utf-8")
        run = Run.load(file) if file.exists() else None
        return run if run is not None and run.filled_ms else None

    run = eventually(filled, timeout_seconds, what="the demo live and filled")
    assert run is not None
    return run
