"""/fapi/v1/markPriceKlines: hours from the store, the forming one from samples; other intervals from the exchange."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from exchange.binance import limits
from exchange.universe import Instrument
from gateway.api import params
from gateway.api.answers import AGE_LIMIT_MS, Answer, Query, Refused, json_bytes
from gateway.memory.memory import Memory
from gateway.memory.stream_lines import Mark
from gateway.memory.texts import eight_decimals
from gateway.past.contracts import Contracts
from gateway.routes.exchange_info import listed
from gateway.routes.premium import STALE_MS
from gateway.upstream.forward import forward
from gateway.upstream.upstream import Upstream
from marketdata import influxql
from marketdata.errors import MarketDataError
from marketdata.ohlcv import where
from marketdata.reader import AsyncMarketData
from marketdata.schema import MARK_OHLCV_1H, MARK_PRICE, bucket_of
from marketdata.thresholds import CLOSE_DEADLINE_MS

HOUR_MS = 3_600_000
STORED_INTERVAL = "1h"

_NAMES = ("interval", "startTime", "endTime", "limit")
_DEFAULT_LIMIT = 500
#: The fourth column from the end is the number of seconds seen (60 a minute in Binance's own example).
_SECONDS_AN_HOUR = 3_600
#: The collector stores an hour within eleven minutes of its end. Until then it is requested from the exchange, once.
_UNSTORED_MS = 15 * 60_000
_UNFINISHED_MS = 2_000

_ROWS = msgspec.json.Decoder(list[list[Any]])

type Row = list[Any]


class MarkKlines:
    """The route for the mark price's candles."""

    def __init__(
        self, memory: Memory, upstream: Upstream, market: AsyncMarketData | None, contracts: Contracts
    ) -> None:
        self._memory = memory
        self._contracts = contracts
        self._upstream = upstream
        self._market = market

    async def answer(self, query: Query) -> Answer:
        """Return a symbol's candles from startTime to endTime (open times, inclusive) or its newest, oldest first."""
        universe = listed(self._memory)
        symbol = params.symbol(query, universe)
        info = universe.symbols.get(symbol)
        interval = params.interval(query)
        limit = params.limit(query, default=_DEFAULT_LIMIT, most=limits.MAX_KLINES)
        start_ms, end_ms = params.span(query)
        now_ms = self._memory.exchange_time_ms()
        if interval == STORED_INTERVAL and info is not None and self._memory.pair_state(symbol) is not None:
            # Mark prices start before the first trade, and the exchange's date may be later than both.
            info = self._contracts.told(info)
            opens = hours(min(info.onboard_ms, info.begins_ms), start_ms, end_ms, limit, now_ms)
            rows = await self._rows(info, opens, now_ms)
            if rows is not None:
                history = not rows or rows[-1][6] < now_ms - HOUR_MS
                age_ms = None if not rows else max(now_ms - rows[-1][6], 0)
                return Answer(json_bytes(rows), age_ms=age_ms, state="history" if history else "live")
            if start_ms is not None:  # without an end, as freqtrade requests a pair's first hours before each download
                end_ms = opens[-1] + HOUR_MS - 1
        return await forward(
            self._upstream, limits.MARK_PRICE_KLINES, query, _NAMES, symbol=symbol, now_ms=now_ms, end_ms=end_ms
        )

    async def _rows(self, info: Instrument, opens: range, now_ms: int) -> list[Row] | None:
        """The rows of the hours that open at `opens`, None if the store or the collector lacks one."""
        if not opens:
            return []
        if self._market is None:
            return None
        forming_ms = now_ms // HOUR_MS * HOUR_MS
        ended = range(opens.start, min(opens.stop, forming_ms), HOUR_MS)
        try:
            stored, forming = await asyncio.gather(
                self._ended(self._market, info, ended, now_ms),
                self._forming(self._market, info, forming_ms) if forming_ms in opens else _nothing(),
            )
        except (MarketDataError, Refused):
            return None
        if stored is None or forming is None:
            return None
        return stored + forming

    async def _ended(self, market: AsyncMarketData, info: Instrument, opens: range, now_ms: int) -> list[Row] | None:
        if not opens:
            return []
        condition, bound = where([info.pair], opens.start, opens.stop)
        text = f'SELECT "open", "high", "low", "close" FROM "{MARK_OHLCV_1H}" WHERE {condition}'
        series = await market.query(influxql.Query(bucket_of(MARK_OHLCV_1H), text, bound))
        found = (_row(values) for one in series for values in one.values if None not in values)
        rows = {row[0]: row for row in found}
        missing = [open_ms for open_ms in opens if open_ms not in rows]
        if missing == [now_ms // HOUR_MS * HOUR_MS - HOUR_MS]:
            rows |= {row[0]: row for row in await self._just_ended(info.symbol, missing[0], now_ms)}
            missing = [open_ms for open_ms in missing if open_ms not in rows]
        return None if missing else [rows[open_ms] for open_ms in opens]

    async def _just_ended(self, symbol: str, open_ms: int, now_ms: int) -> list[Row]:
        span = {"startTime": str(open_ms), "endTime": str(open_ms + HOUR_MS - 1), "limit": "1"}
        final = now_ms > open_ms + HOUR_MS + CLOSE_DEADLINE_MS
        answer = await self._upstream.get(
            limits.MARK_PRICE_KLINES,
            {"symbol": symbol, "interval": STORED_INTERVAL, **span},
            fresh_ms=_UNSTORED_MS if final else _UNFINISHED_MS,
            age_limit_ms=_UNSTORED_MS if final else AGE_LIMIT_MS,
        )
        return _ROWS.decode(answer.body)

    async def _forming(self, market: AsyncMarketData, info: Instrument, open_ms: int) -> list[Row] | None:
        """The forming hour: samples are the first frame of every ten seconds, so its open is exact."""
        mark = self._memory.mark_of(info.symbol)
        if mark is None or self._memory.exchange_time_ms() - mark.event_time_ms > STALE_MS:
            return None
        if mark.event_time_ms < open_ms:
            return []
        condition, bound = where([info.pair], open_ms, open_ms + HOUR_MS)
        text = f'SELECT first("mark"), max("mark"), min("mark") FROM "{MARK_PRICE}" WHERE {condition}'
        series = await market.query(influxql.Query(bucket_of(MARK_PRICE), text, bound))
        sampled = [value for value in series[0].values[0][1:] if isinstance(value, float)] if series else []
        return [forming_row(open_ms, mark, sampled)]


def hours(begins_ms: int, start_ms: int | None, end_ms: int | None, limit: int, now_ms: int) -> range:
    """Return the open times that the exchange would return."""
    last_ms = now_ms if end_ms is None else min(end_ms, now_ms)
    listed_ms = begins_ms // HOUR_MS * HOUR_MS
    newest_ms = last_ms // HOUR_MS * HOUR_MS
    if start_ms is None:
        return range(max(newest_ms - (limit - 1) * HOUR_MS, listed_ms), newest_ms + 1, HOUR_MS)
    first_ms = max(-(-start_ms // HOUR_MS) * HOUR_MS, listed_ms)
    return range(first_ms, min(newest_ms, first_ms + (limit - 1) * HOUR_MS) + 1, HOUR_MS)


def forming_row(open_ms: int, mark: Mark, sampled: Sequence[float]) -> Row:
    """Return the row of the hour that opened at `open_ms`: from samples (first, highest, lowest) and newest frame."""
    close = float(mark.mark)
    first, highest, lowest = sampled or (close, close, close)
    row = _row([open_ms, first, max(highest, close), min(lowest, close), close])
    row[4] = mark.mark
    row[8] = (mark.event_time_ms - open_ms) // 1000 + 1
    return row


def _row(values: Sequence[Any]) -> Row:
    open_ms, *prices = values
    texts = [eight_decimals(price) for price in prices]
    return [int(open_ms), *texts, "0", int(open_ms) + HOUR_MS - 1, "0", _SECONDS_AN_HOUR, "0", "0", "0"]


async def _nothing() -> list[Row]:
    return []
