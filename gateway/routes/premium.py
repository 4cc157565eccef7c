"""/fapi/v1/premiumIndex: mark price, index and current funding rate from the newest frames."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec

from exchange.binance import limits
from gateway.api import params
from gateway.api.answers import AGE_LIMIT_MS, Answer, Query, Refused, json_bytes
from gateway.memory.memory import Memory
from gateway.memory.stream_lines import Mark
from gateway.routes.exchange_info import listed
from gateway.upstream.upstream import Upstream

#: A frame comes every second. After this long without one a pair is stale, and the exchange is asked.
STALE_MS = 60_000

#: Frames do not carry the interest rate. It is a property of the contract, "0.01 % per 8 h" for all but a few
#: ("Introduction to Binance Futures Funding Rates"). A symbol's rate from REST takes precedence; REST is asked hourly.
USUAL_INTEREST = "0.00010000"
_INTEREST_SECONDS = 3_600.0

_ROWS = msgspec.json.Decoder(list[dict[str, Any]])


class Premium:
    """The route for the premium index."""

    def __init__(self, memory: Memory, upstream: Upstream, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._memory = memory
        self._upstream = upstream
        self._monotonic = monotonic
        self._rest: dict[str, dict[str, Any]] = {}
        self._rest_body = b""
        self._rest_due = -float("inf")

    async def answer(self, query: Query) -> Answer:
        """Return one symbol's row, or without `symbol` those of all symbols, in the exchange's order."""
        symbol = params.optional_symbol(query, listed(self._memory))
        return await (self._every() if symbol is None else self._one(symbol))

    async def _one(self, symbol: str) -> Answer:
        mark = self._memory.mark_of(symbol)
        if mark is not None and self._age_ms(mark) <= STALE_MS:
            await self._learn_interest()
            row = self._row(symbol, mark)
            if row is not None:
                return Answer(json_bytes(row), age_ms=self._age_ms(mark), state="live")
        try:
            return await self._upstream.get(limits.PREMIUM_INDEX, {"symbol": symbol})
        except Refused as refused:
            row = None if mark is None or self._age_ms(mark) > AGE_LIMIT_MS else self._row(symbol, mark)
            if mark is None or row is None or refused.status != 429:
                raise
            return Answer(json_bytes(row), age_ms=self._age_ms(mark), state="last-good")

    async def _every(self) -> Answer:
        answer = await self._upstream.get(limits.PREMIUM_INDEX, {})
        self._learn(answer.body)
        rows = [self._newest(symbol, rest) for symbol, rest in self._rest.items()]
        return replace(answer, body=json_bytes(rows))

    def _newest(self, symbol: str, rest: dict[str, Any]) -> dict[str, Any]:
        mark = self._memory.mark_of(symbol)
        if mark is None or mark.event_time_ms <= rest["time"]:
            return rest
        return self._row(symbol, mark) or rest

    def _row(self, symbol: str, mark: Mark) -> dict[str, Any] | None:
        """A row from a frame and what REST adds to it; None if a frame lacks something that REST never had either."""
        rest = self._rest.get(symbol, {})
        settle = mark.estimated_settle or rest.get("estimatedSettlePrice")
        if settle is None:
            return None
        return {
            "symbol": symbol,
            "markPrice": mark.mark,
            "indexPrice": mark.index,
            "estimatedSettlePrice": settle,
            "lastFundingRate": mark.rate,
            "interestRate": rest.get("interestRate", USUAL_INTEREST),
            "nextFundingTime": mark.next_funding_time_ms,
            "time": mark.event_time_ms,
        }

    async def _learn_interest(self) -> None:
        if self._monotonic() < self._rest_due:
            return
        self._rest_due = self._monotonic() + _INTEREST_SECONDS
        try:
            self._learn((await self._upstream.get(limits.PREMIUM_INDEX, {})).body)
        except Refused:
            self._rest_due = self._monotonic() + STALE_MS / 1000

    def _learn(self, body: bytes) -> None:
        if body is not self._rest_body:
            self._rest = {row["symbol"]: row for row in _ROWS.decode(body)}
            self._rest_body = body

    def _age_ms(self, mark: Mark) -> int:
        return max(self._memory.exchange_time_ms() - mark.event_time_ms, 0)
