"""The exchange's time, held up by a monotonic clock between its answers.

Rate limits count in the exchange's UTC minutes, and a candle is over when the exchange's clock says so, whatever this
host's wall clock is set to.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

#: Samples kept: enough to see past the rounding of `Date`, few enough that a drift between the clocks stays invisible.
_SAMPLES = 64


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


class ExchangeClock:
    """Exchange time in UTC milliseconds. Until the first `observe` it is this host's wall clock as read at the start.

    Every server time is old when it arrives: by the answer's way, by up to a second in a `Date` header, by a cache's
    age. So each sample is a lower bound, and the largest of the last ones is the best.
    """

    def __init__(self, monotonic_ms: Callable[[], int] = _monotonic_ms, wall_ms: Callable[[], int] = _wall_ms) -> None:
        self.monotonic_ms = monotonic_ms
        self._offset_ms = wall_ms() - monotonic_ms()
        self._samples: deque[int] = deque(maxlen=_SAMPLES)

    @property
    def known(self) -> bool:
        """Whether the exchange has told its time yet."""
        return bool(self._samples)

    def now_ms(self) -> int:
        """Return the exchange's time; never ahead of it by more than the drift within the last samples."""
        return self.monotonic_ms() + self._offset_ms

    def observe(self, server_ms: int) -> None:
        """Take a time the exchange has just sent: `serverTime` of /time, or a `Date` header.

        Not `serverTime` of exchangeInfo: that answer is cached, and hours old (recorded ones by 6 and by 37 hours).
        """
        self._samples.append(server_ms - self.monotonic_ms())
        self._offset_ms = max(self._samples)
