"""What the service tells systemd: that it is ready, that it lives, how it stands (sd_notify(3)).

Started by hand there is nobody to tell, and nothing is sent.
"""

import os
import socket
from collections.abc import Mapping


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
