"""`collector check`: would `run` work? One line for each problem, exit code 2; writes no data.

Outdated but harmless settings (a pair that has been delisted) are lines that begin with `warning:`, not failures.
"""

import gzip
from collections.abc import AsyncIterator

import aiohttp
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from collector.config import Config, ExchangeSection, StoreSection, read_tokens
from collector.feed.connections import trusting
from collector.feed.known_pairs import KnownPairs, fits_one_of, without_gone
from collector.feed.unreadable import described
from collector.pipeline import client_of
from collector.store.query import StoreError, StoreReader
from collector.store.session import authorities, open_session
from collector.store.write import Retry, WriteClient, Written
from exchange.adapters import ADAPTERS
from exchange.errors import ExchangeError
from exchange.proxy import for_websockets, shown
from exchange.universe import UnknownPair, fits, select
from marketdata.schema import BUCKET_RAW, BUCKET_ROLLUP, BUCKET_SAMPLES, OHLCV_BASE
from service.command_line import WARNING, check_result
from service.config_file import ConfigError, read_token

NOTHING = gzip.compress(b"# collector check writes this comment only\n")
"""A body without points: InfluxDB checks token, permission and bucket, and stores nothing."""

STREAM_SECONDS = 10.0


async def run(config: Config) -> int:
    """Print the problems, or one line if there are none; return exit code 0 or 2."""
    problems = [problem async for problem in _exchange(config)]
    if streams := await _streams(config.exchange):
        problems.append(streams)
    try:
        async with open_session(config) as session:
            for store in config.store:
                problems += [problem async for problem in _store(store, session)]
    except ConfigError as error:
        problems.append(str(error))
    right = f"configuration, exchange, pairs, {len(config.store)} store(s) and tokens are right"
    return check_result("collector", problems, right)


def run_offline(config: Config) -> int:
    """Check only token files and certificate authorities; contact neither exchange nor stores. Raises ConfigError."""
    read_tokens(config)
    authorities(config)
    return check_result("collector", (), "configuration and token files are right; exchange and stores not checked")


async def _exchange(config: Config) -> AsyncIterator[str]:
    exchange = config.exchange
    known = KnownPairs(config.collector.state_dir).pairs
    try:
        async with client_of(exchange, exchange.weight_share_percent) as client:
            await client.server_time_ms()
            universe = (await client.listing()).universe
        pairs, gone = without_gone(universe, exchange.pairs, known)
        selection = select(universe, pairs, exchange.include, exchange.exclude, include_index=exchange.include_index)
    except ExchangeError as error:
        yield f"exchange.rest_url = {exchange.rest_url}: {error}"
        return
    except UnknownPair as error:
        yield f"exchange.pairs: {error}"
        return
    for pair in gone:
        yield f"{WARNING}exchange.pairs: {pair} is no longer at the exchange and not collected: remove it"
    if universe.invalid:
        yield f"{WARNING}exchange: unreadable symbols that may be ours, not collected: {described(universe.invalid)}"
    for info in selection.not_trading:
        yield f"{WARNING}exchange.pairs: {info.pair} does not trade ({info.status}) and is not collected until it does"
    for pattern in selection.unmatched:
        kind = WARNING if fits_one_of(pattern, known) else ""
        yield f"{kind}exchange: pattern {pattern!r} matches no pair: remove it from include or exclude"
    for pattern in exchange.major if "major" in exchange.model_fields_set else ():
        if not any(fits(info.pair, pattern) for info in selection.symbols):
            kind = WARNING if fits_one_of(pattern, known) else ""
            yield f"{kind}exchange.major: pattern {pattern!r} matches no collected pair: correct or remove it"
    if not selection.symbols:
        yield "exchange: no pair is left: extend pairs or include, or shorten exclude"


async def _streams(exchange: ExchangeSection) -> str:
    """Open a stream and close it; return, in one line, why none can be opened, or an empty text."""
    way = "" if exchange.proxy is None else f" through exchange.proxy = {shown(exchange.proxy)}"
    where = f"exchange.websocket_url = {exchange.websocket_url}{way}"
    address = ADAPTERS[exchange.id].stream_address(exchange.websocket_url)
    try:
        context = trusting(exchange.ca_file)
        async with connect(address, ssl=context, proxy=for_websockets(exchange.proxy), open_timeout=STREAM_SECONDS):
            return ""
    except (OSError, TimeoutError, WebSocketException) as error:
        cause = f": {error.__cause__}" if error.__cause__ else ""
        return f"{where}: cannot open a stream: {error or type(error).__name__}{cause}"


async def _store(store: StoreSection, session: aiohttp.ClientSession) -> AsyncIterator[str]:
    try:
        ingest_token, repair_token = read_token(store.ingest_token_file), read_token(store.repair_token_file)
    except ConfigError as error:
        yield f"store {store.name}: {error}"
        return
    client = WriteClient(store.url, store.org, lambda: ingest_token, session, timeout_seconds=10)
    for bucket in (BUCKET_RAW, BUCKET_ROLLUP, BUCKET_SAMPLES):
        outcome = await client.write(bucket, NOTHING)
        if isinstance(outcome, Retry):
            yield _write_problem(store, bucket, outcome)
            return
        if not isinstance(outcome, Written):
            yield f"store {store.name}: {store.url} rejects an empty write: {outcome.message}"
            return
    reader = StoreReader(store.url, store.org, lambda: repair_token, session)
    for bucket in (BUCKET_RAW, BUCKET_ROLLUP, BUCKET_SAMPLES):
        try:
            await reader.counts(bucket, OHLCV_BASE, "close", 0, 1)
        except StoreError as error:
            yield f"store {store.name}: {store.repair_token_file} cannot read {bucket}: {error}"
            return


def _write_problem(store: StoreSection, bucket: str, outcome: Retry) -> str:
    where = f"store {store.name}"
    token = store.ingest_token_file
    match outcome.reason:
        case "unauthorized":
            return f"{where}: InfluxDB does not know the token in {token}: write the right one into the file"
        case "forbidden":
            return f"{where}: the token in {token} may not write bucket {bucket}: use the collector's ingest token"
        case "not_found":
            return (
                f"{where}: bucket {bucket} of org {store.org} is unknown, or the token in {token} may not see it:"
                " provision the store (influx-reconcile) or correct store.org"
            )
        case "connection" | "timeout":
            return f"{where}: store.url = {store.url} does not respond: is InfluxDB running? {outcome.message}"
        case _:
            return f"{where}: {store.url}: {outcome.message}"
