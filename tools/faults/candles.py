"""What can happen to single candles of the exchange, and what must not follow from it."""

import json

import aiohttp

from tools.faults.actions import CANDLE_MS
from tools.faults.row import Action
from tools.faults.world import World


def of_candle(kind: str, open_seconds: float, *, first: int, last: int, **parameters: object) -> Action:
    """Activate a fault for the candle that opens then (in seconds from midnight), for symbols by rank."""

    async def act(world: World) -> None:
        start_ms = world.midnight_ms + round(open_seconds * 1000)
        symbols = (await world.simulated.symbols())[first:last]
        await world.simulated.fault(kind, symbols=symbols, start_ms=start_ms, end_ms=start_ms + CANDLE_MS, **parameters)

    return act


def nothing_is_held_back(close_seconds: float) -> Action:
    """Require that each pair's close at that time, and all before it, were sent to readers of /stream."""

    async def act(world: World) -> None:
        until_ms = world.midnight_ms + round(close_seconds * 1000)
        told = await _next_open_ms(world.collector.url)
        late = sorted(pair for pair, open_ms in told.items() if open_ms < until_ms)
        world.notes.append(f"{len(told) - len(late)} of {len(told)} pairs sent up to {close_seconds:g} s")
        if late or not told:
            world.problems.append(f"/stream holds back the close at {close_seconds:g} s of {late}")

    return act


def quarantined(count: int) -> Action:
    """Require that this many candles are quarantined."""

    async def act(world: World) -> None:
        metrics = await world.collector.metrics()
        found = metrics.total("marketdata_candles_invalid") if metrics else 0
        world.notes.append(f"{found:.0f} candles quarantined")
        if found != count:
            world.problems.append(f"{found:.0f} candles are quarantined, not {count}")

    return act


async def _next_open_ms(url: str) -> dict[str, int]:
    """Return, by pair, the oldest candle that is neither final nor absent, as sent to a new reader."""
    told = {}
    timeout = aiohttp.ClientTimeout(total=10)
    async with (
        aiohttp.ClientSession(timeout=timeout, read_bufsize=1 << 22) as session,
        session.get(f"{url}/stream") as answer,
    ):
        async for text in answer.content:
            line = json.loads(text)
            if line["type"] == "live":
                break
            if line["type"] == "pair":
                told[line["pair"]] = line["next_open_ms"]
    return told
