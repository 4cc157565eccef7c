"""When a connection may be opened: back-off with jitter, under the exchange's limit on connection attempts. Pure."""

from collections import deque
from collections.abc import Callable

WINDOW_SECONDS = 300.0
SETTLED_SECONDS = 60.0
"""A connection that lived this long was a good one: the next attempt follows at once (the exchange's 24 h close)."""

MAX_DELAY_SECONDS = 60.0


class AttemptWindow:
    """Counts the attempts of the whole process in a sliding window."""

    def __init__(self, limit: int, window_seconds: float = WINDOW_SECONDS) -> None:
        self._limit = limit
        self._window_seconds = window_seconds
        self._attempts: deque[float] = deque()

    def wait_seconds(self, now: float) -> float:
        """Seconds until one more attempt fits into the window; 0 if it fits now."""
        self._forget(now)
        if len(self._attempts) < self._limit:
            return 0.0
        return self._attempts[0] + self._window_seconds - now

    def has_room(self, now: float) -> bool:
        """Whether half the window is free: what can wait (a planned replacement) leaves room for what cannot."""
        self._forget(now)
        return len(self._attempts) < self._limit / 2

    def record(self, now: float) -> None:
        """Note an attempt made at ``now`` (monotonic seconds)."""
        self._attempts.append(now)

    def _forget(self, now: float) -> None:
        while self._attempts and self._attempts[0] <= now - self._window_seconds:
            self._attempts.popleft()


class Backoff:
    """Delay before each attempt of one connection: 0, then 1, 2, 4 ... 60 s, each drawn from its upper half."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._failures = 0

    def next_delay_seconds(self) -> float:
        """Delay before the coming attempt."""
        if self._failures == 0:
            return 0.0
        ceiling = min(2.0 ** (self._failures - 1), MAX_DELAY_SECONDS)
        return ceiling * (0.5 + 0.5 * self._random())

    def ended(self, lived_seconds: float, *, delivered: bool) -> None:
        """A connection ended, or an attempt failed (lived 0 s). Only a good one resets the back-off."""
        good = delivered and lived_seconds >= SETTLED_SECONDS
        self._failures = 0 if good else self._failures + 1
