"""Generates the tables of docs/metrics.md from the code that exports the metrics. The text around them is manual.

python -m tools.generate.metrics_docs           writes them
python -m tools.generate.metrics_docs --check   exit code 1 if they do not match the code
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import aiohttp
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric

from collector.model.clock import ExchangeClock
from collector.observe.metrics import Histograms, Parts
from collector.observe.metrics.exposition import SECTIONS as COLLECTOR_SECTIONS
from collector.publish.stream import Stream
from collector.store.write import Written
from exchange.binance.requests import BinanceClient
from exchange.budget import Budget
from exchange.events import MarkPrice
from gateway.intake.stream import CollectorStream
from gateway.memory.memory import Memory
from gateway.observe.metrics import Exposition as GatewayExposition
from gateway.observe.metrics import HeldRequests
from gateway.observe.metrics import Parts as GatewayParts
from gateway.past.fetched import Fetched, Once
from gateway.past.stored import Stored
from gateway.upstream.upstream import Upstream
from gateway.web import Web
from influx.backup.metrics import METRICS as BACKUP_METRICS
from marketdata.reader import AsyncMarketData
from marketdata.schema import EXCHANGE
from marketdata.stores import Store
from marketdata.timeframes import BASE_MS
from sentinel import store as sentinel_store
from sentinel.metrics import SECTIONS as SENTINEL_SECTIONS
from sentinel.watch import StoreWatch
from tools.generate.at_rest import NOWHERE, pipeline_at_rest

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "metrics.md"

DISTRIBUTIONS = "Distributions"
BACKUP = "Backup"
HEADER = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
GATEWAY_REQUESTS = "Gateway: requests"
GATEWAY = "Gateway: what it answers from"
PAIR = "BTC/USDT:USDT"


class PageError(Exception):
    """The page has no place for a table, or a place without a table; the message names it."""


async def sections() -> dict[str, list[Metric]]:
    """Return every metric of every service by heading. Each has a sample that shows its labels."""
    with tempfile.TemporaryDirectory() as folder:
        async with aiohttp.ClientSession() as session:
            registry = CollectorRegistry()
            parts = _parts(Path(folder), Histograms(registry, EXCHANGE), session)
            watch = _watch(session)
            found = {DISTRIBUTIONS: list(registry.collect())}
            for title, readings in COLLECTOR_SECTIONS.items():
                found[title] = [family for reading in readings for family in reading(parts)]
            for title, reading in SENTINEL_SECTIONS.items():
                found[title] = list(reading([watch]))
            found[GATEWAY_REQUESTS], found[GATEWAY] = await _gateway(session)
            found[BACKUP] = [_backup(name, meaning) for name, meaning in BACKUP_METRICS.items()]
            parts.pipeline.spool.close()
    return found


def table(families: Iterable[Metric]) -> list[str]:
    """Return the lines of a table. Raises ValueError for a metric without a sample, whose labels are unknown."""
    lines = list(HEADER)
    for family in families:
        if not family.samples:
            raise ValueError(f"{family.name} has no sample: add one in tools/generate/metrics_docs.py")
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = dict.fromkeys(label for sample in family.samples for label in sample.labels if label != "le")
        lines.append(f"| `{name}` | {family.type} | {', '.join(labels)} | {family.documentation} |")
    return lines


def rendered(page: str, tables: Mapping[str, list[str]]) -> str:
    """Return the page with the tables replaced. Raises PageError if headings and tables do not match."""
    lines: list[str] = []
    left = dict(tables)
    title = ""
    for line in page.splitlines():
        if line.startswith("#"):
            title = line.lstrip("# ")
        if line == HEADER[0]:
            if title not in left:
                raise PageError(f"{PAGE.name}: the code has no metrics for a table under {title!r}")
            lines += left.pop(title)
        elif not line.startswith("|") or title not in tables:
            lines.append(line)
    if left:
        raise PageError(f"{PAGE.name}: put {HEADER[0]!r} under the heading {next(iter(left))!r}")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the page, or compare it."""
    parser = argparse.ArgumentParser(prog="python -m tools.generate.metrics_docs", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare and write nothing")
    check = parser.parse_args().check
    page = PAGE.read_text(encoding="utf-8")
    tables = {title: table(families) for title, families in asyncio.run(sections()).items()}
    try:
        wanted = rendered(page, tables)
    except PageError as error:
        print(error, file=sys.stderr)
        return 1
    if page == wanted:
        print(f"{PAGE.name} matches the code")
        return 0
    if check:
        print(f"{PAGE.name} does not match the code: run python -m tools.generate.metrics_docs", file=sys.stderr)
        return 1
    PAGE.write_text(wanted, encoding="utf-8")
    print(f"{PAGE.name} written")
    return 0


def _parts(folder: Path, histograms: Histograms, session: aiohttp.ClientSession) -> Parts:
    """Return a collector with one pair and one store, at rest."""
    histograms.observe_write("main", Written(), 0.01)
    clock = ExchangeClock(time.monotonic_ns)
    clock.observe(time.time_ns() // 1_000_000)
    pipeline = pipeline_at_rest(folder, session, clock, observe_receive=histograms.observe_receive)
    pipeline.ingest.watch(PAIR, clock.now_ms() // BASE_MS * BASE_MS)
    mark_price = MarkPrice(PAIR, clock.now_ms(), "1", "1", "0.0001", clock.now_ms() + 3_600_000)
    pipeline.ingest.on_mark_price(mark_price, time.time())
    return Parts(BinanceClient(NOWHERE, Budget()), pipeline, Stream("", "", clock))


def _watch(session: aiohttp.ClientSession) -> StoreWatch:
    """Return a sentinel that has seen one candle."""
    reader = sentinel_store.StoreReader(NOWHERE, PAGE, session, timeout_seconds=1)
    watch = StoreWatch("main", reader, wall_seconds=time.time)
    watch.ends_ms = {"3m": {(EXCHANGE, PAIR): 0}}
    watch.missing = {"3m": {EXCHANGE: 0}}
    watch.query_seconds = {"3m": 0.0}
    watch.buckets = {"0123456789abcdef": "market_data"}
    return watch


async def _gateway(session: aiohttp.ClientSession) -> tuple[list[Metric], list[Metric]]:
    """Return a gateway that has answered one request and has one pair."""
    registry = CollectorRegistry()
    web = Web({}, registry, not_ready=list, used_weight=lambda: 0)
    web.requests.labels("other", 404)
    web.bot_requests.labels("a")
    web.seconds.labels("other")
    web.weight.labels("other")
    HeldRequests(registry)
    client = BinanceClient(NOWHERE, Budget())
    client.budget.clock.observe(time.time_ns() // 1_000_000)
    memory = Memory(client.budget.clock)
    memory.adopt("BTCUSDT", PAIR, client.budget.clock.now_ms()).event_ms = client.budget.clock.now_ms()
    async with AsyncMarketData(Store(NOWHERE, token_file=PAGE)) as market:
        parts = GatewayParts(
            memory,
            {"collector-1": CollectorStream("collector-1", NOWHERE, memory, session)},
            Stored(market),
            Fetched(memory, client, Once()),
            Upstream(client),
            client,
            list,
        )
        return list(registry.collect()), list(GatewayExposition(parts).collect())


def _backup(name: str, meaning: str) -> Metric:
    family = GaugeMetricFamily(name, meaning, labels=["bucket"])
    family.add_metric(["market_data"], 0)
    return family


if __name__ == "__main__":
    sys.exit(main())
