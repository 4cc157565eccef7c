"""Candles computed from trades: any interval at any time, identical for history and live stream."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from simulator.intervals import FIXED_MS, window_end, window_open
from simulator.market import DAY_MS, HOUR_MS, MINUTE_MS, Market, MarketShape, Trades
from simulator.noise import Ints

# A table of candles has shape (9, candles), int64. A candle without trades has open = high = low = close = last price.
OPEN, HIGH, LOW, CLOSE, VOLUME, QUOTE, TRADES, TAKER_VOLUME, TAKER_QUOTE = range(9)
_SUMS = (VOLUME, QUOTE, TRADES, TAKER_VOLUME, TAKER_QUOTE)
_LARGEST = np.iinfo(np.int64).max
_MINUTES_A_DAY = DAY_MS // MINUTE_MS


@dataclass(frozen=True, slots=True)
class Candle:
    """A candle in the market's integers; trade ids are -1 if it has no trades."""

    open_ms: int
    close_ms: int  # inclusive, as at the exchange
    open: int
    high: int
    low: int
    close: int
    volume: int
    quote: int
    trades: int
    taker_volume: int
    taker_quote: int


def minute_table(trades: Trades) -> Ints:
    """Return the one-minute candles of slots; the first minute must have a trade (the first of every hour does)."""
    traded, price = trades.traded, trades.price
    slots, minutes = traded.shape
    columns = np.arange(minutes)
    quote = price * trades.quantity
    table = np.empty((9, minutes), dtype=np.int64)
    first = traded.argmax(axis=0)
    last = slots - 1 - traded[::-1].argmax(axis=0)
    table[OPEN] = price[first, columns]
    table[HIGH] = (price * traded).max(axis=0)
    table[LOW] = np.where(traded, price, _LARGEST).min(axis=0)
    table[CLOSE] = price[last, columns]
    table[VOLUME] = trades.quantity.sum(axis=0)
    table[QUOTE] = quote.sum(axis=0)
    table[TRADES] = trades.fills.sum(axis=0)
    table[TAKER_VOLUME] = (trades.quantity * trades.buyer_is_taker).sum(axis=0)
    quote *= trades.buyer_is_taker
    table[TAKER_QUOTE] = quote.sum(axis=0)
    _carry(table)
    return table


def group(table: Ints, starts: Ints) -> Ints:
    """Merge candles into longer ones; `starts` are the columns at which each begins. Sums are exact."""
    result = np.empty((9, len(starts)), dtype=np.int64)
    traded = table[TRADES] > 0
    count = table.shape[1]
    result[HIGH] = np.maximum.reduceat(np.where(traded, table[HIGH], 0), starts)
    result[LOW] = np.minimum.reduceat(np.where(traded, table[LOW], _LARGEST), starts)
    for field in _SUMS:
        result[field] = np.add.reduceat(table[field], starts)
    first = np.minimum.reduceat(np.where(traded, np.arange(count), count - 1), starts)
    result[OPEN] = table[OPEN, first]
    result[CLOSE] = table[CLOSE, np.append(starts[1:], count) - 1]
    idle = result[TRADES] == 0  # then all its parts have the last price
    result[OPEN : LOW + 1, idle] = result[CLOSE, idle]
    return result


def _carry(table: Ints) -> None:
    """Set the prices of candles without trades to the last price."""
    count = table.shape[1]
    last_traded = np.maximum.accumulate(np.where(table[TRADES] > 0, np.arange(count), 0))
    close = table[CLOSE, last_traded]
    idle = table[TRADES] == 0
    table[:TRADES, idle] = 0
    table[TAKER_VOLUME:, idle] = 0
    table[OPEN : CLOSE + 1, idle] = close[idle]


class _Cache:
    """A bounded LRU cache of tables."""

    def __init__(self, entries: int) -> None:
        self._entries = entries
        self._tables: OrderedDict[tuple[str, int], Ints] = OrderedDict()

    def __contains__(self, key: tuple[str, int]) -> bool:
        return key in self._tables

    def get(self, key: tuple[str, int], compute: Callable[[], Ints]) -> Ints:
        table = self._tables.get(key)
        if table is None:
            table = compute()
            self._tables[key] = table
            if len(self._tables) > self._entries:
                self._tables.popitem(last=False)
        else:
            self._tables.move_to_end(key)
        return table


class CandleStore:
    """Candles of the market; whole days are cached in bounded memory (about 120 MiB when full).

    Computing a day takes 1 to 8 ms; `days_missing` allows a server to yield in between.
    """

    def __init__(self, market: Market) -> None:
        self.market = market
        self._minutes = _Cache(128)  # 104 kB each
        self._threes = _Cache(1_600)  # 35 kB each
        self._hours = _Cache(24_000)  # 2 kB each

    def candles(
        self, shape: MarketShape, interval: str, first_open_ms: int, last_open_ms: int, now_ms: int
    ) -> list[Candle]:
        """Return the candles that open in [first, last] and not after `now_ms`, ascending; the last may be forming.

        A trade at exactly `now_ms` is included.
        """
        start = window_open(interval, first_open_ms)
        if start < first_open_ms:
            start = window_end(interval, start)
        start = max(start, window_open(interval, shape.listed_ms))
        last = window_open(interval, min(last_open_ms, now_ms))
        if start > last or now_ms < shape.listed_ms:
            return []
        end = min(window_end(interval, last), now_ms + 1)
        base_ms = self._base_ms(interval)
        table_start = max(start, shape.listed_ms)
        table = self._base_table(shape, base_ms, table_start, end)
        opens: list[int] = []
        opening = start
        while opening <= last:
            opens.append(opening)
            opening = window_end(interval, opening)
        if FIXED_MS.get(interval) != base_ms:
            table = group(table, np.maximum(np.array(opens, dtype=np.int64) - table_start, 0) // base_ms)
        rows = zip(*table.tolist(), strict=True)
        return [Candle(at, window_end(interval, at) - 1, *row) for at, row in zip(opens, rows, strict=True)]

    def merged(self, shape: MarketShape, start_ms: int, now_ms: int) -> Candle:
        """Return one candle of all trades from `start_ms` (on the 3m grid, not before the listing) to `now_ms`."""
        table = group(self._base_table(shape, 3 * MINUTE_MS, start_ms, now_ms + 1), np.zeros(1, dtype=np.int64))
        return Candle(start_ms, now_ms, *(int(value) for value in table[:, 0]))

    def trades_before(self, shape: MarketShape, time_ms: int) -> int:
        """Return the id of the first trade at or after `time_ms`, a full minute."""
        day, offset = divmod(time_ms, DAY_MS)
        if offset % (3 * MINUTE_MS):
            before = self._day_minutes(shape, day)[TRADES, : offset // MINUTE_MS]
        else:
            before = self._day_threes(shape, day)[TRADES, : offset // (3 * MINUTE_MS)]
        return self.market.first_trade_id(time_ms) + int(before.sum())

    def days_missing(
        self, shape: MarketShape, interval: str, first_open_ms: int, last_open_ms: int, now_ms: int
    ) -> list[int]:
        """Return the days that `candles` would have to compute from trades."""
        last = min(window_end(interval, window_open(interval, last_open_ms)), now_ms) // DAY_MS
        days = range(max(first_open_ms, shape.listed_ms) // DAY_MS, last + 1)
        cache = {MINUTE_MS: self._minutes, HOUR_MS: self._hours}.get(self._base_ms(interval), self._threes)
        return [day for day in days if (shape.symbol, day) not in cache]

    def load_day(self, shape: MarketShape, day: int) -> None:
        """Compute a day and cache its 3m and 1h candles."""
        self._day_hours(shape, day)

    def _base_ms(self, interval: str) -> int:
        length = FIXED_MS.get(interval, DAY_MS)
        return next(base for base in (HOUR_MS, 3 * MINUTE_MS, MINUTE_MS) if length % base == 0)

    def _base_table(self, shape: MarketShape, base_ms: int, start_ms: int, end_ms: int) -> Ints:
        """Return candles of `base_ms` from `start_ms`, the last one cut off at `end_ms` (exclusive)."""
        whole_end = end_ms // base_ms * base_ms
        parts: list[Ints] = []
        at = start_ms
        day_table = {MINUTE_MS: self._day_minutes, 3 * MINUTE_MS: self._day_threes, HOUR_MS: self._day_hours}[base_ms]
        while at < whole_end:
            day = at // DAY_MS
            stop = min(whole_end, (day + 1) * DAY_MS)
            parts.append(day_table(shape, day)[:, (at - day * DAY_MS) // base_ms : (stop - day * DAY_MS) // base_ms])
            at = stop
        if whole_end < end_ms:
            parts.append(self._partial(shape, max(whole_end, start_ms), end_ms))
        return np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]

    def _partial(self, shape: MarketShape, start_ms: int, end_ms: int) -> Ints:
        """Return one candle of the trades in [start, end), within one hour."""
        hour = start_ms // HOUR_MS * HOUR_MS
        if (
            end_ms - hour <= shape.slot_ms
        ):  # its first trade may not have happened yet: use the previous hour's last price
            hour -= HOUR_MS
        trades = self.market.trades(shape, hour, -(-(end_ms - hour) // MINUTE_MS))
        happened = trades.traded & (trades.time_ms < end_ms)
        cut = Trades(
            happened,
            trades.time_ms,
            trades.price,
            trades.quantity * happened,
            trades.fills * happened,
            trades.buyer_is_taker,
        )
        table = minute_table(cut)
        first = (start_ms - hour) // MINUTE_MS
        return group(table[:, first:], np.zeros(1, dtype=np.int64))

    def _day_minutes(self, shape: MarketShape, day: int) -> Ints:
        return self._minutes.get(
            (shape.symbol, day), lambda: minute_table(self.market.trades(shape, day * DAY_MS, _MINUTES_A_DAY))
        )

    def _day_threes(self, shape: MarketShape, day: int) -> Ints:
        starts = np.arange(0, _MINUTES_A_DAY, 3)
        return self._threes.get((shape.symbol, day), lambda: group(self._day_minutes(shape, day), starts))

    def _day_hours(self, shape: MarketShape, day: int) -> Ints:
        starts = np.arange(0, _MINUTES_A_DAY // 3, 20)
        return self._hours.get((shape.symbol, day), lambda: group(self._day_threes(shape, day), starts))
