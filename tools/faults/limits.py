"""Checks the simulator's log of each address against the exchange's limits. Pure.

Numbers: docs/binance.md 1.2 and 2 (measured and documented in October 2026).
"""

from collections.abc import Mapping, Sequence
from typing import Any

MINUTE_MS = 60_000
WINDOW_MINUTES = 5
WEIGHT_A_MINUTE = 2_400
FUNDING_REQUESTS_A_WINDOW = 500
CONNECTS_A_WINDOW = 300
STREAMS_A_CONNECTION = 1_024


def broken(log: Sequence[Mapping[str, Any]]) -> list[str]:
    """Describe each minute in which an address exceeded a limit; empty if none did."""
    found = []
    for entry in log:
        place = f"{entry['address']} minute {entry['minute_ms']}"
        for name, most in (
            ("weight", WEIGHT_A_MINUTE),
            ("streams_max", STREAMS_A_CONNECTION),
            ("refused_429", 0),
            ("refused_418", 0),
            ("connects_refused", 0),
            ("messages_refused", 0),
            ("streams_refused", 0),
        ):
            if entry[name] > most:
                found.append(f"{place}: {name} {entry[name]}, allowed {most}")
    for name, most in (("connects", CONNECTS_A_WINDOW), ("funding_requests", FUNDING_REQUESTS_A_WINDOW)):
        found += _broken_windows(log, name, most)
    return found


def _broken_windows(log: Sequence[Mapping[str, Any]], name: str, most: int) -> list[str]:
    found = []
    for address in sorted({entry["address"] for entry in log}):
        by_minute = {entry["minute_ms"]: entry[name] for entry in log if entry["address"] == address}
        for start_ms in by_minute:
            used = sum(by_minute.get(start_ms + index * MINUTE_MS, 0) for index in range(WINDOW_MINUTES))
            if used > most:
                found.append(f"{address} five minutes from {start_ms}: {name} {used}, allowed {most}")
    return found
