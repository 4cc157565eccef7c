"""A temporary influxd on the loopback interface, with its own folder, for testing a backup."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import BackupError
from .server import Server

START_SECONDS = 60
STOP_SECONDS = 60


@contextmanager
def scratch(influxd: Path, work: Path, user: str | None) -> Iterator[Server]:
    """Run it, set it up with a random token, and remove it afterwards. user: run it as this user, not as the caller."""
    place = Path(tempfile.mkdtemp(prefix="restore-test-", dir=work))
    try:
        if user:
            shutil.chown(place, user, user)
        port = _free_port()
        arguments = [f"--bolt-path={place}/influxd.bolt", f"--sqlite-path={place}/influxd.sqlite"]
        arguments += [f"--engine-path={place}/engine", f"--http-bind-address=127.0.0.1:{port}"]
        arguments += ["--reporting-disabled", "--ui-disabled", "--log-level=error", "--no-tasks"]
        # Without a bus address influxd complains about a missing one at each start.
        environment = {"PATH": os.environ["PATH"], "HOME": str(place), "DBUS_SESSION_BUS_ADDRESS": "/dev/null"}
        process = subprocess.Popen([str(influxd), *arguments], env=environment, cwd=place, user=user, group=user)
        try:
            yield _set_up(f"http://127.0.0.1:{port}", process)
        finally:
            _end(process)
    finally:
        shutil.rmtree(place)


def _set_up(url: str, process: subprocess.Popen[bytes]) -> Server:
    token = secrets.token_urlsafe(48)
    body = {"username": "restore-test", "org": "restore-test", "bucket": "restore-test", "token": token}
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            Server(url).json("POST", "/api/v2/setup", body)
            return Server(url, token)
        except BackupError as error:
            if process.poll() is not None:
                raise BackupError(f"the temporary influxd exited with code {process.returncode}") from error
            if time.monotonic() > deadline:
                raise BackupError(f"the temporary influxd does not respond: {error}") from error
            time.sleep(0.2)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port
