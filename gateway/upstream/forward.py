"""Questions handed on to the exchange as they came: what is older than the store, or what nobody collects."""

from collections.abc import Iterable

from exchange.budget import Priority
from gateway.api.answers import AGE_LIMIT_MS, Answer, Query
from gateway.upstream.upstream import Upstream
from marketdata.thresholds import CLOSE_DEADLINE_MS

#: A candle is final so long after its close (docs/design.md 5.1): a range that ended before is asked for once.


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
    """Return the exchange's answer to `query`, of which only the parameters `names` are sent, and the `symbol`.

    What `end_ms` puts into the past is history: shared for as long as it may be, and asked after everything else.
    """
    params = {} if symbol is None else {"symbol": symbol}
    params |= {name: query[name] for name in names if query.get(name)}
    if end_ms is not None and end_ms < now_ms - CLOSE_DEADLINE_MS:
        return await upstream.get(route, params, fresh_ms=AGE_LIMIT_MS, priority=Priority.HISTORY)
    return await upstream.get(route, params, fresh_ms=fresh_ms)
