"""Ports for servers of tests and demo: nobody else gets one, as a listener's free port or for a connection of its own.

A port that was merely free a moment ago may be taken before its server listens, by another test or by any outgoing
connection. These are below the range that the system hands out, and locked for as long as this process lives.
"""

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

HOST = "127.0.0.1"
FIRST = 10_000
"""Services with ports of their own are below it (design: 3000, 8086 ... 9443)."""

HANDED_OUT_FROM = 32_768
"""Linux' default, where /proc does not say."""


def free_port() -> int:
    """A TCP port of the loopback interface that is free, and stays this process's until it ends."""
    folder = Path(tempfile.gettempdir()) / f"marketdata-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    last = _handed_out_from()
    start = random.SystemRandom().randrange(FIRST, last)
    ports: list[int] = [*range(start, last), *range(FIRST, start)]
    for port in ports:
        if _lock(folder / str(port)) and _is_free(port):
            return port
    raise OSError(f"no free port from {FIRST} to {last - 1}")


def _handed_out_from() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except OSError:
        return HANDED_OUT_FROM


def _lock(file: Path) -> bool:
    """Whether the file is this process's from now on: its lock goes with the process."""
    held = os.open(file, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        return False
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind((HOST, port))
        except OSError:
            return False
    return True
