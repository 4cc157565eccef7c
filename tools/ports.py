"""Ports for the servers of tests and demo that no other process gets, neither as a free port nor for a connection.

A port that was free a moment ago may be taken before its server listens, by another test or by any outgoing connection.
These ports are below the range that the system assigns, and locked for as long as this process lives.
"""

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

HOST = "127.0.0.1"
FIRST = 10_000
"""Services with fixed ports are below it (3000, 8086 ... 9443)."""

HANDED_OUT_FROM = 32_768
"""Linux' default, used if /proc does not have the value."""


def free_port() -> int:
    """Return a free TCP port on the loopback interface, reserved for this process until it ends."""
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
    """Return whether the file is now locked by this process; the lock ends with the process."""
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
