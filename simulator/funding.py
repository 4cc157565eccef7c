"""Funding: one rate for every period of a symbol, and the running estimate that ends on it. Rates in units of 10^-8."""

from simulator.market import HOUR_MS, MINUTE_MS
from simulator.noise import hash_at, key_of
from simulator.universe import Instrument

_USUAL_RATE = 10_000  # 0.0001, the interest rate's part


class Funding:
    """Pure functions of (seed, symbol, time)."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._keys: dict[str, int] = {}

    def settled_rate(self, instrument: Instrument, period: int) -> int:
        """The rate paid at the end of period number `period` since the epoch."""
        bits = hash_at(self._key(instrument), period)
        if bits % 10 < 4:
            return _USUAL_RATE
        return (bits >> 8) % 50_001 - 25_000 + _USUAL_RATE // 2

    def next_funding_ms(self, instrument: Instrument, time_ms: int) -> int:
        """The full hour at which the running period ends."""
        length = instrument.funding_hours * HOUR_MS
        return (time_ms // length + 1) * length

    def estimate(self, instrument: Instrument, time_ms: int) -> int:
        """The running period's rate at `time_ms`: from the last rate to its own, reached in its last minute."""
        length = instrument.funding_hours * HOUR_MS
        period = time_ms // length
        before = self.settled_rate(instrument, period - 1)
        after = self.settled_rate(instrument, period)
        minutes = length // MINUTE_MS - 1
        return before + (after - before) * (time_ms % length // MINUTE_MS) // minutes

    def settlements(self, instrument: Instrument, start_ms: int, end_ms: int) -> list[tuple[int, int]]:
        """(funding time, rate) of every settlement in [start, end], ascending; it is 0 to 3 ms after the hour."""
        length = instrument.funding_hours * HOUR_MS
        first = max(start_ms - 3, instrument.onboard_ms) // length
        rows = []
        for period in range(first, end_ms // length):
            time_ms = (period + 1) * length
            time_ms += (0, 0, 1, 2, 3, 0, 2, 0)[hash_at(self._key(instrument), period) >> 61]
            if start_ms <= time_ms <= end_ms:
                rows.append((time_ms, self.settled_rate(instrument, period)))
        return rows

    def _key(self, instrument: Instrument) -> int:
        key = self._keys.get(instrument.symbol)
        if key is None:
            key = self._keys[instrument.symbol] = key_of(self._seed, instrument.symbol, "funding")
        return key
