"""Forwards requests to the exchange unchanged: for data older than the store's, or that nobody collects."""

from collections.abc import Iterable

from exchange.budget import Priority
from gateway.api.answers import AGE_LIMIT_MS, Answer, Query
from gateway.upstream.upstream import Upstream
from marketdata.thresholds import CLOSE_DEADLINE_MS

#: A candle is final this long after its close (docs/design.md 5.1): a range that ended before is fetched once.


async def forward(
    upstream: Upstream,
    route: str,
    query: Query,
    names: Iterable[str],
    *,
    symbol: str | None,
    now_ms: int,
    end_ms: int | None,
    fresh_ms: int | None = None,
) -> Answer:
    """Return the exchange's response to `query`, of which only the parameters `names` are sent, and the `symbol`.

    A range that `end_ms` puts in the past is history: shared for as long as allowed, and requested last of all.
    """
    params = {} if symbol is None else {"symbol": symbol}
    params |= {name: query[name] for name in names if query.get(name)}
    if end_ms is not None and end_ms < now_ms - CLOSE_DEADLINE_MS:
        return await upstream.get(route, params, fresh_ms=AGE_LIMIT_MS, priority=Priority.HISTORY)
    return await upstream.get(route, params, fresh_ms=fresh_ms)
