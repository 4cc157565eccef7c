"""Mark and index price: functions of the second, in units of 10^-8, near the trade price."""

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
    """The prices of one second, 10^-8."""

    mark: int
    average: int
    index: int
    settle: int


class MarkPrices:
    """Straight lines, second by second, between the values at full minutes: a minute's extremes are at its ends."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._hour_points = lru_cache(maxsize=4096)(self._compute_hour)

    def at(self, instrument: Instrument, time_ms: int) -> Marks:
        """The prices at the second that holds `time_ms`."""
        points = self._hour_points(instrument, time_ms // HOUR_MS)
        minute = time_ms % HOUR_MS // MINUTE_MS
        second = time_ms % MINUTE_MS // 1000
        mark, next_mark, index, next_index = (*points[0][minute : minute + 2], *points[1][minute : minute + 2])
        now = mark + (next_mark - mark) * second // 60
        index_now = index + (next_index - index) * second // 60
        return Marks(mark=now, average=(mark + now) // 2, index=index_now, settle=(now + 3 * index_now) // 4)

    def mark_at_minute(self, instrument: Instrument, time_ms: int) -> int:
        """The mark price at a full minute, without the cost of its hour."""
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
        """(open time, close time, open, high, low, close, seconds) of the mark or index price.

        The span is that of `CandleStore.candles`.
        """
        start = window_open(interval, first_open_ms)
        if start < first_open_ms:
            start = window_end(interval, start)
        start = max(start, window_open(interval, instrument.onboard_ms))
        last = min(last_open_ms, now_ms)
        rows = []
        while start <= last and now_ms >= instrument.onboard_ms:
            end = window_end(interval, start)
            first_ms = max(start, instrument.onboard_ms)
            seconds = (min(end - 1, now_ms) - first_ms) // 1000 + 1
            minutes = (seconds - 1) // 60
            points = self._points(instrument, first_ms // MINUTE_MS, minutes + 2)[int(index)]
            left, right = int(points[-2]), int(points[-1])
            close = left + (right - left) * ((seconds - 1) % 60) // 60
            seen = points[:-1]
            high, low = max(int(seen.max()), close), min(int(seen.min()), close)
            rows.append((start, end - 1, int(points[0]), high, low, close, seconds))
            start = end
        return rows

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
