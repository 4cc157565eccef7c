"""/fapi/v1/depth: one order book from the exchange for all bots."""

from dataclasses import replace
from typing import Any

import msgspec

from exchange.binance import limits
from gateway.api import params
from gateway.api.answers import Answer, Query, bad_request, json_bytes
from gateway.memory.memory import Memory
from gateway.routes.exchange_info import listed
from gateway.upstream.upstream import Upstream

#: Up to here books cost the same, so the longest is fetched and cut: bots that want 5, 10 and 20 levels share it.
SHARED_LEVELS = 50

_DEFAULT_LEVELS = 500


class Depth:
    """The route for order books."""

    def __init__(self, memory: Memory, upstream: Upstream) -> None:
        self._memory = memory
        self._upstream = upstream

    async def answer(self, query: Query) -> Answer:
        """Return `limit` levels (5, 10, 20, 50, 100, 500, 1000) of a symbol's book."""
        symbol = params.symbol(query, listed(self._memory))
        levels = params.limit(query, default=_DEFAULT_LEVELS, most=limits.DEPTH_LIMITS[-1])
        if levels not in limits.DEPTH_LIMITS:
            raise bad_request(-4021, f"{levels} is not valid depth limit.")
        asked = max(levels, SHARED_LEVELS)
        book = await self._upstream.get(limits.DEPTH, {"symbol": symbol, "limit": str(asked)})
        return book if asked == levels else replace(book, body=_cut(book.body, levels))


def _cut(body: bytes, levels: int) -> bytes:
    book: dict[str, Any] = msgspec.json.decode(body)
    return json_bytes(book | {side: book[side][:levels] for side in ("bids", "asks")})
