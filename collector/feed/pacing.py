"""When a connection may be opened: back-off with jitter, under the exchange's limit on connection attempts. Pure."""

from collections import deque
from collections.abc import Callable

from service.backoff import Backoff

WINDOW_SECONDS = 300.0
SETTLED_SECONDS = 60.0
"""A connection that lived this long was a good one: the next attempt follows at once (the exchange's 24 h close)."""

FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 60.0


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


class Pacing:
    """How long one connection waits before its coming attempt: not at all after a good session, else the back-off."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        self.delay_seconds = 0.0
        self._backoff = Backoff(FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS, jitter)

    def ended(self, lived_seconds: float, *, delivered: bool) -> None:
        """A connection ended, or an attempt failed (lived 0 s). Only a good one resets the back-off."""
        if delivered and lived_seconds >= SETTLED_SECONDS:
            self._backoff.reset()
            self.delay_seconds = 0.0
        else:
            self.delay_seconds = self._backoff.next_seconds()
