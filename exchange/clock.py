"""The exchange's time, carried on by a monotonic clock between its responses.

Rate limits count in the exchange's UTC minutes, and a candle is over when the exchange's clock says so, whatever this
host's wall clock is set to.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

#: Samples kept: enough to see past the rounding of `Date`, few enough that drift between the clocks does not matter.
_SAMPLES = 64

#: `Date` has whole seconds, rounded down (RFC 9110, section 5.6.7 has no fraction).
_ROUNDED_MS = 1_000


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


class ExchangeClock:
    """Exchange time in UTC milliseconds. Before the first `observe` it is this host's wall clock as read at the start.

    Every server time is old when it arrives: by the response's travel time, by up to a second in a `Date` header, by
    the age of a cached response. So each sample is a lower bound, and the largest of the last ones is the best.
    """

    def __init__(self, monotonic_ms: Callable[[], int] = _monotonic_ms, wall_ms: Callable[[], int] = _wall_ms) -> None:
        self.monotonic_ms = monotonic_ms
        self._offset_ms = wall_ms() - monotonic_ms()
        self._most_ahead_ms = 0
        self._samples: deque[tuple[int, int | None]] = deque(maxlen=_SAMPLES)

    @property
    def known(self) -> bool:
        """Whether the exchange has reported its time yet."""
        return bool(self._samples)

    def now_ms(self) -> int:
        """Return the exchange's time; ahead of it by at most the drift within the last samples."""
        return self.monotonic_ms() + self._offset_ms

    def latest_ms(self) -> int:
        """Return the latest that the exchange's time can be now, given the last samples; never below `now_ms`.

        A slow response leaves the two far apart until a faster one arrives.
        """
        return self.now_ms() + self._most_ahead_ms

    def observe(self, server_ms: int, asked_ms: int | None = None) -> None:
        """Take a time the exchange has just sent: `serverTime` of /time, or a `Date` header.

        `asked_ms` is the monotonic time at which the request was sent: the exchange read its clock after that. Do not
        use `serverTime` of exchangeInfo: that response is cached, and hours old (recorded ones by 6 and by 37 hours).
        """
        latest_offset_ms = None if asked_ms is None else server_ms + _ROUNDED_MS - asked_ms
        self._samples.append((server_ms - self.monotonic_ms(), latest_offset_ms))
        self._offset_ms = max(offset_ms for offset_ms, _ in self._samples)
        latest = min((latest_ms for _, latest_ms in self._samples if latest_ms is not None), default=self._offset_ms)
        self._most_ahead_ms = max(0, latest - self._offset_ms)
