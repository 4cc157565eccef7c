"""When to ask the exchange again for a candle it lacked, or had only an impossible row for: less and less often. Pure.

Candles that REST lacked at first have appeared ten minutes, hours and days later (docs/design.md 5.1).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

_MINUTE_MS = 60_000

AGAIN_MS = tuple(minutes * _MINUTE_MS for minutes in (10, 60, 6 * 60, 24 * 60, 7 * 24 * 60))
"""How long after a candle was first found absent it is requested again; after the last time it is given up."""


@dataclass(frozen=True, slots=True)
class Again:
    """Since when a candle has been known to be absent (UTC ms), and how many of the times to ask again have passed."""

    since_ms: int
    asked: int = 0

    def is_due(self, now_ms: int, after_ms: Sequence[int] = AGAIN_MS) -> bool:
        """Return whether it is time to ask again."""
        return self.asked < len(after_ms) and self.since_ms + after_ms[self.asked] <= now_ms

    def is_over(self, after_ms: Sequence[int] = AGAIN_MS) -> bool:
        """Return whether there is no time left to ask again."""
        return self.asked >= len(after_ms)

    def asked_at(self, now_ms: int, after_ms: Sequence[int] = AGAIN_MS) -> "Again":
        """Return the state after an unsuccessful request at ``now_ms``; times that were missed count."""
        passed = sum(self.since_ms + one_ms <= now_ms for one_ms in after_ms)
        return replace(self, asked=max(self.asked, passed))
