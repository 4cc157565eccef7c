"""/fapi/v1/ticker/24hr, price and bookTicker: from the exchange, fetched once for all bots and all symbols."""

from collections.abc import Mapping
from dataclasses import replace

import msgspec

from exchange.binance import limits
from gateway.api import params
from gateway.api.answers import Answer, Query
from gateway.memory.memory import Memory
from gateway.routes.exchange_info import listed
from gateway.upstream.upstream import Upstream

#: /ticker/24hr for all symbols costs as much as for this many single ones.
_ALL_24HR_IS_CHEAPER_FROM = 40


class _Row(msgspec.Struct, frozen=True):
    symbol: str


_ROWS = msgspec.json.Decoder(list[msgspec.Raw])
_SYMBOL = msgspec.json.Decoder(_Row)


class Ticker:
    """One of the three routes. A single symbol's row is taken from the response for all symbols if that is cheaper."""

    def __init__(self, route: str, memory: Memory, upstream: Upstream) -> None:
        self._route = route
        self._memory = memory
        self._upstream = upstream
        self._split: tuple[bytes, Mapping[str, bytes]] = (b"", {})

    async def answer(self, query: Query) -> Answer:
        """Return one symbol's row, or all rows without `symbol`."""
        symbol = params.optional_symbol(query, listed(self._memory))
        if symbol is None:
            return await self._upstream.get(self._route, {})
        every = await self._every()
        row = None if every is None else self._rows(every.body).get(symbol)
        if every is not None and row is not None:
            return replace(every, body=row)
        return await self._upstream.get(self._route, {"symbol": symbol})  # halted or delisted: not among all

    async def _every(self) -> Answer | None:
        """The response for all symbols, unless a single one is cheaper. Prices and books of all cost 2 and 5."""
        if self._route == limits.TICKER_24HR and self._upstream.questions(self._route) < _ALL_24HR_IS_CHEAPER_FROM:
            return self._upstream.peek(self._route, {})
        return await self._upstream.get(self._route, {})

    def _rows(self, body: bytes) -> Mapping[str, bytes]:
        if self._split[0] is not body:
            rows = [bytes(raw) for raw in _ROWS.decode(body)]
            self._split = body, {_SYMBOL.decode(row).symbol: row for row in rows}
        return self._split[1]
