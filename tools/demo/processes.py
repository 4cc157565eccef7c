"""The demo's child processes: tied to us at the start, watched, and always stopped."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TETHER = Path(__file__).with_name("tether.py")
POLL_SECONDS = 0.1
STOP_SECONDS = 12.0
"""How long a child may take to stop; the collector gives its stores 5 s."""

TAIL_LINES = 8


class ChildDied(Exception):
    """A child exited unexpectedly; the message names it and shows the end of its log."""


@dataclass(frozen=True)
class Child:
    """A running program and the file with its output."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def ended(self) -> bool:
        """Return whether it has exited."""
        return self.process.poll() is not None

    def obituary(self) -> str:
        """Return a line that names it, followed by the end of its log."""
        status = self.process.returncode
        how = f"was ended by signal {-status}" if status < 0 else f"ended with exit code {status}"
        return f"{self.name} {how}; the end of {self.log}:\n{tail(self.log)}"


class Children:
    """Starts children, each in its own session (so that Ctrl-C only reaches us), and stops them in reverse order."""

    def __init__(self, logs: Path, folder: Path, environment: Mapping[str, str]) -> None:
        self._logs = logs
        self._folder = folder
        self._environment = dict(environment)
        self._running: list[Child] = []

    def start(self, name: str, command: Sequence[str]) -> Child:
        """Start a program that runs until `stop`."""
        child = self._start(name, command)
        self._running.append(child)
        return child

    async def run(self, name: str, command: Sequence[str]) -> None:
        """Run a program to completion. Raises ChildDied if its exit code is not 0."""
        child = self._start(name, command)
        try:
            while not child.ended:  # noqa: ASYNC110 - Popen has no event to wait for
                await asyncio.sleep(POLL_SECONDS)
        finally:
            self._kill(child)
        if child.process.returncode:
            raise ChildDied(child.obituary())

    async def watch(self) -> None:
        """Raise ChildDied as soon as a started program exits; never returns."""
        while True:
            for child in self._running:
                if child.ended:
                    raise ChildDied(child.obituary())
            await asyncio.sleep(POLL_SECONDS)

    def stop(self, stop_seconds: float = STOP_SECONDS) -> None:
        """Stop every child, the newest first: SIGTERM, then SIGKILL after the deadline. Returns when none is left.

        Blocks on purpose: there is nothing else to do, and nothing may interrupt it.
        """
        while self._running:
            child = self._running[-1]
            if not child.ended:
                child.process.terminate()
            deadline = time.monotonic() + stop_seconds
            while not child.ended and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS / 5)
            self._kill(child)
            self._running.pop()

    def kill(self) -> None:
        """Kill every child at once."""
        for child in self._running:
            self._kill(child)

    def _start(self, name: str, command: Sequence[str]) -> Child:
        log = self._logs / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                env=self._environment,
                start_new_session=True,
            )
        return Child(name, process, log)

    @staticmethod
    def _kill(child: Child) -> None:
        if not child.ended:
            os.killpg(child.process.pid, signal.SIGKILL)
            child.process.wait()


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a log, indented."""
    text = log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
    return "\n".join(f"  {line}" for line in text) or "  (it printed nothing)"
