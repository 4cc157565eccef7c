"""How long to wait between attempts at what keeps failing. Pure: who uses it sleeps."""

from collections.abc import Callable

DOUBLINGS = 32
"""No delay is doubled more often than this: a float would overflow after some days of failures."""


def whole() -> float:
    """Return 1: the jitter of a delay that is waited for whole."""
    return 1.0


class Backoff:
    """Delays in seconds: the first, then each twice the one before up to the longest, until `reset`.

    `jitter` returns numbers in [0, 1), which draw each delay from its upper half: clients that failed together do not
    come back together. Without it the delays are whole.
    """

    def __init__(self, first_seconds: float, longest_seconds: float, jitter: Callable[[], float] = whole) -> None:
        self.failures = 0
        """In a row: how many delays were taken since the last `reset`."""
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds
        self._jitter = jitter

    def next_seconds(self) -> float:
        """Count a failure and return how long to wait after it."""
        doubled = self._first_seconds * 2.0 ** min(self.failures, DOUBLINGS)
        self.failures += 1
        return min(doubled, self._longest_seconds) * (0.5 + 0.5 * self._jitter())

    def reset(self) -> None:
        """It worked: the next failure waits for the first delay."""
        self.failures = 0
