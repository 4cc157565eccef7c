"""Mark and index prices: functions of the second, in units of 10^-8, close to the trade price."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from simulator.intervals import window_end, window_open
from simulator.market import HOUR_MS, MINUTE_MS, Market
from simulator.noise import Ints, key_of, smooth, smooth_at
from simulator.universe import Instrument

DECIMALS = 8
_MARK_BASIS = 0.0004
_INDEX_BASIS = 0.0002
_BASIS_PERIOD_MINUTES = 45


@dataclass(frozen=True, slots=True)
class Marks:
    """The prices at one second, 10^-8."""

    mark: int
    average: int
    index: int
    settle: int


class MarkPrices:
    """Linear between the values at full minutes, in steps of a second, so a minute's extremes are at its ends."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._hour_points = lru_cache(maxsize=4096)(self._compute_hour)

    def at(self, instrument: Instrument, time_ms: int) -> Marks:
        """Return the prices at the second that contains `time_ms`."""
        points = self._hour_points(instrument, time_ms // HOUR_MS)
        minute = time_ms % HOUR_MS // MINUTE_MS
        second = time_ms % MINUTE_MS // 1000
        mark, next_mark, index, next_index = (*points[0][minute : minute + 2], *points[1][minute : minute + 2])
        now = mark + (next_mark - mark) * second // 60
        index_now = index + (next_index - index) * second // 60
        return Marks(mark=now, average=(mark + now) // 2, index=index_now, settle=(now + 3 * index_now) // 4)

    def mark_at_minute(self, instrument: Instrument, time_ms: int) -> int:
        """Return the mark price at a full minute, without computing its hour."""
        minute = time_ms // MINUTE_MS
        price = self._market.minute_price(instrument.shape, minute) * float(
            10 ** (DECIMALS - instrument.price_precision)
        )
        wave = smooth_at(key_of(self._market.seed, instrument.symbol, "mark"), _BASIS_PERIOD_MINUTES, minute)
        return round(price * (1.0 + wave * _MARK_BASIS))

    def candles(
        self,
        instrument: Instrument,
        interval: str,
        first_open_ms: int,
        last_open_ms: int,
        now_ms: int,
        *,
        index: bool = False,
    ) -> list[tuple[int, int, int, int, int, int, int]]:
        """Return (open time, close time, open, high, low, close, seconds) of the mark or index price.

        The range is the same as in `CandleStore.candles`.
        """
        start = window_open(interval, first_open_ms)
        if start < first_open_ms:
            start = window_end(interval, start)
        start = max(start, window_open(interval, instrument.onboard_ms))
        last = min(last_open_ms, now_ms)
        if start > last or now_ms < instrument.onboard_ms:
            return []
        opens: list[int] = []
        while start <= last:
            opens.append(start)
            start = window_end(interval, start)
        first_minute = max(opens[0], instrument.onboard_ms) // MINUTE_MS
        stop_ms = min(start - 1, now_ms)
        points = self._points(instrument, first_minute, stop_ms // MINUTE_MS - first_minute + 2)[int(index)]
        begins = np.maximum(np.array(opens, dtype=np.int64) // MINUTE_MS - first_minute, 0)
        ends = np.append(begins[1:] - 1, len(points) - 2)  # the last minute of each window
        seconds = np.full(len(opens), 59, dtype=np.int64)  # and the last second of that minute
        seconds[-1] = stop_ms % MINUTE_MS // 1000
        closes = points[ends] + (points[ends + 1] - points[ends]) * seconds // 60
        highs = np.maximum(np.maximum.reduceat(points[:-1], begins), closes)
        lows = np.minimum(np.minimum.reduceat(points[:-1], begins), closes)
        counts = (ends - begins) * 60 + seconds + 1
        table = zip(*(column.tolist() for column in (points[begins], highs, lows, closes, counts)), strict=True)
        return [(at, window_end(interval, at) - 1, *row) for at, row in zip(opens, table, strict=True)]

    def _points(self, instrument: Instrument, first_minute: int, count: int) -> tuple[Ints, Ints]:
        shape = instrument.shape
        price = self._market.minute_prices(shape, first_minute, count)
        price *= float(10 ** (DECIMALS - instrument.price_precision))
        seed = self._market.seed
        result = []
        for name, basis in (("mark", _MARK_BASIS), ("index", _INDEX_BASIS)):
            wave = smooth(key_of(seed, shape.symbol, name), _BASIS_PERIOD_MINUTES, first_minute, count)
            result.append(np.rint(price * (1.0 + wave * basis)).astype(np.int64))
        return result[0], result[1]

    def _compute_hour(self, instrument: Instrument, hour: int) -> tuple[list[int], list[int]]:
        marks, indexes = self._points(instrument, hour * 60, 61)
        return marks.tolist(), indexes.tolist()
