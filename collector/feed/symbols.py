"""Follows the exchange's list of symbols: collects listed ones, drops delisted ones, waits for halted ones.

exchangeInfo every minute -> Members (pure: what has changed) -> ingest, feeds, and the mapping of watched pairs,
                                                                 which confirmer and repair read
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from collector.feed.connections import Feeds
from collector.feed.unreadable import Unreadable
from collector.ingest.ingest import Ingest, forming_open_ms
from exchange.budget import Priority
from exchange.client import ExchangeClient
from exchange.errors import ExchangeError
from exchange.events import CANDLE_MS
from exchange.universe import Instrument, Universe
from marketdata.thresholds import CLOSE_DEADLINE_MS

log = logging.getLogger(__name__)

type PairState = Literal["listed", "halted", "delisted"]

LISTED: PairState = "listed"
HALTED: PairState = "halted"
DELISTED: PairState = "delisted"
STATES: tuple[PairState, ...] = (LISTED, HALTED, DELISTED)

ANSWERS_WITHOUT = 3
"""A symbol missing from this many responses in a row is delisted."""

AT_ONCE = 0.10
"""A response that delists a larger share of the pairs is not believed (a single pair always is)."""

EVERY_SECONDS = 60.0
TICK_SECONDS = 1.0
END_MS = CLOSE_DEADLINE_MS + 60_000
"""How long to wait for the last candle of a delisted pair after its close."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What a response changes. ``doubted``: how many symbols it would delist, if too many to be believed."""

    listed: tuple[Instrument, ...] = ()
    dated: tuple[Instrument, ...] = ()
    """Watched pairs whose listing date has changed: a correction, or another coin under the same ticker."""
    delisted: tuple[Instrument, ...] = ()
    halted: tuple[str, ...] = ()
    resumed: tuple[str, ...] = ()
    doubted: int = 0


class Members:
    """The pairs we collect and their states, updated by each response of the exchange. Pure."""

    def __init__(self, watched: Iterable[Instrument]) -> None:
        self._watched = {info.symbol: info for info in watched}
        self._without: Counter[str] = Counter()
        self.states: dict[str, PairState] = {info.pair: LISTED for info in self._watched.values()}

    def judge(self, universe: Universe, wanted: Sequence[Instrument]) -> Changes:
        """Take in a response; ``wanted`` are the symbols in it that should be collected."""
        unreadable = {row.symbol for row in universe.invalid}
        rows = {symbol: universe.symbols.get(symbol) for symbol in self._watched if symbol not in unreadable}
        absent = [symbol for symbol, row in rows.items() if row is None or not row.ours]
        ended = [symbol for symbol, row in rows.items() if row and row.ours and row.state == "ended"]
        leaving = len(absent) + len(ended)
        if doubted := leaving > max(1, int(AT_ONCE * len(self._watched))):
            ended = []
        else:
            for symbol in rows.keys() - absent:
                self._without.pop(symbol, None)
            self._without.update(absent)
            ended += [symbol for symbol in absent if self._without[symbol] >= ANSWERS_WITHOUT]
        delisted = tuple(self._leave(symbol) for symbol in ended)
        halted, resumed = self._trading(universe)
        listed = tuple(info for info in wanted if info.symbol not in self._watched)
        known = [info for info in wanted if info.symbol in self._watched]
        dated = tuple(info for info in known if info.onboard_ms != self._watched[info.symbol].onboard_ms)
        for info in (*listed, *dated):
            self._watched[info.symbol] = info
            self.states[info.pair] = LISTED
        return Changes(listed, dated, delisted, halted, resumed, leaving if doubted else 0)

    def _leave(self, symbol: str) -> Instrument:
        info = self._watched.pop(symbol)
        self._without.pop(symbol, None)
        self.states[info.pair] = DELISTED
        return info

    def _trading(self, universe: Universe) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Update which pairs are halted; return the newly halted ones and those that trade again."""
        halted: list[str] = []
        resumed: list[str] = []
        for symbol, info in self._watched.items():
            row = universe.symbols.get(symbol)
            if row is None or row.state == "ended":
                continue
            state = LISTED if row.state == "trading" else HALTED
            if state != self.states[info.pair]:
                self.states[info.pair] = state
                (resumed if state == LISTED else halted).append(info.pair)
        return tuple(halted), tuple(resumed)


class UniverseWatch:
    """Requests the universe and applies the changes.

    ``watched`` (instruments by pair) is changed in place. ``wanted`` picks the symbols of a universe to collect.
    ``unreadable`` receives the rows that cannot be read, ``on_answer`` every believed exchangeInfo, ``on_listed`` the
    pairs to fill.
    """

    def __init__(
        self,
        ingest: Ingest,
        client: ExchangeClient,
        feeds: Feeds,
        watched: MutableMapping[str, Instrument],
        wanted: Callable[[Universe], Sequence[Instrument]],
        *,
        unreadable: Unreadable | None = None,
        on_answer: Callable[[dict[str, Any]], None] = lambda _: None,
        on_listed: Callable[[Sequence[Instrument]], None] = lambda _: None,
        every_seconds: float = EVERY_SECONDS,
    ) -> None:
        self.members = Members(watched.values())
        self.last_answer_ms = ingest.clock.now_ms()
        self._ingest = ingest
        self._client = client
        self._feeds = feeds
        self._watched = watched
        self._wanted = wanted
        self._unreadable = unreadable or Unreadable()
        self._on_answer = on_answer
        self._on_listed = on_listed
        self._every_seconds = every_seconds
        self._last_open_ms: dict[str, int] = {}  # of delisted pairs whose last candle is still expected
        self._trouble = False
        self._doubted = False

    async def run(self) -> None:
        """Follow the universe until cancelled."""
        seconds = asyncio.get_running_loop().time
        due = seconds() + self._every_seconds
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._end_delisted()
            if seconds() >= due:
                due = seconds() + self._every_seconds
                await self._ask()

    async def _ask(self) -> None:
        try:
            listing = await self._client.listing(priority=Priority.UNIVERSE)
        except ExchangeError as error:
            if not self._trouble:
                log.warning('exchangeInfo request failed error="%s"', error)
            self._trouble = True
            return
        self._trouble = False
        self.last_answer_ms = self._ingest.clock.now_ms()
        universe = listing.universe
        changes = self.members.judge(universe, self._wanted(universe))
        self._tell_doubt(changes.doubted)
        if not changes.doubted:
            self._unreadable.learn(universe.invalid)
            self._on_answer(listing.answer)
        for pair in changes.halted:
            log.warning("pair halted pair=%s", pair)
        for pair in changes.resumed:
            log.info("pair resumed pair=%s", pair)
            self._ingest.resume(pair, first_watched_open_ms(self._ingest.clock.now_ms()))
        for info in changes.delisted:
            self._leave(info)
        for info in changes.listed:
            self._collect(info)
        for info in changes.dated:
            log.info("listing date changed pair=%s", info.pair)
            self._watched[info.pair] = info
        if to_fill := (*changes.listed, *changes.dated):
            self._on_listed(to_fill)

    def _collect(self, info: Instrument) -> None:
        log.info("pair listed pair=%s", info.pair)
        self._last_open_ms.pop(info.pair, None)
        self._watched[info.pair] = info
        first_ms = first_watched_open_ms(self._ingest.clock.now_ms())
        self._ingest.watch(info.pair, max(first_ms, forming_open_ms(info.onboard_ms)))
        self._feeds.add([info])

    def _leave(self, info: Instrument) -> None:
        log.warning("pair delisted pair=%s", info.pair)
        self._last_open_ms[info.pair] = forming_open_ms(self._ingest.clock.now_ms())
        self._feeds.leave([info.symbol])

    def _end_delisted(self) -> None:
        """Stop expecting candles of delisted pairs whose last candle is final or overdue for too long."""
        now_ms = self._ingest.clock.now_ms()
        for pair, last_open_ms in list(self._last_open_ms.items()):
            is_final = self._ingest.finality.next_open_ms(pair) > last_open_ms
            if is_final or now_ms > last_open_ms + CANDLE_MS + END_MS:
                del self._last_open_ms[pair]
                self._watched.pop(pair, None)
                self._ingest.unwatch(pair)
                log.info("pair dropped pair=%s last_candle=%s", pair, "final" if is_final else "missing")

    def _tell_doubt(self, doubted: int) -> None:
        if doubted and not self._doubted:
            log.error(
                'mass delisting ignored pairs=%d hint="if they are gone, restart the collector"',
                doubted,
            )
        self._doubted = bool(doubted)


def first_watched_open_ms(exchange_time_ms: int) -> int:
    """Return the open time of the first candle to expect for a pair watched from now on.

    A candle that has just closed is still left to the stream or the confirmer: its closing frame is on its way.
    """
    return forming_open_ms(exchange_time_ms - CLOSE_DEADLINE_MS - 1)
