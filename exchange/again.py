"""When the exchange is asked again for a candle it lacked, or had only an impossible row of: ever more rarely. Pure.

Candles that REST lacks at first have come ten minutes, hours and days later (docs/design.md 5.1).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

_MINUTE_MS = 60_000

AGAIN_MS = tuple(minutes * _MINUTE_MS for minutes in (10, 60, 6 * 60, 24 * 60, 7 * 24 * 60))
"""So long after a candle was first found absent it is asked for again; after the last time no more."""


@dataclass(frozen=True, slots=True)
class Again:
    """Since when a candle is known to be absent (UTC ms), and how many of the times to ask again are behind it."""

    since_ms: int
    asked: int = 0

    def is_due(self, now_ms: int, after_ms: Sequence[int] = AGAIN_MS) -> bool:
        """Say whether it is time to ask."""
        return self.asked < len(after_ms) and self.since_ms + after_ms[self.asked] <= now_ms

    def is_over(self, after_ms: Sequence[int] = AGAIN_MS) -> bool:
        """Say whether nobody asks any more."""
        return self.asked >= len(after_ms)

    def asked_at(self, now_ms: int, after_ms: Sequence[int] = AGAIN_MS) -> "Again":
        """Return it as it is after an ask at ``now_ms`` that was answered in vain; times that were missed count."""
        passed = sum(self.since_ms + one_ms <= now_ms for one_ms in after_ms)
        return replace(self, asked=max(self.asked, passed))
