"""The market's single trades, the order book around the last one, and 24 h statistics."""

from simulator.candles import CandleStore
from simulator.frames import Book, DayStatistics, Trade
from simulator.market import DAY_MS, HOUR_MS, MINUTE_MS
from simulator.noise import hash_at, key_of
from simulator.universe import Instrument

_THREE_MINUTES_MS = 3 * MINUTE_MS


class Tape:
    """Reads trades of instruments; pure functions of time over the market."""

    def __init__(self, store: CandleStore) -> None:
        self._store = store
        self._market = store.market

    def between(self, instrument: Instrument, start_ms: int, end_ms: int) -> list[Trade]:
        """Return the trades in [start, end), ascending."""
        start_ms = max(start_ms, instrument.onboard_ms)
        end_ms = min(end_ms, instrument.delivery_ms)
        if start_ms >= end_ms:
            return []
        result: list[Trade] = []
        first = start_ms // MINUTE_MS * MINUTE_MS
        while first < end_ms:
            stop = min(-(-end_ms // MINUTE_MS) * MINUTE_MS, (first // DAY_MS + 1) * DAY_MS)
            result += self._minutes(instrument, first, (stop - first) // MINUTE_MS)
            first = stop
        return [trade for trade in result if start_ms <= trade.time_ms < end_ms]

    def last(self, instrument: Instrument, now_ms: int) -> Trade | None:
        """Return the last trade at or before `now_ms`; None before the listing."""
        now_ms = instrument.last_trading_ms(now_ms)
        for start_ms in (now_ms - MINUTE_MS, now_ms - 10 * MINUTE_MS, now_ms - HOUR_MS - MINUTE_MS):
            trades = self.between(instrument, start_ms, now_ms + 1)
            if trades:
                return trades[-1]
        return None

    def day(self, instrument: Instrument, now_ms: int) -> DayStatistics | None:
        """Return the rolling 24 h statistics, starting on the 3m grid; None before the listing."""
        now_ms = instrument.last_trading_ms(now_ms)
        open_ms = max((now_ms - DAY_MS) // _THREE_MINUTES_MS * _THREE_MINUTES_MS, instrument.onboard_ms)
        last = self.last(instrument, now_ms)
        if last is None:
            return None
        day = self._store.merged(instrument.shape, open_ms, now_ms)
        return DayStatistics(
            open_ms=open_ms,
            close_ms=now_ms,
            open=day.open,
            high=day.high,
            low=day.low,
            close=day.close,
            volume=day.volume,
            quote=day.quote,
            trades=day.trades,
            first_id=self._store.trades_before(instrument.shape, open_ms),
            last_id=last.last_id,
            last_quantity=last.quantity,
        )

    def book(self, instrument: Instrument, last: Trade, levels: int) -> Book:
        """Return an order book around the last trade; it does not change until the next trade."""
        key = key_of(self._market.seed, instrument.symbol, "book")
        shape = instrument.shape
        bid = last.price if not last.buyer_is_taker else max(last.price - shape.tick, shape.tick)

        def quantity(side: int, level: int) -> int:
            bits = hash_at(key, (last.id * 2 + side) * 1000 + level)
            return (1 + bits % max(shape.max_quantity // 8, 8)) * shape.step

        bids = [(bid - level * shape.tick, quantity(0, level)) for level in range(levels)]
        asks = [(bid + (level + 1) * shape.tick, quantity(1, level)) for level in range(levels)]
        return Book(last.last_id * 1_000, tuple(level for level in bids if level[0] > 0), tuple(asks))

    def open_interest(self, instrument: Instrument, now_ms: int) -> int:
        """Return the open interest in units of 10^-quantityPrecision; it changes every minute."""
        bits = hash_at(key_of(self._market.seed, instrument.symbol, "interest"), now_ms // MINUTE_MS)
        return instrument.shape.max_quantity * 2_000 + bits % (instrument.shape.max_quantity * 100)

    def _minutes(self, instrument: Instrument, start_ms: int, minutes: int) -> list[Trade]:
        """Return the trades of whole minutes within one day."""
        shape = instrument.shape
        slots = self._market.trades(shape, start_ms, minutes)
        happened = slots.traded.T
        columns = (slots.time_ms, slots.price, slots.quantity, slots.fills, slots.buyer_is_taker)
        rows = zip(*(column.T[happened].tolist() for column in columns), strict=True)
        next_id = self._store.trades_before(shape, start_ms)
        trades = []
        for time_ms, price, quantity, fills, buyer in rows:
            trades.append(
                Trade(
                    time_ms // shape.slot_ms,
                    next_id,
                    next_id + fills - 1,
                    time_ms,
                    price,
                    quantity,
                    buyer_is_taker=bool(buyer),
                )
            )
            next_id += fills
        return trades
