"""/fapi/v1/fundingRate from the store, and /fapi/v1/fundingInfo.

The store has what settled since its collector began (30 days at first). Nobody knows in advance when a contract settles
- each 1, 2, 4 or 8 hours, and the exchange changes it - so completeness is judged by what no schedule can exceed: two
settlements are 8 hours apart at most. What the store cannot have is asked of the exchange.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec

from exchange import weights
from exchange.universe import SymbolInfo
from gateway import params
from gateway.answers import AGE_LIMIT_MS, Answer, Query, Refused, json_bytes
from gateway.contracts import Contracts
from gateway.exchange_info import listed
from gateway.forward import forward
from gateway.memory import Memory
from gateway.texts import eight_decimals
from gateway.upstream import Upstream
from marketdata import influxql
from marketdata.errors import MarketDataError
from marketdata.ohlcv import where
from marketdata.reader import AsyncMarketData
from marketdata.schema import EARLIEST_MS, FUNDING_SETTLED, bucket_of

HOUR_MS = 3_600_000
LONGEST_PERIOD_MS = 8 * HOUR_MS
#: A settlement's time is that of the hour and some ms.
JITTER_MS = 60_000

_NAMES = ("startTime", "endTime", "limit")
_DEFAULT_LIMIT = 100
#: A settlement that just came is asked for again after so long if the exchange did not have it yet.
_SETTLING_MS = 15_000

_ROWS = msgspec.json.Decoder(list[dict[str, Any]])

type Row = dict[str, Any]


class FundingRates:
    """The route of settled funding."""

    def __init__(
        self, memory: Memory, upstream: Upstream, market: AsyncMarketData | None, contracts: Contracts
    ) -> None:
        self._memory = memory
        self._contracts = contracts
        self._upstream = upstream
        self._market = market

    async def answer(self, query: Query) -> Answer:
        """Return what a symbol settled from startTime to endTime, inclusive, or its newest; oldest first."""
        universe = listed(self._memory)
        symbol = params.optional_symbol(query, universe)
        info = None if symbol is None else universe.symbols.get(symbol)
        limit = params.limit(query, default=_DEFAULT_LIMIT, most=weights.MAX_FUNDING_RATES)
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
            weights.FUNDING_RATE,
            query,
            _NAMES,
            symbol=symbol,
            now_ms=now_ms,
            end_ms=end_ms,
            fresh_ms=min(AGE_LIMIT_MS, max(since_settled_ms - JITTER_MS, _SETTLING_MS)),
        )

    async def _stored(self, info: SymbolInfo, start_ms: int | None, until_ms: int, limit: int) -> list[Row] | None:
        """The rows, if the store has every one that the exchange would answer; else None."""
        if self._market is None:
            return None
        first_ms = until_ms - (limit + 1) * LONGEST_PERIOD_MS if start_ms is None else start_ms
        first_ms = max(first_ms, EARLIEST_MS)
        if first_ms > until_ms:
            return None
        try:
            rows = await self._read(self._market, info, first_ms, until_ms, limit, newest=start_ms is None)
            known = rows
            # A bot asks for what settled since it opened a trade: how often that is, the two before tell.
            if len(rows) < 2 and start_ms is not None and first_ms > EARLIEST_MS:
                before_ms = max(first_ms - 2 * LONGEST_PERIOD_MS - JITTER_MS, EARLIEST_MS)
                known = await self._read(self._market, info, before_ms, first_ms - 1, 2, newest=True) + rows
        except MarketDataError:
            return None
        if len(rows) < limit or start_ms is None:
            just_settled = await self._just_settled(info.symbol, known, until_ms)
            rows = rows + [row for row in just_settled if row["fundingTime"] >= first_ms]
        rows = rows[-limit:] if start_ms is None else rows[:limit]
        times = [row["fundingTime"] for row in rows]
        full = len(rows) == limit
        begins_ms = times[0] if full and start_ms is None else max(first_ms, self._contracts.told(info).begins_ms)
        ends_ms = times[-1] if full and start_ms is not None else until_ms - AGE_LIMIT_MS
        return rows if covers(times, begins_ms, ends_ms) else None

    async def _read(
        self, market: AsyncMarketData, info: SymbolInfo, first_ms: int, until_ms: int, limit: int, *, newest: bool
    ) -> list[Row]:
        condition, bound = where([info.pair], first_ms, until_ms + 1)
        order = "DESC" if newest else "ASC"
        text = f'SELECT "rate", "mark_price" FROM "{FUNDING_SETTLED}" WHERE {condition} ORDER BY time {order}'
        series = await market.query(influxql.Query(bucket_of(FUNDING_SETTLED), f"{text} LIMIT {limit}", bound))
        rows = [_row(info.symbol, values) for one in series for values in one.values if values[1] is not None]
        return rows[::-1] if newest else rows

    def _newest_settlement_ms(self, symbol: str, rows: Sequence[Row], until_ms: int) -> int | None:
        """The hour of the newest settlement up to `until_ms` as the mark price tells it; None if it does not."""
        times = [row["fundingTime"] for row in rows[-2:]]
        mark = self._memory.mark_of(symbol)
        if mark is None or mark.next_funding_time_ms == 0:
            return None
        if mark.next_funding_time_ms <= until_ms:
            return mark.next_funding_time_ms
        period_ms = times[-1] - times[-2] if len(times) > 1 else LONGEST_PERIOD_MS
        period_ms = max(round(period_ms / HOUR_MS), 1) * HOUR_MS
        settled_ms = mark.next_funding_time_ms - period_ms
        return settled_ms if settled_ms <= until_ms else None

    async def _just_settled(self, symbol: str, rows: Sequence[Row], until_ms: int) -> list[Row]:
        """What the collector has not stored yet: asked once for all symbols."""
        settled_ms = self._newest_settlement_ms(symbol, rows, until_ms)
        stored_ms = rows[-1]["fundingTime"] if rows else 0
        if settled_ms is None or stored_ms >= settled_ms - JITTER_MS:
            return []
        query = {"startTime": str(settled_ms), "limit": str(weights.MAX_FUNDING_RATES)}
        try:
            answer = await self._upstream.get(weights.FUNDING_RATE, query, fresh_ms=_SETTLING_MS)
        except Refused:
            return []
        newest = range(settled_ms - JITTER_MS, until_ms + 1)
        return [row for row in _ROWS.decode(answer.body) if row["symbol"] == symbol and row["fundingTime"] in newest]


def covers(times: Sequence[int], first_ms: int, until_ms: int) -> bool:
    """Whether no settlement can be missing between `first_ms` and `until_ms`: no two neighbors are too far apart."""
    bounds = [first_ms, *times, until_ms]
    longest_ms = LONGEST_PERIOD_MS + JITTER_MS
    return all(later - earlier <= longest_ms for earlier, later in pairwise(bounds))


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
    """The route of funding intervals and caps: the exchange's answer."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def answer(self, _query: Query) -> Answer:
        """Return the contracts whose funding is adjusted."""
        return await self._upstream.get(weights.FUNDING_INFO, {})
