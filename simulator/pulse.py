"""Timed events of the exchange: mark prices every second, statistics every second or two."""

from simulator import frames
from simulator.funding import Funding
from simulator.hub import Hub
from simulator.marks import MarkPrices
from simulator.tape import Tape
from simulator.universe import Instrument, Universe

_LONGEST_CATCH_UP_SECONDS = 5
_TICKER_TURNS = 10  # for !ticker@arr: the exchange sends the changed rows, here it is every tenth symbol in turn


class Pulse:
    """Publishes events for every full second that has passed, which is the event time of the mark prices."""

    def __init__(
        self, *, universe: Universe, tape: Tape, marks: MarkPrices, funding: Funding, hub: Hub, now_ms: int
    ) -> None:
        self._universe = universe
        self._tape = tape
        self._marks = marks
        self._funding = funding
        self._hub = hub
        self._second = now_ms // 1000

    def tick(self, now_ms: int) -> None:
        now = now_ms // 1000
        for second in range(max(self._second + 1, now - _LONGEST_CATCH_UP_SECONDS), now + 1):
            self._send_marks(second)
            self._send_statistics(second, now_ms)
        self._second = now

    def _mark_row(self, instrument: Instrument, event_ms: int) -> str:
        marks = self._marks.at(instrument, instrument.last_trading_ms(event_ms))
        if instrument.status != "TRADING" or not instrument.perpetual:
            return frames.mark_price(instrument, marks, rate=0, next_funding_ms=0, event_ms=event_ms)
        return frames.mark_price(
            instrument,
            marks,
            rate=self._funding.estimate(instrument, event_ms),
            next_funding_ms=self._funding.next_funding_ms(instrument, event_ms),
            event_ms=event_ms,
        )

    def _send_marks(self, second: int) -> None:
        event_ms = second * 1000
        speeds = ("1s", "3s") if second % 3 == 0 else ("1s",)
        rows: dict[Instrument, str] = {}

        def row(instrument: Instrument) -> str:
            if instrument not in rows:
                rows[instrument] = self._mark_row(instrument, event_ms)
            return rows[instrument]

        for topic in list(self._hub.topics):
            if topic.kind == "mark" and topic.detail in speeds and topic.instrument is not None:
                if topic.instrument.onboard_ms <= event_ms:
                    self._hub.publish(topic, row(topic.instrument))
            elif topic.kind == "mark_all" and topic.detail in speeds:
                listed = [item for item in self._universe.instruments if item.onboard_ms <= event_ms]
                coins = [*(item for item in listed if not item.tradfi), *self._universe.coin_margined]
                for part in (coins, [item for item in listed if item.tradfi]):
                    self._hub.publish(topic, f"[{','.join(map(row, part))}]")

    def _send_statistics(self, second: int, now_ms: int) -> None:
        for topic in list(self._hub.topics):
            if topic.kind == "ticker" and second % 2 == 0 and topic.instrument is not None:
                day = self._tape.day(topic.instrument, now_ms)
                if day is not None:
                    self._hub.publish(topic, frames.ticker(topic.instrument, day, event_ms=now_ms))
            elif topic.kind == "ticker_all":
                everyone = [*self._universe.instruments, *self._universe.coin_margined]
                members = [item for item in everyone[second % _TICKER_TURNS :: _TICKER_TURNS] if item.trades]
                days = ((item, self._tape.day(item, now_ms)) for item in members)
                rows = [frames.ticker(item, day, event_ms=now_ms) for item, day in days if day is not None]
                self._hub.publish(topic, f"[{','.join(rows)}]")
