"""Tests that look at the close of a candle start the exchange's clock shortly before one.

A test is quick if its servers are up by then, and right if they are not: it asks for the next close when all is ready.
"""

import os
import time

from tests.integration.servers import Simulator
from tests.integration.store_truth import CANDLE_MS

DAY_MS = 86_400_000
LEAD_SECONDS = 25
"""From the start of the exchange to the first close: on two idle cores all is ready in half of it."""

MANY = 4
"""Processes that want a core, with which all of them are up in LEAD_SECONDS."""

LONGEST_LEAD_SECONDS = 170
"""Less than a candle."""

AFTER_MS = 6_000
"""How long after a close to start where none is to come: its candle is past the 4 s in which it is the confirmer's."""

CLOSE_SECONDS = 240
"""How long to wait for a close: the next one comes within 180 s, and REST has it soon after."""


def lead_seconds() -> int:
    """How long before the close to start: longer the more processes want a core."""
    waiting = os.getloadavg()[0] / (os.cpu_count() or 1)
    return round(min(LEAD_SECONDS * max(1.0, waiting / MANY), LONGEST_LEAD_SECONDS))


def before_a_close(lead_seconds: int) -> int:
    """A start of the simulated clock (ms), so long before yesterday's noon in UTC.

    Whatever the time of day is here, it is the same there: a moment at which a candle of every interval up to 4h ends.
    """
    today_ms = time.time_ns() // 1_000_000 // DAY_MS * DAY_MS
    return today_ms - DAY_MS // 2 - lead_seconds * 1000


def after_a_close() -> int:
    """A start of the simulated clock: two days ago, 14:30:06 UTC. The next candle closes after three minutes."""
    today_ms = time.time_ns() // 1_000_000 // DAY_MS * DAY_MS
    return today_ms - 2 * DAY_MS + DAY_MS // 48 * 29 + AFTER_MS


def forming_ms(simulator: Simulator) -> int:
    """The open time of the 3m candle that forms now."""
    return simulator.now_ms() // CANDLE_MS * CANDLE_MS


def next_close_ms(simulator: Simulator) -> int:
    """When the 3m candle that forms now closes."""
    return forming_ms(simulator) + CANDLE_MS
