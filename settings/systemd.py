"""What systemd tells a service, where its credentials lie, and what it is told: ready, alive, how things stand.

sd_notify(3), systemd.exec(5). Started by hand there is nobody to tell, and nothing is sent.
"""

import os
import socket
from collections.abc import Mapping
from pathlib import Path

CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"
CREDENTIALS = f"${CREDENTIALS_VARIABLE}"


def in_credentials(path: Path, command: str) -> Path:
    """Return a path whose first part may be `$CREDENTIALS_DIRECTORY`, where systemd puts a service's credentials.

    `command` is what an operator calls instead, to have it set. Raises ValueError, for a model's validator.
    """
    if path.parts[:1] != (CREDENTIALS,):
        return path
    if CREDENTIALS_VARIABLE not in os.environ:
        raise ValueError(f"systemd sets {CREDENTIALS} for its service: use {command}, or name a file")
    return Path(os.environ[CREDENTIALS_VARIABLE], *path.parts[1:])


class Notifier:
    """Sends lines to the socket that systemd named in the environment; ``watchdog_seconds`` is None without one."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self.watchdog_seconds: float | None = None
        if environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()):
            microseconds = int(environment.get("WATCHDOG_USEC", "0"))
            self.watchdog_seconds = microseconds / 1e6 or None

    def tell(self, *lines: str) -> None:
        """Send the lines as one message. One that systemd does not take at once is not sent: the next one follows."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sender:
            try:
                sender.sendto("\n".join(line.replace("\n", " ") for line in lines).encode(), address)
            except OSError:  # full, or systemd is being replaced: a watchdog that matters is pinged again in seconds
                return
