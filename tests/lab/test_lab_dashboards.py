"""The queries of every dashboard, asked of the lab's servers with the token that Grafana has."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.lab.machine import Machine
from tests.support import free_port
from tests.support.asking import Asking, every_query_answers
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


def test_every_query_of_every_dashboard_has_an_answer(asking: Asking, machines: dict[str, Machine]) -> None:
    def ask_the_gateway() -> None:
        for route in ("klines?interval=3m&", "depth?"):
            machines["feeder1"].run(f"curl --silent --fail 'http://127.0.0.1:8090/fapi/v1/{route}symbol=BTCUSDT'")

    every_query_answers(asking, ROWS_SECONDS, ask_the_gateway)
