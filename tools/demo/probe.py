"""Measures the time from the exchange's frame until a reader of the store sees it, by polling."""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence

from tools.demo.store_truth import SAMPLES, Sample, Store, StoreFailed

POLL_SECONDS = 0.1
"""A reading is late by half of this on average, so the reported delay is an upper bound."""

SHOWN_SECONDS = 60.0


class Probe:
    """Polls the newest mark price of every pair, and measures the delay of each sample when it is first seen.

    `newest` is what a reader of the store sees now. The delay is from the exchange's event time to our reading.
    """

    def __init__(self, store: Store, exchange_now_ms: Callable[[], int]) -> None:
        self.newest: dict[str, Sample] = {}
        self.problem = ""
        self._store = store
        self._now_ms = exchange_now_ms
        self._recent: deque[tuple[float, float]] = deque()
        self._kept: list[float] | None = None

    def keep(self) -> None:
        """Keep every delay from now on, for the summary."""
        self._kept = []

    def kept(self) -> list[float]:
        """Return all delays in seconds since `keep`."""
        return self._kept or []

    def recent(self) -> list[float]:
        """Return the delays of the last minute, in seconds."""
        return [delay for _, delay in self._recent]

    async def run(self) -> None:
        """Poll until cancelled; a store that does not respond is retried."""
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            try:
                self._see(await self._store.newest(SAMPLES, "mark_price", "mark", "2m"), loop.time())
                self.problem = ""
            except StoreFailed as failed:
                self.problem = str(failed)
            await asyncio.sleep(max(started + POLL_SECONDS - loop.time(), 0.01))

    def _see(self, samples: dict[str, Sample], at: float) -> None:
        now_ms = self._now_ms()
        for pair, sample in samples.items():
            before = self.newest.get(pair)
            if before is not None and sample.time_ms > before.time_ms:
                delay = (now_ms - sample.time_ms) / 1000
                self._recent.append((at, delay))
                if self._kept is not None:
                    self._kept.append(delay)
        self.newest.update(samples)
        while self._recent and self._recent[0][0] < at - SHOWN_SECONDS:
            self._recent.popleft()


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Return the smallest value that is not exceeded by `percent` of the values; None if there are none."""
    if not values:
        return None
    return sorted(values)[max(math.ceil(len(values) * percent / 100), 1) - 1]
