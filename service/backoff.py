"""How long to wait between attempts at something that keeps failing. Pure: the caller sleeps."""

from collections.abc import Callable

DOUBLINGS = 32
"""A delay is doubled at most this many times: a float would overflow after a few days of failures."""


def whole() -> float:
    """Return 1.0, the jitter of delays that are always waited in full."""
    return 1.0


class Backoff:
    """Delays in seconds: the first one, then twice the previous one up to the longest, until `reset`.

    `jitter` returns numbers in [0, 1) that pick each delay from its upper half, so that clients that failed together do
    not retry together. Without it, delays are always waited in full.
    """

    def __init__(self, first_seconds: float, longest_seconds: float, jitter: Callable[[], float] = whole) -> None:
        self.failures = 0
        """Consecutive failures: how many delays were taken since the last `reset`."""
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds
        self._jitter = jitter

    def next_seconds(self) -> float:
        """Count a failure and return how long to wait after it."""
        doubled = self._first_seconds * 2.0 ** min(self.failures, DOUBLINGS)
        self.failures += 1
        return min(doubled, self._longest_seconds) * (0.5 + 0.5 * self._jitter())

    def reset(self) -> None:
        """Start again from the first delay, after a success."""
        self.failures = 0
