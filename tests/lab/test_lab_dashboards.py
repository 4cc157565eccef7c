"""The queries of every dashboard, asked of the lab's servers with the token that Grafana has."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.asking import EMPTY_IN_HEALTH, Asking
from tests.dashboards import all_queries
from tests.lab.machine import Machine
from tests.support import eventually, free_port
from tools.lab.hosts import USER, Lab

pytestmark = pytest.mark.usefixtures("converged")

ROWS_SECONDS = 240
"""Rates, averages and the sentinel's minute need some scrapes; a candle closes within 180 s."""


@pytest.fixture
def asking(lab: Lab, machines: dict[str, Machine], tmp_path: Path) -> Iterator[Asking]:
    """Through ssh, as a person's browser would come to them: the firewall lets nobody else in."""
    monitor = machines["monitor1"]
    ports = free_port(), free_port()
    forwards = [f"-L127.0.0.1:{ports[0]}:127.0.0.1:9090", f"-L127.0.0.1:{ports[1]}:{machines['influx1'].address}:8086"]
    options = ["-o", f"UserKnownHostsFile={lab.folder}/known_hosts", "-o", "ExitOnForwardFailure=yes"]
    tunnel = subprocess.Popen(["ssh", "-N", "-i", str(lab.key), *options, *forwards, f"{USER}@{monitor.address}"])
    token = tmp_path / "reader.token"
    token.touch(0o600)
    token.write_text(monitor.run("cat /etc/grafana/credentials/*reader*"), encoding="utf-8")
    prometheus, influx = (f"http://127.0.0.1:{port}" for port in ports)
    try:
        with httpx.Client(timeout=30, trust_env=False) as http:
            yield Asking(http, prometheus, influx, token, "marketdata", "collector1")
    finally:
        tunnel.terminate()
        tunnel.wait()


def test_every_query_of_every_dashboard_has_an_answer(asking: Asking) -> None:
    left = [query for query in all_queries() if str(query) not in EMPTY_IN_HEALTH]

    def all_answered() -> bool:
        left[:] = [query for query in left if not asking.rows(query)]
        return not left

    try:
        eventually(all_answered, ROWS_SECONDS, what="rows for every query")
    except AssertionError:
        pytest.fail(f"no rows: {', '.join(map(str, left))}")
    for query in all_queries():  # the others must be understood at least
        asking.rows(query)
