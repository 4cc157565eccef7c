"""The exchange's request limits per client address, and the log that shows whether clients respected them.

Sources: https://developers.binance.com/docs/derivatives/usds-margined-futures/general-info, and measurements on
2026-10-07.
"""

from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

from simulator.market import MINUTE_MS

WEIGHT_A_MINUTE = 2_400
FUNDING_REQUESTS = 500
FUNDING_WINDOW_MS = 5 * MINUTE_MS
CONNECTS = 300
CONNECT_WINDOW_MS = 5 * MINUTE_MS
_WARNINGS_BEFORE_BAN = 10  # 429s within a minute; the exchange does not publish its number
_FIRST_BAN_MS = 2 * MINUTE_MS
_LONGEST_BAN_MS = 3 * 86_400_000
_LOG_ENTRIES = 5_000


@dataclass(slots=True)
class MinuteLog:
    """The requests of one address in one UTC minute."""

    requests: int = 0
    weight: int = 0
    funding_requests: int = 0
    refused_429: int = 0
    refused_418: int = 0
    connects: int = 0
    connects_refused: int = 0
    streams_max: int = 0
    streams_refused: int = 0
    messages: int = 0
    messages_refused: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a request: status 200, 429 or 418, and the weight used by the address in this minute."""

    status: int
    used_weight: int
    retry_after_seconds: int = 0
    banned_until_ms: int = 0


@dataclass(slots=True)
class _Client:
    banned_until_ms: int = 0
    bans: int = 0
    funding_window: int = 0
    funding_requests: int = 0


class Limits:
    """Counts the requests of each client address; times are the simulated clock's."""

    def __init__(self) -> None:
        self._clients: dict[str, _Client] = {}
        self._connects: dict[str, deque[int]] = {}
        self._log: dict[tuple[int, str], MinuteLog] = {}

    def request(self, address: str, *, weight: int, funding: bool, now_ms: int) -> Verdict:
        """Charge a request. Weight is counted per UTC minute; funding routes have their own limit and no weight."""
        client = self._clients.setdefault(address, _Client())
        minute = self.minute(address, now_ms)
        minute.requests += 1
        minute.weight += weight
        if now_ms < client.banned_until_ms:
            minute.refused_418 += 1
            return Verdict(418, minute.weight, _seconds(client.banned_until_ms - now_ms), client.banned_until_ms)
        over, window_ms = minute.weight > WEIGHT_A_MINUTE and weight > 0, MINUTE_MS
        if funding:
            minute.funding_requests += 1
            window = now_ms // FUNDING_WINDOW_MS
            if client.funding_window != window:
                client.funding_window, client.funding_requests = window, 0
            client.funding_requests += 1
            over, window_ms = client.funding_requests > FUNDING_REQUESTS, FUNDING_WINDOW_MS
        if not over:
            return Verdict(200, minute.weight)
        minute.refused_429 += 1
        if minute.refused_429 > _WARNINGS_BEFORE_BAN:
            client.banned_until_ms = now_ms + min(_FIRST_BAN_MS << client.bans, _LONGEST_BAN_MS)
            client.bans += 1
        return Verdict(429, minute.weight, _seconds(window_ms - now_ms % window_ms))

    def connect(self, address: str, now_ms: int) -> bool:
        """Count a WebSocket handshake; return False if the address has made too many."""
        attempts = self._connects.setdefault(address, deque())
        while attempts and attempts[0] <= now_ms - CONNECT_WINDOW_MS:
            attempts.popleft()
        attempts.append(now_ms)
        minute = self.minute(address, now_ms)
        minute.connects += 1
        if len(attempts) > CONNECTS:
            minute.connects_refused += 1
            return False
        return True

    def minute(self, address: str, now_ms: int) -> MinuteLog:
        """Return the log entry of the current minute."""
        key = (now_ms // MINUTE_MS * MINUTE_MS, address)
        entry = self._log.get(key)
        if entry is None:
            entry = self._log[key] = MinuteLog()
            if len(self._log) > _LOG_ENTRIES:
                del self._log[next(iter(self._log))]
        return entry

    def log(self) -> list[dict[str, Any]]:
        """Return all entries, oldest first."""
        return [{"minute_ms": at, "address": address, **asdict(entry)} for (at, address), entry in self._log.items()]


def _seconds(milliseconds: int) -> int:
    return max(-(-milliseconds // 1000), 1)
