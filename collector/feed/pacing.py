"""When a connection may be opened: back-off with jitter, within the exchange's limit on connection attempts. Pure."""

from collections import deque
from collections.abc import Callable

from service.backoff import Backoff

WINDOW_SECONDS = 300.0
SETTLED_SECONDS = 60.0
"""A session that lasted this long was good: the next attempt follows at once (the exchange closes after 24 h)."""

FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 60.0


class AttemptWindow:
    """Counts the attempts of the whole process in a sliding window."""

    def __init__(self, limit: int, window_seconds: float = WINDOW_SECONDS) -> None:
        self._limit = limit
        self._window_seconds = window_seconds
        self._attempts: deque[float] = deque()

    def wait_seconds(self, now: float) -> float:
        """Seconds until the window has room for one more attempt; 0 if it has room now."""
        self._forget(now)
        if len(self._attempts) < self._limit:
            return 0.0
        return self._attempts[0] + self._window_seconds - now

    def has_room(self, now: float) -> bool:
        """Whether half the window is free: planned replacements can wait and leave room for attempts that cannot."""
        self._forget(now)
        return len(self._attempts) < self._limit / 2

    def record(self, now: float) -> None:
        """Note an attempt made at ``now`` (monotonic seconds)."""
        self._attempts.append(now)

    def _forget(self, now: float) -> None:
        while self._attempts and self._attempts[0] <= now - self._window_seconds:
            self._attempts.popleft()


class Pacing:
    """How long a connection waits before its next attempt: not at all after a good session, else the back-off."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        self.delay_seconds = 0.0
        self._backoff = Backoff(FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS, jitter)

    def ended(self, lived_seconds: float, *, delivered: bool) -> None:
        """Note that a session ended, or an attempt failed (lived 0 s). Only a good session resets the back-off."""
        if delivered and lived_seconds >= SETTLED_SECONDS:
            self._backoff.reset()
            self.delay_seconds = 0.0
        else:
            self.delay_seconds = self._backoff.next_seconds()
