"""Binance's kline intervals and their windows (all UTC)."""

from datetime import UTC, datetime

from simulator.market import DAY_MS, HOUR_MS, MINUTE_MS

FIXED_MS = {
    "1m": MINUTE_MS,
    "3m": 3 * MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": HOUR_MS,
    "2h": 2 * HOUR_MS,
    "4h": 4 * HOUR_MS,
    "6h": 6 * HOUR_MS,
    "8h": 8 * HOUR_MS,
    "12h": 12 * HOUR_MS,
    "1d": DAY_MS,
    "3d": 3 * DAY_MS,
    "1w": 7 * DAY_MS,
}
INTERVALS = (*FIXED_MS, "1M")
_MONDAY_MS = 4 * DAY_MS  # 1970-01-05


def window_open(interval: str, time_ms: int) -> int:
    """Return the open time of the window that contains `time_ms`."""
    if interval == "1M":
        moment = datetime.fromtimestamp(time_ms // 1000, UTC)
        return _month_start(moment.year, moment.month)
    length = FIXED_MS[interval]
    offset = _MONDAY_MS if interval == "1w" else 0
    return (time_ms - offset) // length * length + offset


def window_end(interval: str, open_ms: int) -> int:
    """Return the open time of the next window."""
    if interval == "1M":
        moment = datetime.fromtimestamp(open_ms // 1000, UTC)
        return _month_start(moment.year + moment.month // 12, moment.month % 12 + 1)
    return open_ms + FIXED_MS[interval]


def windows_from(interval: str, first_open_ms: int, count: int) -> int:
    """Return the open time `count` windows after `first_open_ms` (before it, if negative)."""
    if interval != "1M":
        return first_open_ms + count * FIXED_MS[interval]
    moment = datetime.fromtimestamp(first_open_ms // 1000, UTC)
    months = moment.year * 12 + moment.month - 1 + count
    return _month_start(months // 12, months % 12 + 1)


def _month_start(year: int, month: int) -> int:
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp()) * 1000
