"""The exchange's clock: real time, or any past time that advances at real speed."""

import time


class Clock:
    """Milliseconds since the epoch on the simulated exchange; never goes back."""

    def __init__(self, start_ms: int | None = None) -> None:
        start_ns = time.time_ns() if start_ms is None else start_ms * 1_000_000
        self._offset_ns = start_ns - time.monotonic_ns()
        self.start_ms = start_ns // 1_000_000

    def now_ms(self) -> int:
        return (time.monotonic_ns() + self._offset_ns) // 1_000_000
