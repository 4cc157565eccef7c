"""The REST routes of /fapi/v1: their weights and responses."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from simulator import answers, params
from simulator.candles import CandleStore
from simulator.clock import Clock
from simulator.faults import Faults
from simulator.frames import Trade
from simulator.funding import Funding
from simulator.intervals import FIXED_MS, window_open, windows_from
from simulator.market import DAY_MS, HOUR_MS
from simulator.marks import MarkPrices
from simulator.params import ApiError
from simulator.tape import Tape
from simulator.universe import Instrument, Universe

type Query = Mapping[str, str]
type Answer = Callable[[Query], Awaitable[Any]]

_OLDEST_MS = 1_500_000_000_000


@dataclass(frozen=True, slots=True)
class Route:
    """A route: its weight by query, or the funding limit, and its response (for json.dumps, or JSON text)."""

    path: str
    weight: Callable[[Query], int]
    answer: Answer
    funding: bool = False


class Rest:
    """Responds as Binance does; all times are the simulated clock's."""

    def __init__(
        self,
        *,
        universe: Universe,
        store: CandleStore,
        tape: Tape,
        marks: MarkPrices,
        funding: Funding,
        faults: Faults,
        clock: Clock,
    ) -> None:
        self._universe = universe
        self._store = store
        self._tape = tape
        self._marks = marks
        self._funding = funding
        self._faults = faults
        self._clock = clock
        self._shown: tuple[tuple[Instrument, frozenset[str]], ...] = ()
        self._symbols_json = "[]"

    def routes(self) -> list[Route]:
        """Return the routes. Weights are documented; those of klines were measured on 2026-10-07 (without limit 5)."""
        one = _fixed(1)
        return [
            Route("/fapi/v1/ping", one, self._ping),
            Route("/fapi/v1/time", one, self._time),
            Route("/fapi/v1/exchangeInfo", one, self._exchange_info),
            Route("/fapi/v1/klines", kline_weight, self._klines),
            Route("/fapi/v1/markPriceKlines", kline_weight, self._mark_klines),
            Route("/fapi/v1/indexPriceKlines", kline_weight, self._index_klines),
            Route("/fapi/v1/premiumIndex", _by_symbol(1, 10), self._premium_index),
            Route("/fapi/v1/fundingRate", _fixed(0), self._funding_rate, funding=True),
            Route("/fapi/v1/fundingInfo", _fixed(0), self._funding_info, funding=True),
            Route("/fapi/v1/ticker/24hr", _by_symbol(1, 40), self._ticker_24hr),
            Route("/fapi/v1/ticker/price", _by_symbol(1, 2), self._ticker_price),
            Route("/fapi/v1/ticker/bookTicker", _by_symbol(2, 5), self._ticker_book),
            Route("/fapi/v1/depth", depth_weight, self._depth),
            Route("/fapi/v1/openInterest", one, self._open_interest),
            Route("/fapi/v1/aggTrades", _fixed(20), self._agg_trades),
        ]

    async def candles(
        self,
        instrument: Instrument,
        interval: str,
        start_ms: int | None,
        end_ms: int | None,
        limit: int | None,
        *,
        as_of_ms: int | None = None,
        as_told: bool = False,
    ) -> list[list[Any]]:
        """Return rows of klines that open in [start, end], including the forming one; without start the newest `limit`.

        `as_told`: include requested impossible rows; otherwise all rows are true.
        """
        holes = self._faults.holes(instrument.symbol, interval)
        # Rows that do not exist do not count towards the limit.
        more = sum(-(-(end - start) // FIXED_MS.get(interval, DAY_MS)) for start, end in holes)
        first, last, now = self._window(
            instrument, interval, start_ms, end_ms, None if limit is None else limit + more, as_of_ms
        )
        for day in self._store.days_missing(instrument.shape, interval, first, last, now):
            self._store.load_day(instrument.shape, day)
            await asyncio.sleep(0)  # let the streams run
        rows = [
            answers.kline(
                instrument,
                self._faults.as_told(instrument.symbol, interval, candle, "rest") if as_told else candle,
            )
            for candle in self._store.candles(instrument.shape, interval, first, last, now)
            if not any(start <= candle.open_ms < end for start, end in holes)
        ]
        if limit is None:
            return rows
        return rows[-limit:] if start_ms is None else rows[:limit]

    def _window(
        self,
        instrument: Instrument,
        interval: str,
        start_ms: int | None,
        end_ms: int | None,
        limit: int | None,
        as_of_ms: int | None,
    ) -> tuple[int, int, int]:
        """Return the first and last open time to return, and the time as of which."""
        now = instrument.last_trading_ms(as_of_ms or self._clock.now_ms())
        last = min(now if end_ms is None else end_ms, now)
        if start_ms is None:
            newest = window_open(interval, max(last, _OLDEST_MS))
            first = instrument.onboard_ms if limit is None else windows_from(interval, newest, 1 - limit)
            return max(first, window_open(interval, instrument.onboard_ms)), last, now
        first = max(start_ms, window_open(interval, instrument.onboard_ms))
        if limit is not None:
            opening = window_open(interval, first)
            last = min(last, windows_from(interval, opening, limit if opening < first else limit - 1))
        return first, last, now

    def _frozen_ms(self, instrument: Instrument, interval: str) -> int | None:
        """Return the last ms of the newest candle of a frozen symbol: the last one closed when it froze."""
        since_ms = self._faults.frozen_ms(instrument.symbol)
        return None if since_ms is None else window_open(interval, since_ms) - 1

    async def _ping(self, query: Query) -> Any:
        return {}

    async def _time(self, query: Query) -> Any:
        return {"serverTime": self._clock.now_ms()}

    async def _exchange_info(self, query: Query) -> Any:
        now = self._clock.now_ms()
        shown = tuple(
            (self._shown_as(item), self._faults.lacking(item.symbol))
            for item in self._universe.instruments
            if not self._faults.hides(item.symbol)
        )
        if shown != self._shown:
            self._shown = shown
            self._symbols_json = dumps([_without(answers.symbol_info(item), lacking) for item, lacking in shown])
        return dumps(answers.exchange_info((), now)).removesuffix("[]}") + self._symbols_json + "}"

    def _shown_as(self, instrument: Instrument) -> Instrument:
        status = self._faults.status(instrument.symbol)
        shift_ms = self._faults.date_shift_ms(instrument.symbol)
        if status is None and not shift_ms:
            return instrument
        return replace(instrument, status=status or instrument.status, onboard_ms=instrument.onboard_ms + shift_ms)

    async def _klines(self, query: Query) -> Any:
        instrument = params.symbol(query, self._universe)
        interval = params.interval(query)
        limit = params.limit(query, default=500, most=1500)
        as_of_ms = self._frozen_ms(instrument, interval)
        return await self.candles(instrument, interval, *params.span(query), limit, as_of_ms=as_of_ms, as_told=True)

    async def _mark_klines(self, query: Query) -> Any:
        return self._price_klines(query, params.symbol(query, self._universe), index=False)

    async def _index_klines(self, query: Query) -> Any:
        return self._price_klines(query, params.symbol(query, self._universe, "pair"), index=True)

    def _price_klines(self, query: Query, instrument: Instrument, *, index: bool) -> Any:
        interval = params.interval(query)
        limit = params.limit(query, default=500, most=1500)
        as_of_ms = self._frozen_ms(instrument, interval)
        first, last, now = self._window(instrument, interval, *params.span(query), limit, as_of_ms)
        rows = self._marks.candles(instrument, interval, first, last, now, index=index)
        return [answers.price_kline(row) for row in rows]

    async def _premium_index(self, query: Query) -> Any:
        one = params.optional_symbol(query, self._universe)
        rows = []
        for instrument in [one] if one else self._universe.instruments:
            now = self._faults.frozen_ms(instrument.symbol) or self._clock.now_ms()
            at = instrument.last_trading_ms(now)
            if at < instrument.onboard_ms:
                continue
            running = instrument.trades and instrument.perpetual
            rows.append(
                answers.premium_index(
                    instrument,
                    self._marks.at(instrument, at),
                    rate=self._funding.estimate(instrument, now) if running else 0,
                    next_funding_ms=self._funding.next_funding_ms(instrument, now) if running else 0,
                    time_ms=now // 1000 * 1000,
                )
            )
        return _one_or_all(rows, one)

    async def _funding_rate(self, query: Query) -> Any:
        one = params.optional_symbol(query, self._universe)
        limit = params.limit(query, default=100, most=1000)
        start, end = params.span(query)
        now = self._clock.now_ms()
        members = [one] if one else [item for item in self._universe.instruments if item.perpetual]
        until = now if end is None else min(end, now)
        if start is not None:
            rows = await self._settlements(members, start, until)
            return [self._funding_row(*row) for row in rows[:limit]]
        span = 8 * HOUR_MS
        while True:  # newest rows: widen the range until there are enough
            rows = await self._settlements(members, until - span, until)
            if len(rows) >= limit or until - span < min(item.onboard_ms for item in members):
                return [self._funding_row(*row) for row in rows[-limit:]]
            span *= 4

    async def _settlements(self, members: list[Instrument], start: int, end: int) -> list[tuple[int, Instrument, int]]:
        rows = []
        for instrument in members:
            for time_ms, rate in self._funding.settlements(
                instrument, start, min(end, instrument.last_trading_ms(end))
            ):
                rows.append((time_ms, instrument, rate))
            await asyncio.sleep(0)
        return sorted(rows, key=lambda row: (row[0], row[1].symbol))

    async def settled(self, instrument: Instrument, start_ms: int, end_ms: int) -> list[dict[str, Any]]:
        """Return rows of fundingRate, any number."""
        return [self._funding_row(*row) for row in await self._settlements([instrument], start_ms, end_ms)]

    def _funding_row(self, time_ms: int, instrument: Instrument, rate: int) -> dict[str, Any]:
        return answers.funding_rate(instrument, time_ms, rate, self._marks.mark_at_minute(instrument, time_ms))

    async def _funding_info(self, query: Query) -> Any:
        """Return the adjusted symbols; most symbols at 8 h are omitted, as at the exchange."""
        now = self._clock.now_ms()
        members = [item for item in self._universe.instruments if item.perpetual and item.trades]
        return [
            answers.funding_info(item, hours)
            for item in members
            if (hours := self._funding.hours(item, now)) != 8 or item.base in ("BTC", "ETH", "BNB")
        ]

    async def _ticker_24hr(self, query: Query) -> Any:
        now = self._clock.now_ms()
        one = params.optional_symbol(query, self._universe)
        rows = []
        for instrument in [one] if one else self._universe.instruments:
            day = self._tape.day(instrument, now) if instrument.trades else None
            if day is not None:
                rows.append(answers.ticker_24hr(instrument, day))
            await asyncio.sleep(0)
        return _one_or_all(rows, one)

    async def _ticker_price(self, query: Query) -> Any:
        return await self._of_last_trades(query, answers.ticker_price)

    async def _ticker_book(self, query: Query) -> Any:
        now = self._clock.now_ms()

        def row(instrument: Instrument, trade: Trade) -> dict[str, Any]:
            return answers.ticker_book(instrument, self._tape.book(instrument, trade, 1), now)

        return await self._of_last_trades(query, row)

    async def _of_last_trades(self, query: Query, row: Callable[[Instrument, Trade], dict[str, Any]]) -> Any:
        now = self._clock.now_ms()
        one = params.optional_symbol(query, self._universe)
        rows = []
        for instrument in [one] if one else self._universe.instruments:
            last = self._tape.last(instrument, now) if instrument.trades or one else None
            if last is not None:
                rows.append(row(instrument, last))
            await asyncio.sleep(0)
        return _one_or_all(rows, one)

    async def _depth(self, query: Query) -> Any:
        instrument = params.symbol(query, self._universe)
        levels = params.limit(query, default=500, most=1000)
        if levels not in (5, 10, 20, 50, 100, 500, 1000):
            raise ApiError(-4021, f"{levels} is not valid depth limit.")
        now = self._clock.now_ms()
        last = self._tape.last(instrument, now)
        if last is None:
            return {"lastUpdateId": 0, "E": now, "T": now, "bids": [], "asks": []}
        return answers.depth(instrument, self._tape.book(instrument, last, levels), now)

    async def _open_interest(self, query: Query) -> Any:
        instrument = params.symbol(query, self._universe)
        now = self._clock.now_ms()
        return answers.open_interest(instrument, self._tape.open_interest(instrument, now), now)

    async def _agg_trades(self, query: Query) -> Any:
        instrument = params.symbol(query, self._universe)
        limit = params.limit(query, default=500, most=1000)
        start, end = params.span(query)
        from_id = params.integer(query, "fromId")
        now = instrument.last_trading_ms(self._clock.now_ms())
        if from_id is not None:
            start = from_id * instrument.shape.slot_ms
        until = now if end is None else min(end, now)
        if start is None:
            trades = self._tape.between(instrument, until - HOUR_MS, until + 1)[-limit:]
        else:
            trades = self._tape.between(instrument, start, min(until, start + DAY_MS) + 1)[:limit]
        return [answers.aggregate_trade(instrument, trade) for trade in trades]


def dumps(value: Any) -> str:
    """Return JSON as the exchange formats it: compact, UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _without(row: dict[str, Any], fields: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in fields} if fields else row


def kline_weight(query: Query) -> int:
    text = query.get("limit")
    if text is None or not text.isdecimal():
        return 5
    limit = int(text)
    return 1 if limit <= 100 else 2 if limit <= 500 else 5 if limit <= 1000 else 10


def depth_weight(query: Query) -> int:
    text = query.get("limit")
    limit = int(text) if text and text.isdecimal() else 500
    return 2 if limit <= 50 else 5 if limit <= 100 else 10 if limit <= 500 else 20


def _fixed(weight: int) -> Callable[[Query], int]:
    return lambda query: weight


def _by_symbol(with_symbol: int, without: int) -> Callable[[Query], int]:
    return lambda query: with_symbol if query.get("symbol") else without


def _one_or_all(rows: list[dict[str, Any]], one: Instrument | None) -> Any:
    if one is None:
        return rows
    if not rows:
        raise ApiError(-1121, "Invalid symbol.")
    return rows[0]
