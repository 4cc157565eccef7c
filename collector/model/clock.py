"""Exchange time that does not depend on our wall clock: the newest event time plus the monotonic time since then."""

import asyncio
from collections.abc import Callable

JUMP_MS = 60_000
"""An event time further ahead than this is a bad frame, or the machine slept: it needs witnesses."""

WITNESSES = 10
"""Consecutive frames that must agree before the clock follows such a jump."""
LONGEST_SLEEP_SECONDS = 30.0
"""How often a sleeper looks at the clock, which may jump forward by more than the time that passed."""


class ExchangeClock:
    """The exchange's time in UTC milliseconds; it never goes back.

    A single frame from the far future must not close every candle at once, so the clock follows a jump only when
    ``WITNESSES`` consecutive event times agree on it (as they do after a suspended machine wakes up).
    """

    def __init__(self, monotonic_ns: Callable[[], int]) -> None:
        self._monotonic_ns = monotonic_ns
        self._base_ms = 0
        self._base_ns = 0
        self._jump_ms = 0
        self._jump_witnesses = 0

    @property
    def is_set(self) -> bool:
        """True once a server time or an event time has been seen."""
        return self._base_ms > 0

    def now_ms(self) -> int:
        """Exchange time now, in UTC milliseconds; 0 before anything has been observed."""
        if not self.is_set:
            return 0
        return self._base_ms + (self._monotonic_ns() - self._base_ns) // 1_000_000

    async def sleep_until(self, time_ms: int) -> None:
        """Return once the exchange's time is at least `time_ms`."""
        while True:
            left_ms = time_ms - self.now_ms()
            if left_ms <= 0:
                return
            await asyncio.sleep(min(left_ms / 1000, LONGEST_SLEEP_SECONDS))

    def observe(self, event_time_ms: int) -> None:
        """Learn from an event time or the server time of the exchange."""
        ahead_ms = event_time_ms - self.now_ms()
        if ahead_ms <= 0:
            self._jump_witnesses = 0
            return
        if self.is_set and ahead_ms > JUMP_MS:
            agrees = abs(event_time_ms - self._jump_ms) <= JUMP_MS
            self._jump_witnesses = self._jump_witnesses + 1 if agrees else 1
            self._jump_ms = event_time_ms
            if self._jump_witnesses < WITNESSES:
                return
        self._jump_witnesses = 0
        self._base_ms = event_time_ms
        self._base_ns = self._monotonic_ns()
