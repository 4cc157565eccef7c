"""What an answer says about the limits of this address: weight used, time, refusal. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

#: 403 the firewall, 418 a ban for going on after 429, 429 too much, 451 the wrong country (Binance, "General Info").
REFUSING_STATUSES = frozenset({403, 418, 429, 451})

_BANNED_UNTIL_MS = re.compile(r"banned until (\d{13})\b")


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that opens the circuit; `seconds` is the wait it names, or None."""

    status: int
    seconds: float | None


def read_refusal(status: int, retry_after: str | None, body: str, now_ms: int) -> Refusal | None:
    """Return the refusal in an answer, or None if the status is none.

    `retry_after` is the header, in seconds or as an HTTP date; `body` may say "IP(..) banned until <ms>". The later of
    the two counts. `now_ms` is the exchange's time.
    """
    if status not in REFUSING_STATUSES:
        return None
    named = []
    if retry_after is not None and (seconds := _retry_after_seconds(retry_after, now_ms)) is not None:
        named.append(seconds)
    if match := _BANNED_UNTIL_MS.search(body):
        named.append((int(match[1]) - now_ms) / 1000)
    return Refusal(status, max(named)) if named else Refusal(status, None)


def _retry_after_seconds(text: str, now_ms: int) -> float | None:
    if re.fullmatch(r"\d{1,9}", text.strip()):
        return float(text)
    try:
        return parsedate_to_datetime(text).timestamp() - now_ms / 1000
    except (ValueError, OverflowError):
        return None


@dataclass(frozen=True, slots=True)
class Limits:
    """What an answer says about the limits: the weight header, its `Date` (UTC ms), and whether it refuses."""

    used_weight: int | None = None
    date_ms: int | None = None
    refusal: Refusal | None = None


def read_limits(status: int, headers: Mapping[str, str], body: bytes, now_ms: int) -> Limits:
    """Read the headers (and a ban's body) of an answer; `now_ms` is the exchange's time where `Date` is missing."""
    used = headers.get("X-MBX-USED-WEIGHT-1M", "")
    date_ms = _date_ms(headers.get("Date"))
    refusal = read_refusal(
        status, headers.get("Retry-After"), body.decode(errors="replace"), now_ms if date_ms is None else date_ms
    )
    return Limits(int(used) if used.isascii() and used.isdigit() else None, date_ms, refusal)


def _date_ms(text: str | None) -> int | None:
    try:
        return round(parsedate_to_datetime(text or "").timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
