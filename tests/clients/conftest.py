"""Real clients on a real gateway. Everything is started once: servers, then two bots, which run while other tests ask.

served      session   Served: the stack, and the environment the clients run in
filled      session   the same, with DAYS days of history of FILLED pairs in the store
fleet       session   two unmodified freqtrade bots on a gateway of their own, started and not waited for

A backfill takes weight that bots need for order books, so what fills comes first. The bots' test comes last: candles
close while the others run.
"""

import asyncio
import os
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tools.bootstrap import programs
from tools.clients import environment, stack
from tools.clients.experiment import Experiment
from tools.clients.fleet import Bot
from tools.clients.stack import GatewayServer, Stack
from tools.demo.processes import Children
from tools.demo.servers import environment as of_children
from tools.demo.settings import ROOT

PAIRS = 16
BOTS = 2
DAYS = 30
FILLED = 3
FIRST, LAST = ("test_download_data", "test_example"), ("test_bots",)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    own = [item for item in items if item.path.parent == Path(__file__).parent]
    own.sort(key=lambda item: (item.path.stem not in FIRST) + (item.path.stem in LAST))
    items[:] = [item for item in items if item.path.parent != Path(__file__).parent] + own


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
def filled(served: Served) -> Served:
    served.run(served.experiment.backfill(served.stack.pairs[:FILLED], DAYS))
    return served


@dataclass(frozen=True)
class Fleet:
    """Bots that were started, and the experiment of their gateway, which nobody else asks."""

    experiment: Experiment
    bots: list[Bot]


@pytest.fixture(scope="session")
def fleet(served: Served) -> Fleet:
    alone, servers = served.experiment, served.stack
    gateway = GatewayServer(
        "gateway-of-bots",
        alone.folder,
        alone.children,
        exchange=servers.simulated.url,
        ca_file=servers.simulated.ca_file,
        store=servers.store,
        stream=servers.collector.url,
    )
    served.run(gateway.start())
    experiment = replace(alone, stack=replace(servers, gateway=gateway))
    served.run(experiment.disturb())
    return Fleet(experiment, [experiment.start_bot(servers.pairs, number) for number in range(BOTS)])
