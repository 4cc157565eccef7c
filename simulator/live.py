"""The live market: each tick turns new events into frames for the subscribed streams."""

from dataclasses import dataclass, field, replace

from simulator import closings, frames
from simulator.candles import Candle, CandleStore
from simulator.faults import Faults
from simulator.forming import Closings, Forming
from simulator.frames import Trade
from simulator.hub import Hub
from simulator.intervals import window_end, window_open
from simulator.market import MINUTE_MS
from simulator.noise import key_of
from simulator.streams import Topic
from simulator.tape import Tape
from simulator.universe import Instrument

TICK_MS = 250


@dataclass(slots=True)
class _Ticker:
    """An instrument's trades and its forming candles."""

    instrument: Instrument
    cursor_ms: int  # all trades up to here have been processed
    tape: list[Trade] = field(default_factory=list)  # trades still to come, newest first
    tape_end_ms: int = 0
    last: Trade | None = None
    forming: dict[str, Forming] = field(default_factory=dict)


class Live:
    """Feeds the hub. Call `tick` every 250 ms with the exchange's time."""

    def __init__(
        self,
        *,
        store: CandleStore,
        tape: Tape,
        hub: Hub,
        faults: Faults,
        now_ms: int,
        kline_every_ms: int | None = None,
    ) -> None:
        self._store = store
        self._tape = tape
        self._hub = hub
        self._faults = faults
        self._kline_every_ms = kline_every_ms
        self._tickers: dict[Instrument, _Ticker] = {}
        self._closings = Closings()
        self._now_ms = now_ms
        hub.on_topic = self._start_topic

    def tick(self, now_ms: int) -> None:
        """Publish everything that happened up to `now_ms`."""
        if now_ms // MINUTE_MS != self._now_ms // MINUTE_MS:
            self._drop_unwanted()
        self._now_ms = now_ms
        for ticker in self._tickers.values():
            self._advance(ticker, now_ms)
        self._send_closings(now_ms)
        self._send_depth(now_ms)

    def _start_topic(self, topic: Topic) -> None:
        """Handle the first subscription to a topic."""
        instrument = topic.instrument
        if topic.kind not in ("kline", "trade", "book", "depth") or instrument is None or not instrument.trades:
            return
        ticker = self._tickers.get(instrument)
        if ticker is None:
            ticker = self._tickers[instrument] = self._start_ticker(instrument)
        if topic.kind == "kline":
            ticker.forming[topic.detail] = self._start_candle(ticker, topic)

    def _start_ticker(self, instrument: Instrument) -> _Ticker:
        minute = self._now_ms // MINUTE_MS * MINUTE_MS
        ticker = _Ticker(instrument, self._now_ms, tape_end_ms=minute)
        self._load_tape(ticker)
        while ticker.tape and ticker.tape[-1].time_ms <= self._now_ms:
            ticker.last = ticker.tape.pop()
        if ticker.last is None:
            ticker.last = self._tape.last(instrument, self._now_ms)
        return ticker

    def _start_candle(self, ticker: _Ticker, topic: Topic) -> Forming:
        shape, interval, cursor = ticker.instrument.shape, topic.detail, ticker.cursor_ms
        opening = window_open(interval, cursor)
        before = window_open(interval, opening - 1)
        for candle in self._store.candles(shape, interval, before, before, cursor):
            self._schedule(self._with_ids(ticker, topic, candle, window_end(interval, before) - 1))
        candle = self._store.candles(shape, interval, opening, opening, cursor)[-1]
        return self._with_ids(ticker, topic, candle, cursor)

    def _with_ids(self, ticker: _Ticker, topic: Topic, candle: Candle, last_ms: int) -> Forming:
        if candle.trades == 0:
            return Forming(topic, topic.detail, candle, -1, -1)
        first_id = self._store.trades_before(ticker.instrument.shape, max(candle.open_ms, ticker.instrument.onboard_ms))
        last = self._tape.last(ticker.instrument, last_ms)
        return Forming(topic, topic.detail, candle, first_id, last.last_id if last else -1)

    def _load_tape(self, ticker: _Ticker) -> None:
        """Load about ten minutes of trades; the end differs by symbol, so that not all are loaded at once."""
        start = ticker.tape_end_ms
        stop = start // (10 * MINUTE_MS) * (10 * MINUTE_MS) + (10 + key_of(ticker.instrument.symbol) % 10) * MINUTE_MS
        ticker.tape = self._tape.between(ticker.instrument, start, stop)[::-1]
        ticker.tape_end_ms = stop

    def _advance(self, ticker: _Ticker, now_ms: int) -> None:
        while True:
            while ticker.tape and ticker.tape[-1].time_ms <= now_ms:
                self._take(ticker, ticker.tape.pop(), now_ms)
            if ticker.tape or now_ms < ticker.tape_end_ms:
                break
            self._load_tape(ticker)
        ticker.cursor_ms = now_ms
        self._roll(ticker, now_ms)
        often = (
            self._kline_every_ms is not None
            and now_ms // self._kline_every_ms != (now_ms - TICK_MS) // self._kline_every_ms
        )
        for forming in ticker.forming.values():
            if forming.changed or often:
                forming.changed = False
                if self._faults.lacks(ticker.instrument.symbol, forming.interval, forming.candle.open_ms):
                    continue
                self._hub.publish(forming.topic, self._kline(ticker.instrument, forming, closed=False, event_ms=now_ms))

    def _take(self, ticker: _Ticker, trade: Trade, now_ms: int) -> None:
        self._roll(ticker, trade.time_ms)
        for forming in ticker.forming.values():
            forming.add(trade)
        ticker.last = trade
        instrument = ticker.instrument
        if (topic := Topic("trade", instrument)) in self._hub.topics:
            self._hub.publish(topic, frames.aggregate_trade(instrument, trade, event_ms=now_ms))
        if (topic := Topic("book", instrument)) in self._hub.topics:
            self._hub.publish(
                topic, frames.book_ticker(instrument, self._tape.book(instrument, trade, 1), event_ms=now_ms)
            )

    def _roll(self, ticker: _Ticker, time_ms: int) -> None:
        """Close the candles whose window ended before `time_ms`, and start the next ones."""
        for forming in ticker.forming.values():
            while forming.candle.close_ms < time_ms:
                self._schedule(forming)
                forming.next_window()

    def _schedule(self, forming: Forming) -> None:
        """Plan the closing frames of a closed candle."""
        candle, instrument = forming.candle, forming.topic.instrument
        if instrument is None:
            return
        if self._closings.knows(forming.topic, candle.open_ms):
            return
        delays = closings.delays_ms(
            self._store.market.seed, instrument.symbol, forming.interval, candle.open_ms, idle=candle.trades == 0
        )
        delays = self._faults.alter_closing(instrument.symbol, forming.interval, candle.open_ms, delays)
        due = [at for delay in delays if (at := candle.close_ms + 1 + delay) > self._now_ms]
        fault = self._faults.wrong_closing(instrument.symbol, forming.interval, candle.open_ms)
        if fault is None or not due:
            told = self._faults.as_told(instrument.symbol, forming.interval, candle, "stream")
            self._closings.plan(replace(forming, candle=told), due)
            return
        self._closings.plan(replace(forming, candle=_without_a_trade(candle)), due[:1])
        delay_ms = fault.parameters["delay_ms"]
        self._closings.plan(forming, [] if delay_ms is None else [due[0] + delay_ms])

    def _send_closings(self, now_ms: int) -> None:
        for ended in self._closings.due(now_ms):
            if ended.topic.instrument is not None:
                self._hub.publish(ended.topic, self._kline(ended.topic.instrument, ended, closed=True, event_ms=now_ms))

    def _kline(self, instrument: Instrument, forming: Forming, *, closed: bool, event_ms: int) -> str:
        return frames.kline(
            instrument,
            forming.interval,
            forming.candle,
            first_id=forming.first_id,
            last_id=forming.last_id,
            closed=closed,
            event_ms=event_ms,
        )

    def _drop_unwanted(self) -> None:
        """Drop instruments and candles without subscribers."""
        topics = self._hub.topics
        for instrument, ticker in list(self._tickers.items()):
            for interval, forming in list(ticker.forming.items()):
                if forming.topic not in topics:
                    del ticker.forming[interval]
            if not ticker.forming and not any(
                topic.instrument is instrument and topic.kind in ("trade", "book", "depth") for topic in topics
            ):
                del self._tickers[instrument]

    def _send_depth(self, now_ms: int) -> None:
        for topic in list(self._hub.topics):
            if topic.kind != "depth" or topic.instrument is None:
                continue
            ticker = self._tickers.get(topic.instrument)
            if ticker is not None and ticker.last is not None:
                book = self._tape.book(topic.instrument, ticker.last, int(topic.detail))
                self._hub.publish(
                    topic, frames.depth(topic.instrument, book, previous_id=book.update_id - 7, event_ms=now_ms)
                )


def _without_a_trade(candle: Candle) -> Candle:
    """Return the candle without one trade at its lowest price; with one more if it has none."""
    quantity = max(candle.volume // 10, 1)
    trades = candle.trades - 1 if candle.trades > 1 else candle.trades + 1
    sign = -1 if candle.trades > 1 else 1
    return replace(
        candle,
        volume=candle.volume + sign * quantity,
        quote=candle.quote + sign * quantity * candle.low,
        trades=trades,
    )
