"""Query parameters as Binance reads them, with its error codes. Pure.

Codes: https://developers.binance.com/docs/derivatives/usds-margined-futures/error-code.
"""

import re
from collections.abc import Container

from gateway.api.answers import Query, bad_request
from marketdata.timeframes import InvalidTimeframe, timeframe_ms

EXCHANGE_INTERVALS = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M")

_WHOLE = re.compile(r"[0-9]{1,20}", re.ASCII)


def integer(query: Query, name: str) -> int | None:
    """Return a whole number, or None if it was not sent. Raises Refused -1105, -1100."""
    text = query.get(name)
    if text is None:
        return None
    if not text:
        raise bad_request(-1105, f"Parameter '{name}' was empty.")
    if not _WHOLE.fullmatch(text):
        raise bad_request(-1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.")
    return int(text)


def limit(query: Query, *, default: int, most: int) -> int:
    """Return `limit`. Raises Refused -1130 outside of 1 to `most`."""
    value = integer(query, "limit")
    if value is None:
        return default
    if not 1 <= value <= most:
        raise bad_request(-1130, "Data sent for parameter 'limit' is not valid.")
    return value


def symbol(query: Query, known: Container[str], name: str = "symbol") -> str:
    """Return the symbol as the exchange writes it. Raises Refused -1102 without one, -1121 for an unknown one."""
    found = optional_symbol(query, known, name)
    if found is None:
        raise missing(name)
    return found


def optional_symbol(query: Query, known: Container[str], name: str = "symbol") -> str | None:
    """Return the symbol as the exchange writes it, or None if it was not sent or is empty. Raises Refused -1121."""
    text = query.get(name)
    if not text:
        return None
    found = next((spelled for spelled in (text, text.upper()) if spelled in known), None)
    if found is None:
        raise bad_request(-1121, "Invalid symbol.")
    return found


def interval(query: Query, refused: Container[str] = ()) -> str:
    """Return an interval of the exchange, or any other multiple of 3m up to 1d. Raises Refused -1102, -1120."""
    text = query.get("interval")
    if not text:
        raise missing("interval")
    if text in refused or not _is_interval(text):
        raise bad_request(-1120, "Invalid interval.")
    return text


def span(query: Query) -> tuple[int | None, int | None]:
    """Return (startTime, endTime), both inclusive. Raises Refused -1023 if they are the wrong way round."""
    start, end = integer(query, "startTime"), integer(query, "endTime")
    if start is not None and end is not None and start > end:
        raise bad_request(-1023, "Start time is greater than end time.")
    return start, end


def missing(name: str) -> Exception:
    """Return the refusal for a mandatory parameter that was not sent."""
    return bad_request(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def _is_interval(text: str) -> bool:
    if text in EXCHANGE_INTERVALS:
        return True
    try:
        timeframe_ms(text)
    except InvalidTimeframe:
        return False
    return True
