"""An exchange of one symbol whose candles begin where its onboardDate does not say."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from marketdata.timeframes import DAY_MS, timeframe_ms
from tests.support import http_server

FIRST_MS = 1_770_000_120_000 // DAY_MS * DAY_MS + 7 * 3_600_000
"""Open of the symbol's first candle, 07:00 of a day."""


class DatedExchange:
    """Answers klines of what traded in some spans [start, stop), to the whole candle, and counts what was asked."""

    def __init__(self, spans: Sequence[tuple[int, int]]) -> None:
        self.spans = list(spans)
        self.asked: list[dict[str, str]] = []
        self.refuses = False

    async def handle(self, request: web.Request) -> web.StreamResponse:
        query = dict(request.query)
        self.asked.append(query)
        if self.refuses:
            return web.Response(status=503, text="down")
        length_ms = timeframe_ms(query["interval"])
        limit = int(query.get("limit", 500))
        start_ms = int(query["startTime"]) if "startTime" in query else None
        end_ms = int(query.get("endTime", 2**53))
        opens = [
            at
            for first_ms, stop_ms in self.spans
            for at in range(first_ms // length_ms * length_ms, stop_ms, length_ms)
            if (start_ms or 0) <= at <= end_ms
        ]
        chosen = opens[:limit] if start_ms is not None else opens[-limit:]
        return web.json_response([row(at, length_ms) for at in chosen])


@asynccontextmanager
async def listening(exchange: DatedExchange) -> AsyncIterator[str]:
    """Serve it; gives its URL."""
    async with http_server(exchange.handle) as url:
        yield url


def row(open_ms: int, length_ms: int) -> list[Any]:
    return [open_ms, "1.0", "1.0", "1.0", "1.0", "1", open_ms + length_ms - 1, "1.0", 1, "1", "1.0", "0"]
