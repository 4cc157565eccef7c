"""Funding: one rate per period of a symbol, and the estimate that converges to it. Rates in units of 10^-8."""

from collections.abc import Iterator

from simulator.market import HOUR_MS, MINUTE_MS
from simulator.noise import hash_at, key_of
from simulator.universe import Instrument

_USUAL_RATE = 10_000  # 0.0001, the interest rate component
_NEVER_MS = 10**14


class Funding:
    """Functions of (seed, symbol, time), pure except for requested changes of intervals.

    A settlement at the time of a change is the last one of the old interval; the first one of the new interval is at
    its next multiple. Until then the next funding time is that of the old interval, because changes are not announced.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._keys: dict[str, int] = {}
        self._changes: dict[str, list[tuple[int, int]]] = {}

    def change(self, symbol: str, hours: int, at_ms: int) -> None:
        """Make a symbol settle every `hours` from `at_ms` on. This may be in the past, and then changes its history."""
        kept = [change for change in self._changes.get(symbol, []) if change[0] != at_ms]
        self._changes[symbol] = sorted([*kept, (at_ms, hours)])

    def hours(self, instrument: Instrument, time_ms: int) -> int:
        """Return the interval at `time_ms`."""
        return next(hours for since, _, hours in reversed(self._intervals(instrument)) if since <= time_ms)

    def settled_rate(self, instrument: Instrument, period: int) -> int:
        """The rate paid at the end of period number `period` since the epoch."""
        bits = hash_at(self._key(instrument), period)
        if bits % 10 < 4:
            return _USUAL_RATE
        return (bits >> 8) % 50_001 - 25_000 + _USUAL_RATE // 2

    def next_funding_ms(self, instrument: Instrument, time_ms: int) -> int:
        """Return the full hour at which the current period ends."""
        length = self.hours(instrument, time_ms) * HOUR_MS
        return (time_ms // length + 1) * length

    def estimate(self, instrument: Instrument, time_ms: int) -> int:
        """Return the current period's rate at `time_ms`: it moves from the previous rate to its own."""
        length = self.hours(instrument, time_ms) * HOUR_MS
        end = (time_ms // length + 1) * length
        start, period = self._ended(instrument, time_ms)
        before = self.settled_rate(instrument, period)
        after = self.settled_rate(instrument, end // length - 1)
        minutes = (end - start) // MINUTE_MS - 1
        return before + (after - before) * ((time_ms - start) // MINUTE_MS) // minutes

    def settlements(self, instrument: Instrument, start_ms: int, end_ms: int) -> list[tuple[int, int]]:
        """Return (funding time, rate) of the settlements in [start, end], ascending, 0 to 3 ms after the hour."""
        rows = []
        for end, period in self._ends(instrument, max(start_ms - 4, instrument.onboard_ms), end_ms):
            time_ms = end + (0, 0, 1, 2, 3, 0, 2, 0)[hash_at(self._key(instrument), period) >> 61]
            if start_ms <= time_ms <= end_ms:
                rows.append((time_ms, self.settled_rate(instrument, period)))
        return rows

    def _ends(self, instrument: Instrument, after_ms: int, until_ms: int) -> Iterator[tuple[int, int]]:
        """Yield (full hour, period) of every settlement in (after, until]; periods are numbered by their own length."""
        for since, until, hours in self._intervals(instrument):
            length = hours * HOUR_MS
            first = max(after_ms, since) // length
            for period in range(first, min(until_ms, until) // length):
                yield (period + 1) * length, period

    def _ended(self, instrument: Instrument, time_ms: int) -> tuple[int, int]:
        """Return (full hour, period) of the newest settlement at `time_ms`."""
        for since, until, hours in reversed(self._intervals(instrument)):
            length = hours * HOUR_MS
            end = min(time_ms, until) // length * length
            if since < end:
                return end, end // length - 1
        raise AssertionError("the first interval has no beginning")

    def _intervals(self, instrument: Instrument) -> list[tuple[int, int, int]]:
        """Return (since, until, hours): settlements in (since, until] are at multiples of `hours`."""
        changes = self._changes.get(instrument.symbol, [])
        starts = [(0, instrument.funding_hours), *changes]
        ends = [*(at_ms for at_ms, _ in changes), _NEVER_MS]
        return [(since, until, hours) for (since, hours), until in zip(starts, ends, strict=True)]

    def _key(self, instrument: Instrument) -> int:
        key = self._keys.get(instrument.symbol)
        if key is None:
            key = self._keys[instrument.symbol] = key_of(self._seed, instrument.symbol, "funding")
        return key
