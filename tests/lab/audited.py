"""The promise, by the collector's own audit: no candle lost, none doubled, none wrong."""

import time
from datetime import datetime

from tests.lab.machine import Machine
from tests.support import eventually

WIDTH_SECONDS = 180
CLOSED_SECONDS = 10


def audit(collector: Machine, began: datetime) -> None:
    """AssertionError unless each candle since `began`, and one that opened after it, is in the store and right."""
    closed = (began.timestamp() // WIDTH_SECONDS + 2) * WIDTH_SECONDS + CLOSED_SECONDS
    eventually(lambda: time.time() > closed, 2 * WIDTH_SECONDS + 60, what="a candle closed")
    command = f"marketdata-collector audit --from {began:%Y-%m-%dT%H:%M} --intervals 3m"
    said = collector.run(f"{command}; echo $?")
    if said.splitlines()[-1] == "1":  # what a fault took may still be on its way back
        eventually(lambda: collector.run(f"{command}; echo $?").splitlines()[-1] == "0", 240, what="a clean audit")
    else:
        assert said.splitlines()[-1] == "0", said
