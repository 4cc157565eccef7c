"""`gateway check`: would `run` serve? One line for each problem, exit code 2; it only reads."""

import aiohttp

from exchange.binance.requests import BinanceClient
from exchange.budget import Budget
from exchange.errors import ExchangeError
from gateway.config import CollectorSection, Config, StoreSection, read_tokens
from gateway.memory import stream_lines
from gateway.memory.stream_lines import Hello, MalformedLine
from marketdata.errors import MarketDataError
from marketdata.reader import AsyncMarketData
from marketdata.schema import EXCHANGE
from service.command_line import check_result

SECONDS = 5.0


async def run(config: Config) -> int:
    """Print each problem, or one line if there is none; exit code 0 or 2. Raises ConfigError."""
    read_tokens(config)
    async with aiohttp.ClientSession(trust_env=False) as session:
        problems = [await _collector(collector, session) for collector in config.collector]
    problems += [await _store(store) for store in config.store]
    problems.append(await _exchange(config))
    parts = f"{len(config.collector)} collector(s), {len(config.store)} store(s)"
    return check_result("gateway", filter(None, problems), f"configuration, tokens, {parts} and exchange are right")


async def _collector(collector: CollectorSection, session: aiohttp.ClientSession) -> str:
    """Return why a collector cannot be read, in one line; empty if it can."""
    key = f"collector {collector.name}: collector.url = {collector.url}"
    try:
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        async with session.get(f"{collector.url}/stream", timeout=timeout, allow_redirects=False) as response:
            if response.status != 200:
                return f"{key}: /stream returned {response.status}: is this a collector, and has it started?"
            line = stream_lines.parse(await response.content.readline())
    except MalformedLine as error:
        return f"{key}: {error}"
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        return f"{key}: cannot be read: {error or type(error).__name__}"
    if not isinstance(line, Hello) or line.protocol != stream_lines.PROTOCOL:
        return f"{key}: uses another protocol than {stream_lines.PROTOCOL}: bring both to the same release"
    if line.exchange != EXCHANGE:
        return f"{key}: collects {line.exchange}, but this gateway serves {EXCHANGE}: name only collectors of that"
    return ""


async def _store(store: StoreSection) -> str:
    try:
        async with AsyncMarketData(store.opened(), timeout_seconds=SECONDS) as reader:
            await reader.pairs()
    except MarketDataError as error:
        return f"store {store.name}: {error}"
    return ""


async def _exchange(config: Config) -> str:
    exchange = config.exchange
    try:
        client = BinanceClient(
            exchange.rest_url,
            Budget(exchange.weight_share_percent),
            ca_file=exchange.ca_file,
            proxy=exchange.proxy,
            timeout_seconds=SECONDS,
            patience_seconds=0,
        )
        async with client:
            await client.server_time_ms()
    except ExchangeError as error:
        return f"exchange.rest_url = {exchange.rest_url}: {error}"
    return ""
