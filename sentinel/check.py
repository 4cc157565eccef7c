"""`sentinel check`: verifies that `run` could read every store. One line per problem; only reads."""

import time

import aiohttp

from marketdata.errors import MarketDataError, Unauthorized
from sentinel import candles
from sentinel.candles import INTERVALS
from sentinel.config import Config, StoreSection, trusted
from sentinel.store import StoreReader
from service.command_line import check_result


async def run(config: Config) -> int:
    """Print the problems, or one line if there are none; returns exit code 0 or 2. Raises ConfigError."""
    connector = aiohttp.TCPConnector(ssl=trusted(config))
    async with aiohttp.ClientSession(connector=connector, trust_env=False) as session:
        timeout = config.sentinel.timeout_seconds
        problems = [await _store(store, session, timeout) for store in config.store]
    right = f"configuration, {len(config.store)} store(s) and tokens are valid"
    return check_result("sentinel", filter(None, problems), right)


async def _store(store: StoreSection, session: aiohttp.ClientSession, timeout_seconds: float) -> str:
    """Return why the store cannot be read, in one line; empty if it can."""
    reader = StoreReader(store.url, store.token_file, session, timeout_seconds=timeout_seconds)
    now_ms = time.time_ns() // 1_000_000
    try:
        await reader.buckets()
        for interval in INTERVALS:
            candles.read(await reader.ask(candles.question(interval, now_ms)))
    except Unauthorized as error:
        return f"store {store.name}: store.token_file = {store.token_file}: {error}"
    except MarketDataError as error:
        return f"store {store.name}: store.url = {store.url}: {error}"
    return ""
