"""Parses query parameters as the exchange does, with its error codes."""

import re
from collections.abc import Mapping

from simulator.intervals import INTERVALS
from simulator.universe import Instrument, Universe


class ApiError(Exception):
    """An error that the exchange returns as `{"code":..,"msg":..}`."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def integer(query: Mapping[str, str], name: str) -> int | None:
    """Return a whole number, or None if it was not sent."""
    text = query.get(name)
    if text is None:
        return None
    if not text:
        raise ApiError(-1105, f"Parameter '{name}' was empty.")
    if not re.fullmatch(r"[0-9]{1,20}", text):
        raise ApiError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.")
    return int(text)


def limit(query: Mapping[str, str], *, default: int, most: int) -> int:
    value = integer(query, "limit")
    if value is None:
        return default
    if not 1 <= value <= most:
        raise ApiError(-1130, "Data sent for parameter 'limit' is not valid.")
    return value


def symbol(query: Mapping[str, str], universe: Universe, name: str = "symbol") -> Instrument:
    """Return the symbol in a mandatory parameter, in any case."""
    found = optional_symbol(query, universe, name)
    if found is None:
        raise ApiError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
    return found


def optional_symbol(query: Mapping[str, str], universe: Universe, name: str = "symbol") -> Instrument | None:
    text = query.get(name)
    if not text:
        return None
    found = universe.get(text)
    if found is None:
        raise ApiError(-1121, "Invalid symbol.")
    return found


def interval(query: Mapping[str, str]) -> str:
    text = query.get("interval")
    if not text:
        raise ApiError(-1102, "Mandatory parameter 'interval' was not sent, was empty/null, or malformed.")
    if text not in INTERVALS:
        raise ApiError(-1120, "Invalid interval.")
    return text


def span(query: Mapping[str, str]) -> tuple[int | None, int | None]:
    """Return (startTime, endTime)."""
    start, end = integer(query, "startTime"), integer(query, "endTime")
    if start is not None and end is not None and start > end:
        raise ApiError(-1023, "Start time is greater than end time.")
    return start, end
