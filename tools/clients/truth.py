"""The simulated exchange's truth in the format of freqtrade's files."""

import asyncio
from collections.abc import Mapping
from typing import Any

from tools.clients.downloads import (
    FUNDING,
    FUTURES,
    HOUR_MS,
    MARK,
    Comparison,
    Downloaded,
    Rows,
    candle_values,
    compare,
    newest_closed_ms,
    spans,
)
from tools.demo.compare import LENGTH_MS
from tools.faults.simulated import Simulated


async def candles(simulated: Simulated, symbol: str, timeframe: str, first_ms: int, last_ms: int) -> Rows:
    """Candles that open from first to last."""
    rows: dict[int, list[float]] = {}
    for start, end in spans(first_ms, last_ms):
        found = await simulated.candles(symbol, timeframe, start, end)
        rows |= {at: candle_values(row) for at, row in found.items()}
    return rows


async def marks(simulated: Simulated, symbol: str, first_ms: int, last_ms: int) -> Rows:
    """Hourly mark price candles, with volume 0 as in freqtrade. Costs weight."""
    rows: dict[int, list[float]] = {}
    for start, end in spans(first_ms, last_ms, 1_500 * HOUR_MS):
        query = f"symbol={symbol}&interval=1h&limit=1500&startTime={start}&endTime={end}"
        for row in await asked(simulated, f"/fapi/v1/markPriceKlines?{query}"):
            rows[row[0]] = [*map(float, row[1:5]), 0.0]
    return rows


async def funding(simulated: Simulated, symbol: str, first_ms: int, last_ms: int) -> Rows:
    """Settled rates by the hour they fall in, because freqtrade drops the milliseconds."""
    query = f"symbol={symbol}&limit=1000&startTime={first_ms}&endTime={last_ms}"
    rows = await asked(simulated, f"/fapi/v1/fundingRate?{query}")
    return {row["fundingTime"] // HOUR_MS * HOUR_MS: [float(row["fundingRate"])] for row in rows}


async def asked(simulated: Simulated, path: str) -> Any:
    """Return a response of the exchange, requested slowly enough that nothing else is refused because of it."""
    await asyncio.sleep(0.1)
    return await simulated.rest(path)


async def compare_download(
    simulated: Simulated,
    downloaded: Downloaded,
    symbols: Mapping[str, str],
    *,
    days: int,
    timeframes: tuple[str, ...],
) -> dict[str, Comparison]:
    """Compare everything that was downloaded; by timeframe, and MARK and FUNDING."""
    found = {name: Comparison() for name in (*timeframes, MARK, FUNDING)}
    first_ms, now_ms = downloaded.first_ms(days), simulated.now_ms()
    for pair, symbol in symbols.items():
        for timeframe in timeframes:
            rows = downloaded.rows(pair, timeframe, FUTURES)
            newest_ms = newest_closed_ms(downloaded.started_ms, LENGTH_MS[timeframe])
            true = await candles(simulated, symbol, timeframe, first_ms, max(rows, default=newest_ms))
            compare(found[timeframe], f"{pair} {timeframe}", rows, true, newest_ms=newest_ms)
        rows = downloaded.rows(pair, "1h", MARK)
        newest_ms = newest_closed_ms(downloaded.started_ms, HOUR_MS)
        true = await marks(simulated, symbol, first_ms, max(rows, default=newest_ms))
        compare(found[MARK], f"{pair} mark", rows, true, newest_ms=newest_ms)
        rows = downloaded.rows(pair, "1h", FUNDING)
        true = await funding(simulated, symbol, first_ms, now_ms)
        compare(found[FUNDING], f"{pair} funding", rows, true, newest_ms=downloaded.started_ms - HOUR_MS)
    return found
