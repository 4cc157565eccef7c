"""Real clients on a real gateway. Everything is started once: servers, then two bots, which run while other tests ask.

served      session   Served: the stack, and the environment the clients run in
bots        session   two unmodified freqtrade bots that have begun
"""

import asyncio
import os
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tools import programs
from tools.clients import environment, stack
from tools.clients.experiment import Experiment
from tools.clients.fleet import Bot
from tools.clients.stack import Stack
from tools.demo.processes import Children
from tools.demo.servers import environment as of_children
from tools.demo.settings import ROOT

PAIRS = 16
BOTS = 2


@dataclass(frozen=True)
class Served:
    """Servers and clients, and the event loop that they are asked in."""

    runner: asyncio.Runner
    experiment: Experiment

    @property
    def stack(self) -> Stack:
        """The servers."""
        return self.experiment.stack

    @property
    def folder(self) -> Path:
        """Where the clients' files go."""
        return self.experiment.folder

    def run[T](self, asked: Coroutine[Any, Any, T]) -> T:
        """Wait for an answer."""
        return self.runner.run(asked)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    influxd = programs.find("influxd")
    if influxd is None:
        pytest.fail("influxd is not here: `make setup` gets it, or says how it can be had", pytrace=False)
    interpreter = environment.python()
    folder = tmp_path_factory.mktemp("clients")
    logs = folder / "logs"
    logs.mkdir()
    # freqtrade writes no log file where it finds itself under pytest.
    given = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    children = Children(logs, ROOT, of_children(given))
    with asyncio.Runner() as runner:
        exits = AsyncExitStack()
        try:
            started = runner.run(stack.start(exits, folder, children, influxd, pairs=PAIRS))
            yield Served(runner, Experiment(started, children, interpreter, folder, print))
        finally:
            children.stop()
            runner.run(exits.aclose())


@pytest.fixture(scope="session")
def bots(served: Served) -> list[Bot]:
    served.run(served.experiment.disturb())
    return served.run(served.experiment.start_bots(served.stack.pairs, BOTS))
