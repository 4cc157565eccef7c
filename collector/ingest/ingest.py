"""Turns events into points: judges every candle and mark price and hands the used ones to the writer.

    frame  -> on_candle, on_mark_price --.
                                          >-- finality / sampling -- serializer -- writer
    REST   -> on_rest_candle, on_history -'

Keeps the frame law: received = invalid + filtered{open, not_sampled, duplicate, superseded} + used.
"""

import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from collector.delivery.outbox import Outbox
from collector.ingest.finality import Finality, Verdict
from collector.ingest.sampling import Sampler
from collector.model.clock import ExchangeClock
from collector.model.gap import Gap
from exchange.events import CANDLE_MS, CANDLES, FUNDING, MARK_PRICE, Candle, MarkPrice, Reason
from exchange.rows import MarkPriceKline
from marketdata.schema import BUCKET_RAW, BUCKET_ROLLUP, BUCKET_SAMPLES, EXCHANGE, OHLCV_BASE
from marketdata.serializer import (
    Unserializable,
    candle_line,
    check_candle,
    contract_line,
    funding_rate_line,
    funding_settled_line,
    gap_line,
    mark_ohlcv_line,
    mark_price_line,
)

log = logging.getLogger(__name__)


@dataclass(slots=True)
class FrameCounts:
    """The frame law of one channel."""

    received: int = 0
    used: int = 0
    invalid: Counter[str] = field(default_factory=Counter)
    filtered: Counter[str] = field(default_factory=Counter)


CLOSES_REMEMBERED = 5


@dataclass(slots=True)
class PairFreshness:
    """Newest receipt of each channel (wall clock seconds) and newest final candle of one pair."""

    last_message_seconds: dict[str, float]
    messages: Counter[str] = field(default_factory=Counter)
    last_final_open_ms: int = 0
    heard_ms: dict[str, int] = field(default_factory=dict)
    """Exchange time of the newest frame of each stream; before the first, when watching started."""
    expected_from_ms: int = 0
    """Open time of the first candle that is expected since the pair was collected, resumed or listed again."""
    next_funding_ms: int = 0
    """When the current funding period settles; 0 until it is known."""
    rest_closes: deque[int] = field(default_factory=lambda: deque(maxlen=CLOSES_REMEMBERED))
    """Open times of the newest candles with trades whose close REST delivered."""


class Listener(Protocol):
    """Receives what happens to watched pairs, in the order in which it happens. ``next_open_ms``: see ``Finality``."""

    def on_watch(self, pair: str, next_open_ms: int) -> None:
        """A pair is collected from now on."""

    def on_unwatch(self, pair: str) -> None:
        """A pair is no longer collected."""

    def on_open(self, candle: Candle) -> None:
        """A frame of a forming candle."""

    def on_final(self, candle: Candle, line: str, next_open_ms: int) -> None:
        """A final base candle, new or with changed values, went to the writer as ``line``."""

    def on_absent(self, pair: str, open_time_ms: int, next_open_ms: int, *, invalid: bool) -> None:
        """The exchange has no such candle, or, if ``invalid``, only an impossible row."""

    def on_mark_price(self, event: MarkPrice) -> None:
        """A frame of mark price and funding."""


class Ingest:
    """The one place where an event is used or filtered. Never blocks, and never raises on data of the exchange."""

    def __init__(
        self,
        clock: ExchangeClock,
        writer: Outbox,
        *,
        wall_seconds: Callable[[], float],
        observe_latency: Callable[[str, float], None],
        listeners: Sequence[Listener] = (),
        exchange: str = EXCHANGE,
    ) -> None:
        self.clock = clock
        self.exchange = exchange
        self.finality = Finality()
        self.frames = {CANDLES: FrameCounts(), MARK_PRICE: FrameCounts()}
        self.freshness: dict[str, PairFreshness] = {}
        self.final_by_origin: Counter[str] = Counter()
        self._sampler = Sampler()
        self._writer = writer
        self._wall_seconds = wall_seconds
        self._observe_latency = observe_latency
        self._listeners = listeners

    def watch(self, pair: str, from_open_ms: int) -> None:
        """Start a pair: every candle from ``from_open_ms`` on is expected, and its silence counts from now."""
        self.finality.watch(pair, from_open_ms)
        self.freshness.setdefault(pair, PairFreshness({}))
        self.resume(pair, from_open_ms)
        for listener in self._listeners:
            listener.on_watch(pair, self.finality.next_open_ms(pair))

    def resume(self, pair: str, from_open_ms: int) -> None:
        """Count a watched pair's silence from now, and missing candles from ``from_open_ms`` on."""
        fresh = self.freshness[pair]
        now, now_ms = self._wall_seconds(), self.clock.now_ms()
        fresh.last_message_seconds = {CANDLES: now, MARK_PRICE: now, FUNDING: now}
        fresh.heard_ms = {CANDLES: now_ms, MARK_PRICE: now_ms}
        fresh.expected_from_ms = from_open_ms

    def settled_ms(self, pair: str) -> int:
        """Return the close of the newest candle that is final, or that the exchange itself does not have.

        Before the first one, return the open time of the awaited candle, so the age of this time is how late a pair is.
        """
        fresh = self.freshness[pair]
        return max(fresh.last_final_open_ms + CANDLE_MS, self.finality.next_open_ms(pair), fresh.expected_from_ms)

    def unwatch(self, pair: str) -> None:
        """End a pair: none of its candles is expected any more, and its frames are not events for us."""
        self.finality.unwatch(pair)
        self.freshness.pop(pair, None)
        for listener in self._listeners:
            listener.on_unwatch(pair)

    def received(self, channel: str) -> None:
        """Count a frame as it arrives."""
        self.frames[channel].received += 1

    def invalid(self, channel: str, reason: Reason) -> None:
        """Count a frame that is not an event for us."""
        self.frames[channel].invalid[reason] += 1

    def on_candle(self, candle: Candle, receipt_seconds: float) -> None:
        """Judge a candle of the stream; a used one goes to the writer."""
        if not self._heard(CANDLES, candle.pair, candle.event_time_ms, receipt_seconds):
            return
        try:
            verdict = self._take(candle)
        except Unserializable:
            self.invalid(CANDLES, "implausible")
            return
        if verdict is Verdict.USED:
            self.frames[CANDLES].used += 1
        else:
            self.frames[CANDLES].filtered[verdict.value] += 1

    def on_rest_candle(self, candle: Candle) -> Verdict:
        """Judge a candle that REST returned: a confirmed close or a decided conflict. Raises Unserializable."""
        return self._take(candle)

    def absent(self, pair: str, open_time_ms: int, *, invalid: bool = False) -> None:
        """The exchange has no such candle, or, if ``invalid``, only an impossible row: stop expecting it."""
        if not self.finality.absent(pair, open_time_ms):
            return
        for listener in self._listeners:
            listener.on_absent(pair, open_time_ms, self.finality.next_open_ms(pair), invalid=invalid)

    def on_history(self, candle: Candle, measurement: str) -> None:
        """Write a final candle of the past as it is: one the store lacks, or a window computed by the exchange.

        Such a window is marked by ``candles = 0``. Raises Unserializable.
        """
        if measurement == OHLCV_BASE:
            line = self._line(candle, measurement)
            if self._writer.put_nowait(BUCKET_RAW, line) and candle.pair in self.freshness:
                self._tell_final(candle, line)
        else:
            self._writer.put_nowait(BUCKET_ROLLUP, self._line(candle, measurement, candles=0))

    def on_gap(self, gap: Gap) -> None:
        """Write what is known about one missing candle, replacing what was written before."""
        again = gap.again
        line = gap_line(
            gap.pair,
            gap.open_ms,
            gap.state,
            gap.reason,
            CANDLES,
            now_ms=self.clock.now_ms(),
            exchange=self.exchange,
            since_ms=again.since_ms if again else None,
            asked=again.asked if again else None,
        )
        self._writer.put_nowait(BUCKET_RAW, line)

    def on_contract(self, pair: str, first_open_ms: int, onboard_ms: int) -> None:
        """Write when a pair's present contract started trading. Raises Unserializable."""
        self._writer.put_nowait(
            BUCKET_RAW,
            contract_line(pair, first_open_ms, onboard_ms, now_ms=self.clock.now_ms(), exchange=self.exchange),
        )

    def on_funding_settled(self, pair: str, funding_time_ms: int, rate: str, mark_price: str | None) -> None:
        """Write a settled funding rate that REST returned. Raises Unserializable."""
        line = funding_settled_line(
            pair, funding_time_ms, rate, mark_price, now_ms=self.clock.now_ms(), exchange=self.exchange
        )
        self._writer.put_nowait(BUCKET_RAW, line)

    def on_mark_candle(self, pair: str, row: MarkPriceKline) -> None:
        """Write a completed hour of mark prices. Raises Unserializable."""
        line = mark_ohlcv_line(
            pair,
            row.open_time_ms,
            row.open,
            row.high,
            row.low,
            row.close,
            now_ms=self.clock.now_ms(),
            exchange=self.exchange,
        )
        self._writer.put_nowait(BUCKET_RAW, line)

    def on_mark_price(self, event: MarkPrice, receipt_seconds: float) -> None:
        """Sample a mark price frame: store its mark price, its funding rate, both or neither."""
        if not self._heard(MARK_PRICE, event.pair, event.event_time_ms, receipt_seconds):
            return
        for listener in self._listeners:
            listener.on_mark_price(event)
        takes_mark = self._sampler.takes_mark(event)
        takes_funding = self._sampler.takes_funding(event)
        if event.next_funding_time_ms:
            fresh = self.freshness[event.pair]
            fresh.last_message_seconds[FUNDING] = receipt_seconds
            fresh.messages[FUNDING] += 1
            fresh.next_funding_ms = event.next_funding_time_ms
        if not (takes_mark or takes_funding):
            self.frames[MARK_PRICE].filtered["not_sampled"] += 1
            return
        try:
            lines = self._sample_lines(event, takes_mark=takes_mark, takes_funding=takes_funding)
        except Unserializable:
            self.invalid(MARK_PRICE, "implausible")
            return
        self.frames[MARK_PRICE].used += 1
        for line in lines:
            self._writer.put_nowait(BUCKET_SAMPLES, line)

    def on_rest_mark_price(self, event: MarkPrice) -> None:
        """Sample a mark price that REST returned while the stream is silent: the pair is not stale.

        It is as fresh as the price itself: if responses stay the same for a minute, the pair is stale.
        """
        fresh = self.freshness.get(event.pair)
        if fresh is None:
            return
        made = self._wall_seconds() - max(self.clock.now_ms() - event.event_time_ms, 0) / 1000
        for channel in (MARK_PRICE, FUNDING) if event.next_funding_time_ms else (MARK_PRICE,):
            fresh.last_message_seconds[channel] = max(fresh.last_message_seconds[channel], made)
        fresh.next_funding_ms = event.next_funding_time_ms or fresh.next_funding_ms
        takes_mark = self._sampler.takes_mark(event)
        takes_funding = self._sampler.takes_funding(event)
        try:
            lines = self._sample_lines(event, takes_mark=takes_mark, takes_funding=takes_funding)
        except Unserializable as error:
            log.warning('REST mark price not storable pair=%s error="%s"', event.pair, error)
            return
        for listener in self._listeners:
            listener.on_mark_price(event)
        for line in lines:
            self._writer.put_nowait(BUCKET_SAMPLES, line)

    def _heard(self, channel: str, pair: str, event_time_ms: int, receipt_seconds: float) -> bool:
        """Note a frame's arrival; return False (and count it as invalid) for a pair that is not watched."""
        fresh = self.freshness.get(pair)
        if fresh is None:
            self.invalid(channel, "unknown_symbol")
            return False
        fresh.last_message_seconds[channel] = receipt_seconds
        fresh.messages[channel] += 1
        self.clock.observe(event_time_ms)
        fresh.heard_ms[channel] = self.clock.now_ms()
        self._observe_latency(channel, receipt_seconds - event_time_ms / 1000)
        return True

    def _take(self, candle: Candle) -> Verdict:
        # Before it is judged: an unstorable candle must not count as final, and no impossible one may reach listeners.
        if candle.final:
            line = self._line(candle, OHLCV_BASE)
        else:
            check_candle(candle.values)
        verdict = self.finality.offer(candle)
        if verdict is Verdict.USED:
            if not self._writer.put_nowait(BUCKET_RAW, line):
                self.finality.forget(candle.pair, candle.open_time_ms)  # the queue is full: REST delivers it later
                return verdict
            self.final_by_origin[candle.origin] += 1
            fresh = self.freshness[candle.pair]
            fresh.last_final_open_ms = max(fresh.last_final_open_ms, candle.open_time_ms)
            if candle.origin == "rest" and candle.values.trades and candle.open_time_ms not in fresh.rest_closes:
                fresh.rest_closes.append(candle.open_time_ms)
            self._tell_final(candle, line)
        elif verdict is Verdict.OPEN:
            for listener in self._listeners:
                listener.on_open(candle)
        elif verdict is Verdict.SUPERSEDED:
            log.info("closing frame contradicts final candle pair=%s open_ms=%d",
                     candle.pair, candle.open_time_ms)  # fmt: skip
        return verdict

    def _tell_final(self, candle: Candle, line: str) -> None:
        for listener in self._listeners:
            listener.on_final(candle, line, self.finality.next_open_ms(candle.pair))

    def _line(self, candle: Candle, measurement: str, candles: int | None = None) -> str:
        return candle_line(
            measurement,
            candle.pair,
            candle.open_time_ms,
            candle.values,
            now_ms=self.clock.now_ms(),
            candles=candles,
            exchange=self.exchange,
        )

    def _sample_lines(self, event: MarkPrice, *, takes_mark: bool, takes_funding: bool) -> list[str]:
        now_ms = self.clock.now_ms()
        lines = []
        if takes_mark:
            lines.append(
                mark_price_line(
                    event.pair, event.event_time_ms, event.mark, event.index, now_ms=now_ms, exchange=self.exchange
                )
            )
        if takes_funding:
            lines.append(
                funding_rate_line(
                    event.pair,
                    event.event_time_ms,
                    event.rate,
                    event.next_funding_time_ms,
                    now_ms=now_ms,
                    exchange=self.exchange,
                )
            )
        return lines


def forming_open_ms(exchange_time_ms: int) -> int:
    """Return the open time of the candle that is forming at ``exchange_time_ms``."""
    return exchange_time_ms // CANDLE_MS * CANDLE_MS
