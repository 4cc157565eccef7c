"""The reader in other processes and event loops: as a pickle, a deep copy, after a fork, in joblib's workers.

The scenarios are a program of their own, run once: they fork, and a process that runs tests has threads.
"""

import asyncio
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.contract.reader_scenarios import SCENARIOS
from tests.support import BUSY, http_server

NAMES = [scenario.__name__ for scenario in SCENARIOS]
TIMEOUT_SECONDS = 120 * BUSY
PAIRS = {"results": [{"series": [{"columns": ["key", "value"], "values": [["pair", "BTC/USDT:USDT"]]}]}]}


@dataclass(frozen=True)
class Told:
    """What the program printed, and the connections that each scenario's store was asked on, in order."""

    printed: str
    connections: dict[str, list[Any]]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    token = tmp_path_factory.mktemp("reader") / "reader.token"
    token.write_text("t\n")
    return asyncio.run(_run(token))


async def _run(token: Path) -> Told:
    connections: dict[str, list[Any]] = defaultdict(list)

    async def handle(request: web.Request) -> web.Response:
        assert request.transport is not None
        connections[request.path.split("/")[1]].append(request.transport.get_extra_info("peername"))
        return web.json_response(PAIRS)

    async with http_server(handle) as url, asyncio.timeout(TIMEOUT_SECONDS):
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.contract.reader_scenarios", url, str(token)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        printed, _ = await program.communicate()
    return Told(printed.decode(), connections)


@pytest.mark.parametrize("name", NAMES)
def test_each_process_and_loop_asks_the_store_on_connections_of_its_own(told: Told, name: str) -> None:
    assert f"{name}: " not in told.printed, told.printed
    connections = told.connections[name]
    if name in ("forked_after_use", "async_forked_after_use"):
        assert len(connections) == 3, told.printed
        assert connections[0] == connections[2], "the parent goes on with its connection"
        connections = connections[:2]
    assert len(connections) == len(set(connections)) > 0, told.printed
