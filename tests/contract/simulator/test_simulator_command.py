"""`python -m simulator` as an operator meets it: arguments, the ready line, signals, certificates, the clock."""

import json
import signal
import socket
import ssl
import stat
import subprocess
import sys
import urllib.request
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from simulator import tls
from tests.contract.simulator_process import Served, serve
from tests.support import BUSY, REQUEST_SECONDS

LATE_MS = 600_000
"""The clock starts with the process; so late it may be asked on a busy machine."""


def fetch(served: Served, path: str) -> Any:
    with urllib.request.urlopen(served.url + path, context=served.context(), timeout=REQUEST_SECONDS) as answer:
        return json.loads(answer.read())


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--port", "0"],
        ["--port", "zero", "--tls-dir", "x"],
        ["--port", "70000", "--tls-dir", "x"],
        ["--port", "0", "--tls-dir", "x", "--pairs", "0"],
        ["--port", "0", "--tls-dir", "x", "--start-ms", "12"],
        ["--port", "0", "--tls-dir", "x", "--colour", "red"],
        ["--port", "0", "--tls-dir", "/proc/none"],
        ["--port", "0", "--tls-dir", "{folder}", "--host", "no.such.host.invalid"],
    ],
)
def test_a_bad_argument_is_one_line_and_exit_code_2(arguments: list[str], tmp_path: Path) -> None:
    filled = [argument.format(folder=tmp_path) for argument in arguments]
    done = subprocess.run([sys.executable, "-m", "simulator", *filled], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_a_taken_port_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "simulator", "--port", port, "--tls-dir", str(tmp_path), "--pairs", "1"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert port in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(number: signal.Signals, tmp_path: Path) -> None:
    with serve(tmp_path, "--pairs", "2") as running:
        raw = socket.create_connection(("127.0.0.1", int(running.url.rpartition(":")[2])))
        with running.context().wrap_socket(raw, server_hostname="localhost"):
            running.process.send_signal(number)
            assert running.process.wait(5 * BUSY) == 0


def test_the_clock_starts_at_any_past_instant_and_runs(tmp_path: Path) -> None:
    start_ms = 1_700_000_000_000
    with serve(tmp_path, "--pairs", "2", "--start-ms", str(start_ms)) as running:
        first = fetch(running, "/fapi/v1/time")["serverTime"]
        assert start_ms <= first < start_ms + LATE_MS
        rows = fetch(running, "/fapi/v1/klines?symbol=BTCUSDT&interval=3m&limit=2")
        later = fetch(running, "/fapi/v1/time")["serverTime"]
        assert later > first
        assert first - 180_000 < rows[-1][0] <= later


def test_answers_are_dated_by_the_clock_of_the_exchange(tmp_path: Path) -> None:
    start_ms = 1_700_000_000_000
    with serve(tmp_path, "--pairs", "2", "--start-ms", str(start_ms)) as running:
        with urllib.request.urlopen(
            f"{running.url}/fapi/v1/ping", context=running.context(), timeout=REQUEST_SECONDS
        ) as answer:
            dated = parsedate_to_datetime(answer.headers["Date"]).timestamp() * 1000
        assert start_ms <= dated < start_ms + LATE_MS


def test_two_simulators_of_one_seed_agree_on_history(tmp_path: Path) -> None:
    rows = []
    for name, start_ms in (("a", 1_700_000_000_000), ("b", 1_700_009_000_000)):
        (tmp_path / name).mkdir()
        with serve(tmp_path / name, "--pairs", "2", "--seed", "9", "--start-ms", str(start_ms)) as running:
            rows.append(fetch(running, "/fapi/v1/klines?symbol=ETHUSDT&interval=3m&endTime=1699999900000&limit=50"))
    assert rows[0] == rows[1]


def test_seven_hundred_pairs_are_served(tmp_path: Path) -> None:
    with serve(tmp_path, "--pairs", "700") as running:
        assert len(fetch(running, "/_control/state")["pairs"]) == 700


def test_certificates_are_private_and_kept(tmp_path: Path) -> None:
    tls.server_context(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(before) == {"ca.pem", "ca-key.pem", "server.pem", "server-key.pem"}
    for name in ("ca-key.pem", "server-key.pem"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    tls.server_context(tmp_path)
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


@pytest.mark.parametrize("damage", ["server.pem", "ca.pem", "server-key.pem"])
def test_damaged_certificates_are_made_anew(tmp_path: Path, damage: str) -> None:
    tls.server_context(tmp_path)
    (tmp_path / damage).write_text("rust")
    tls.server_context(tmp_path)
    assert (tmp_path / damage).read_text() != "rust"


def test_a_new_name_makes_a_new_certificate(tmp_path: Path) -> None:
    tls.server_context(tmp_path)
    before = (tmp_path / "server.pem").read_bytes()
    tls.server_context(tmp_path, (*tls.NAMES, "exchange.lab"))
    assert (tmp_path / "server.pem").read_bytes() != before


def test_the_certificate_holds_for_the_exchanges_names_and_no_other(tmp_path: Path) -> None:
    with serve(tmp_path, "--pairs", "1") as running:
        address = ("127.0.0.1", int(running.url.rpartition(":")[2]))
        for name in ("localhost", "127.0.0.1", "fapi.binance.com", "fstream.binance.com"):
            with (
                socket.create_connection(address, timeout=REQUEST_SECONDS) as raw,
                running.context().wrap_socket(raw, server_hostname=name) as secured,
            ):
                assert secured.version() in ("TLSv1.2", "TLSv1.3")
        with (
            socket.create_connection(address, timeout=REQUEST_SECONDS) as raw,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            running.context().wrap_socket(raw, server_hostname="example.com")
