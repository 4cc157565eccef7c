"""A receiver of Alertmanager's notifications, on the control host."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.lab.listening import listening

ALWAYS = {"Watchdog", "ClockSkewed"}
"""A container has no clock of its own: nothing keeps the time in it."""


@dataclass
class Told:
    """The notifications so far, in order, and where they are to be sent."""

    url: str
    notifications: list[dict[str, Any]] = field(default_factory=list)

    def firing(self, **labels: str) -> list[str]:
        """The names of alerts with these labels that were told as firing, each time; without what always is."""
        return [
            alert["labels"]["alertname"]
            for notification in list(self.notifications)
            for alert in notification["alerts"]
            if alert["status"] == "firing" and alert["labels"]["alertname"] not in ALWAYS
            if labels.items() <= alert["labels"].items()
        ]


@contextmanager
def receiving(address: str) -> Iterator[Told]:
    """Listen on an address for the length of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            told.notifications.append(json.loads(content))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    told = Told("")
    with listening(address, Handler) as told.url:
        yield told
