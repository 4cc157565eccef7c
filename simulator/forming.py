"""Forming candles, and closing frames that are still to be sent."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, replace

from simulator.candles import Candle
from simulator.frames import Trade
from simulator.intervals import window_end
from simulator.streams import Topic


@dataclass(slots=True)
class Forming:
    """A forming candle, in the market's integers."""

    topic: Topic
    interval: str
    candle: Candle
    first_id: int
    last_id: int
    changed: bool = False

    def add(self, trade: Trade) -> None:
        """Add a trade in this candle's window."""
        old = self.candle
        price, quantity = trade.price, trade.quantity
        first = old.trades == 0
        taken = quantity if trade.buyer_is_taker else 0
        self.candle = Candle(
            old.open_ms,
            old.close_ms,
            price if first else old.open,
            price if first or price > old.high else old.high,
            price if first or price < old.low else old.low,
            price,
            old.volume + quantity,
            old.quote + price * quantity,
            old.trades + trade.last_id - trade.first_id + 1,
            old.taker_volume + taken,
            old.taker_quote + price * taken,
        )
        if first:
            self.first_id = trade.first_id
        self.last_id = trade.last_id
        self.changed = True

    def next_window(self) -> None:
        """Start the next candle, at the last price."""
        price, opening = self.candle.close, self.candle.close_ms + 1
        close_ms = window_end(self.interval, opening) - 1
        self.candle = Candle(opening, close_ms, price, price, price, price, 0, 0, 0, 0, 0)
        self.first_id = self.last_id = -1
        self.changed = False


class Closings:
    """Closed candles, ordered by the times at which their closing frames are due."""

    def __init__(self) -> None:
        self._queue: list[tuple[int, int, Forming]] = []
        self._latest: dict[Topic, int] = {}
        self._sequence = 0

    def knows(self, topic: Topic, open_ms: int) -> bool:
        """Return whether this candle, or a later one of its stream, has already been planned."""
        return self._latest.get(topic, -1) >= open_ms

    def plan(self, ended: Forming, due_ms: list[int]) -> None:
        """Send the candle's closing frame at each of these times."""
        self._latest[ended.topic] = ended.candle.open_ms
        kept = replace(ended)
        for at in due_ms:
            self._sequence += 1
            heapq.heappush(self._queue, (at, self._sequence, kept))

    def due(self, now_ms: int) -> Iterator[Forming]:
        while self._queue and self._queue[0][0] <= now_ms:
            yield heapq.heappop(self._queue)[2]
