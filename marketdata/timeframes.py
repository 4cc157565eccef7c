"""Timeframes and their windows, aligned to the epoch in UTC; weeks start on Monday."""

from __future__ import annotations

import re
from types import MappingProxyType

from marketdata.errors import InvalidTimeframe

__all__ = [
    "BASE_MS",
    "BASE_TIMEFRAME",
    "DAY_MS",
    "TIMEFRAME_MS",
    "WEEK_MS",
    "InvalidTimeframe",
    "timeframe_ms",
    "window_open_ms",
]

BASE_TIMEFRAME = "3m"
BASE_MS = 180_000
DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS

# The epoch was a Thursday, three days after a Monday; so weeks start four days into the epoch's week.
_MONDAY_MS = 4 * DAY_MS

#: The exchange's own intervals among the supported timeframes, in ms. `timeframe_ms` accepts all the others, too.
TIMEFRAME_MS = MappingProxyType(
    {
        "3m": BASE_MS,
        "15m": 900_000,
        "30m": 1_800_000,
        "1h": 3_600_000,
        "2h": 7_200_000,
        "4h": 14_400_000,
        "6h": 21_600_000,
        "8h": 28_800_000,
        "12h": 43_200_000,
        "1d": DAY_MS,
        "1w": WEEK_MS,
    }
)

_UNIT_MS = {"m": 60_000, "h": 3_600_000, "d": DAY_MS}
_TIMEFRAME = re.compile(r"([1-9][0-9]{0,3})([mhd])")


def timeframe_ms(timeframe: str) -> int:
    """Return the length of a timeframe in milliseconds: any multiple of 3m up to 1d (``6m 30m 2h 12h``), or ``1w``.

    Raises InvalidTimeframe: ``1m`` and ``5m`` cannot be built from 3m candles, months have no fixed length.
    """
    known = TIMEFRAME_MS.get(timeframe)
    if known is not None:
        return known
    match = _TIMEFRAME.fullmatch(timeframe)
    length_ms = int(match[1]) * _UNIT_MS[match[2]] if match else 0
    if length_ms % BASE_MS or not 0 < length_ms <= DAY_MS:
        raise InvalidTimeframe(
            f"timeframe {timeframe!r} is not served: use a multiple of 3m up to 1d (3m 15m 1h 4h 1d 30m 12h ...) or 1w"
        )
    return length_ms


def window_open_ms(time_ms: int, timeframe: str) -> int:
    """Return the open time (ms) of the window that contains `time_ms`. Raises InvalidTimeframe."""
    length_ms = timeframe_ms(timeframe)
    offset_ms = _MONDAY_MS if length_ms == WEEK_MS else 0
    return time_ms - (time_ms - offset_ms) % length_ms
