"""/fapi/v1/fundingRate from the store, and /fapi/v1/fundingInfo.

The store has the settlements since its collector began (30 days at first). The exchange changes settlement times at
will, so whether the store has all of them is inferred from the settlements around them, and after the newest one from
the mark price frames and fundingInfo (`gateway/routes/settled.py`). Where one may be missing, the exchange is asked:
what it has is added, and if it has none, that is remembered. Requests for what the store cannot have are forwarded
unchanged.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from exchange.binance import limits
from exchange.budget import Priority
from exchange.settlements import (
    CONTEXT_MS,
    GIVEN_UP_AFTER_MS,
    HOUR_MS,
    MINUTE_MS,
    USUAL_INTERVAL_HOURS,
    Stretch,
    slot_ms,
)
from exchange.universe import Instrument
from gateway.api import params
from gateway.api.answers import AGE_LIMIT_MS, Answer, Query, Refused, json_bytes
from gateway.memory.memory import Memory
from gateway.memory.texts import eight_decimals
from gateway.past.contracts import Contracts
from gateway.routes.exchange_info import listed
from gateway.routes.settled import Frames, lacking, wants_interval
from gateway.upstream.forward import forward
from gateway.upstream.upstream import Upstream
from marketdata import influxql
from marketdata.errors import MarketDataError
from marketdata.ohlcv import where
from marketdata.reader import AsyncMarketData
from marketdata.schema import EARLIEST_MS, FUNDING_SETTLED, bucket_of

#: More settlements than there can be in twice CONTEXT_MS.
CONTEXT_ROWS = 40

_NAMES = ("startTime", "endTime", "limit")
_DEFAULT_LIMIT = 100
#: How long to wait before asking again for a settlement that just came and that the exchange did not have yet.
_SETTLING_MS = 15_000

#: While the exchange is down, the interval it last reported is used up to this age.
_INTERVAL_AGE_LIMIT_MS = 24 * HOUR_MS

_ROWS = msgspec.json.Decoder(list[dict[str, Any]])

type Row = dict[str, Any]


class FundingRates:
    """The route for settled funding."""

    def __init__(
        self, memory: Memory, upstream: Upstream, market: AsyncMarketData | None, contracts: Contracts
    ) -> None:
        self._memory = memory
        self._contracts = contracts
        self._upstream = upstream
        self._market = market
        self._intervals: tuple[bytes, dict[str, int]] = (b"", {})
        self._unsettled: dict[str, set[int]] = {}
        """By symbol: slots for which the exchange was asked for a settlement and had none."""

    async def answer(self, query: Query) -> Answer:
        """Return a symbol's settlements from startTime to endTime, inclusive, or its newest ones; oldest first."""
        universe = listed(self._memory)
        symbol = params.optional_symbol(query, universe)
        info = None if symbol is None else universe.symbols.get(symbol)
        limit = params.limit(query, default=_DEFAULT_LIMIT, most=limits.MAX_FUNDING_RATES)
        start_ms, end_ms = params.span(query)
        now_ms = self._memory.exchange_time_ms()
        until_ms = now_ms if end_ms is None else min(end_ms, now_ms)
        if info is not None and self._memory.pair_state(info.symbol) is not None:
            rows = await self._stored(info, start_ms, until_ms, limit)
            if rows is not None:
                age_ms = max(now_ms - rows[-1]["fundingTime"], 0) if rows else None
                return Answer(json_bytes(rows), age_ms=age_ms, state="live" if until_ms == now_ms else "history")
        since_settled_ms = now_ms % HOUR_MS
        return await forward(
            self._upstream,
            limits.FUNDING_RATE,
            query,
            _NAMES,
            symbol=symbol,
            now_ms=now_ms,
            end_ms=end_ms,
            fresh_ms=min(AGE_LIMIT_MS, max(since_settled_ms - MINUTE_MS, _SETTLING_MS)),
        )

    async def _stored(self, info: Instrument, start_ms: int | None, until_ms: int, limit: int) -> list[Row] | None:
        """The rows the exchange would return, if the store has all of them or all but a few; else None."""
        if self._market is None:
            return None
        first_ms = until_ms - (limit + 1) * USUAL_INTERVAL_HOURS * HOUR_MS if start_ms is None else start_ms
        info = self._contracts.told(info)
        first_ms = max(first_ms, EARLIEST_MS, self._contracts.begins_ms(info) or 0)
        if first_ms > until_ms:
            return None
        try:
            known = await self._read(self._market, info, first_ms, until_ms, limit, newest=start_ms is None)
        except MarketDataError:
            return None

        def shown(rows: list[Row]) -> list[Row]:
            rows = [row for row in rows if first_ms <= row["fundingTime"] <= until_ms]
            return rows[-limit:] if start_ms is None else rows[:limit]

        rows = shown(known)
        times = [row["fundingTime"] for row in rows]
        full = len(rows) == limit
        open_stretches = await self._lacking(
            info,
            [row["fundingTime"] for row in known],
            times[0] if full and start_ms is None else first_ms,
            times[-1] if full and start_ms is not None else until_ms,
        )
        if not open_stretches:
            return rows
        told = await self._told(info.symbol, open_stretches) if known else None
        if told is None:
            return None
        slots = {slot_ms(row["fundingTime"]) for row in known}
        added = [row for row in told if slot_ms(row["fundingTime"]) not in slots]
        return shown(sorted(known + added, key=lambda row: int(row["fundingTime"])))

    async def _read(
        self, market: AsyncMarketData, info: Instrument, first_ms: int, until_ms: int, limit: int, *, newest: bool
    ) -> list[Row]:
        """At most `limit` rows of the span and the settlements around them, oldest first."""
        start_ms, end_ms = max(first_ms - CONTEXT_MS, EARLIEST_MS), until_ms + CONTEXT_MS
        condition, bound = where([info.pair], start_ms, end_ms)
        order = "DESC" if newest else "ASC"
        text = f'SELECT "rate", "mark_price" FROM "{FUNDING_SETTLED}" WHERE {condition} ORDER BY time {order}'
        text = f"{text} LIMIT {limit + CONTEXT_ROWS}"
        series = await market.query(influxql.Query(bucket_of(FUNDING_SETTLED), text, bound))
        rows = [_row(info.symbol, values) for one in series for values in one.values if values[1] is not None]
        return rows[::-1] if newest else rows

    async def _lacking(self, info: Instrument, times: Sequence[int], first_ms: int, last_ms: int) -> list[Stretch]:
        """Where a settlement may be missing among those the store has at these times."""
        mark = self._memory.mark_of(info.symbol)
        next_ms = None if mark is None else mark.next_funding_time_ms or None
        frames = Frames(next_ms, self._memory.settled_ms_of(info.symbol))
        first_ms -= MINUTE_MS  # a settlement may be dated some ms after its hour, and the span start with those
        wanted = wants_interval(times, frames, first_ms, last_ms)
        return lacking(
            times,
            frames,
            interval_hours=await self._interval_hours(info.symbol) if wanted else None,
            listed_ms=info.begins_ms,
            first_ms=first_ms,
            last_ms=last_ms,
            unsettled=self._unsettled.get(info.symbol, ()),
        )

    async def _interval_hours(self, symbol: str) -> int | None:
        """The current interval from fundingInfo; None if the symbol is not listed there, or it is not available."""
        try:
            body = (await self._upstream.get(limits.FUNDING_INFO, {}, age_limit_ms=_INTERVAL_AGE_LIMIT_MS)).body
        except Refused:
            return None
        if body is not self._intervals[0]:
            self._intervals = body, {row["symbol"]: row["fundingIntervalHours"] for row in _ROWS.decode(body)}
        return self._intervals[1].get(symbol)

    async def _told(self, symbol: str, stretches: Sequence[Stretch]) -> list[Row] | None:
        """What the exchange has in these stretches; None if the request has to be forwarded unchanged."""
        first_ms, last_ms = min(one.first_ms for one in stretches), max(one.last_ms for one in stretches)
        if (last_ms - first_ms) // HOUR_MS >= limits.MAX_FUNDING_RATES:
            return None
        slots = frozenset[int]().union(*(one.slots for one in stretches))
        now_ms = self._memory.exchange_time_ms()
        age_ms = max(now_ms - max(slots), 0)
        limit = str(limits.MAX_FUNDING_RATES)
        if min(slots) > now_ms - HOUR_MS:  # the current settlement is requested once for all symbols
            query = {"startTime": str(min(slots)), "limit": limit}
        else:
            query = {"symbol": symbol, "startTime": str(first_ms), "endTime": str(last_ms + MINUTE_MS), "limit": limit}
        try:
            answer = await self._upstream.get(
                limits.FUNDING_RATE,
                query,
                fresh_ms=max(_SETTLING_MS, min(age_ms // 4, AGE_LIMIT_MS)),
                priority=Priority.UNIVERSE if age_ms < AGE_LIMIT_MS else Priority.HISTORY,
            )
        except Refused:
            return [] if min(slots) > now_ms - AGE_LIMIT_MS else None
        rows = [row for row in _ROWS.decode(answer.body) if row["symbol"] == symbol]
        had = {slot_ms(row["fundingTime"]) for row in rows}
        given_up = {slot for slot in slots - had if slot < now_ms - GIVEN_UP_AFTER_MS}
        self._unsettled.setdefault(symbol, set()).update(given_up)
        return rows


def _row(symbol: str, values: Sequence[Any]) -> Row:
    time_ms, rate, mark_price = values
    return {
        "symbol": symbol,
        "fundingTime": int(time_ms),
        "fundingRate": eight_decimals(rate),
        "markPrice": "" if mark_price is None else eight_decimals(mark_price),
        "rateType": "Regular",
    }


class FundingInfo:
    """The route for funding intervals and caps: the exchange's response."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def answer(self, _query: Query) -> Answer:
        """Return the contracts with adjusted funding."""
        return await self._upstream.get(limits.FUNDING_INFO, {})
