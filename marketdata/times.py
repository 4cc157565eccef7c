"""Converts the times that callers pass to UTC milliseconds. Pure."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from numbers import Number
from typing import Any, cast

import numpy as np
import pandas as pd

from marketdata.errors import InvalidRequest
from marketdata.schema import EARLIEST_MS

# : A time as passed by a caller: a datetime or Timestamp, a string like "2026-10-01 12:00", or milliseconds since 1970
# as : any integral number. Without a time zone it is UTC.
Time = datetime | date | pd.Timestamp | np.datetime64 | str | int | float | Decimal | np.integer[Any] | np.floating[Any]

#: 2017-01-01 and 2100-01-01. Numbers in the wrong unit (s, ms, us, ns) fall outside this range.
PLAUSIBLE_FROM_MS, PLAUSIBLE_UNTIL_MS = 1_483_228_800_000, 4_102_444_800_000

# Year first, and a numeric offset: pandas interprets "now" and "12:00" by the host's clock and 01/02 as January, and
# drops time zones it does not know.
_DATE = r"[0-9]{4}(?:[-/.]?[0-9]{1,2}){0,2}"
_CLOCK = r"(?:[T ] *[0-9]{1,2}(?::?[0-9]{2}){0,2}(?:[.,][0-9]+)?(?: *(?:Z|UTC|[+-][0-9]{2}(?::?[0-9]{2})?))?)?"
_TEXT = re.compile(_DATE + _CLOCK)

# At today's milliseconds these have steps of a minute or more, so the intended time is lost.
_TOO_COARSE = (np.float16, np.float32)


def time_ms(value: Time, name: str = "time") -> int:
    """Return a time in UTC milliseconds. Raises InvalidRequest, which calls it `name`.

    Refuses bool, NaN, fractions of a millisecond, strings that do not start with the year, and times outside 2017 to
    2100, which come from a number in a different unit.
    """
    if isinstance(value, Number | np.bool_):
        number = None if isinstance(value, _TOO_COARSE) else whole(value)
        if number is None or not _is_plausible(number):
            raise InvalidRequest(
                f"{name} {value!r} is no time in milliseconds (ms): a number must be whole and lie between "
                f"{PLAUSIBLE_FROM_MS} (2017) and {PLAUSIBLE_UNTIL_MS} (2100)"
            )
        return number
    found = round(_timestamp(value, name).timestamp() * 1000)
    if not _is_plausible(found):
        raise InvalidRequest(
            f"{name} {value!r} does not lie between 2017 and 2100: was it made from a number in another unit? "
            "pandas takes numbers for nanoseconds; milliseconds (ms) can be given as they are"
        )
    return found


def span_ms(start: Time | None, end: Time | None, now_ms: int) -> tuple[int, int]:
    """Return [start, end) in ms, by default from the earliest possible candle until now. Raises InvalidRequest."""
    first_ms = EARLIEST_MS if start is None else time_ms(start, "start")
    stop_ms = now_ms if end is None else time_ms(end, "end")
    if first_ms >= stop_ms:
        raise InvalidRequest(f"start {start} is not before end {'(now)' if end is None else end}")
    return first_ms, stop_ms


def whole(value: object) -> int | None:
    """Return an integral number of Python's or numpy's types as int; None for anything else, including bool."""
    # numpy considers a timedelta64 an integer.
    if isinstance(value, bool | np.bool_ | np.timedelta64) or not isinstance(value, Number):
        return None
    given = cast("Any", value)
    try:
        number = int(given)
    except (TypeError, ValueError, OverflowError):  # complex, NaN, infinity
        return None
    return number if number == given else None


def _timestamp(value: Any, name: str) -> pd.Timestamp:
    advice = "write 2026-10-01 or 2026-10-01 12:00 (UTC, or with an offset), or give a datetime or milliseconds (ms)"
    if isinstance(value, str):
        value = str(value).strip()  # numpy has its own string type, which pandas 2 does not parse
        if not _TEXT.fullmatch(value):
            raise InvalidRequest(f"{name} {value!r} is no time: {advice}")
    try:
        found = pd.Timestamp(value)
    except (TypeError, ValueError, OverflowError) as e:
        raise InvalidRequest(f"{name} {value!r} is no time ({e}): {advice}") from e
    if pd.isna(found):
        raise InvalidRequest(f"{name} {value!r} is no time: {advice}")
    return found.tz_localize("UTC") if found.tzinfo is None else found


def _is_plausible(value_ms: int) -> bool:
    return PLAUSIBLE_FROM_MS <= value_ms < PLAUSIBLE_UNTIL_MS
