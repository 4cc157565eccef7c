"""The check: every candle of every eligible pair, stored and served, compared with the exchange by plain readers."""

import asyncio
from collections.abc import Callable, Sequence

from tools.demo import due
from tools.demo.compare import BASE, LENGTH_MS, Verdict, compare
from tools.demo.exchange_truth import Exchange, ExchangeFailed, ListedPair
from tools.demo.gateway_truth import Gateway, served_wrong
from tools.demo.run import Run
from tools.demo.store_truth import RAW, SAMPLES, TAGS, Store, StoreFailed
from tools.demo.summary import Findings

PAIRS_AT_ONCE = 8


async def check(run: Run, store: Store, exchange: Exchange, progress: Callable[[int, int], None]) -> Findings:
    """Compare everything that is due now. Raises StoreFailed or ExchangeFailed if one of them cannot be read."""
    now_ms = await exchange.time_ms()
    findings = Findings(verdicts={interval: Verdict() for interval in LENGTH_MS})
    # A pair listed after the collector loaded the pairs is not checked yet.
    pairs = [pair for pair in await exchange.pairs() if pair.listed_ms < run.collector_started_ms]
    findings.pairs = len(pairs)
    findings.stale = await _stale(pairs, run, store, now_ms)
    for interval in LENGTH_MS:
        findings.failures += odd_series(interval, pairs, await store.series(interval))
    slots = asyncio.Semaphore(PAIRS_AT_ONCE)
    done = 0

    async def check_one(pair: ListedPair) -> None:
        nonlocal done
        async with slots:
            await _check_pair(pair, run, store, exchange, gateway, now_ms, findings)
        done += 1
        progress(done, len(pairs))

    async with Gateway(run.gateway_url) as gateway:
        try:
            async with asyncio.TaskGroup() as group:
                for pair in pairs:
                    group.create_task(check_one(pair))
        except* (StoreFailed, ExchangeFailed) as failed:
            raise failed.exceptions[0] from None
    return findings


async def _check_pair(
    pair: ListedPair, run: Run, store: Store, exchange: Exchange, gateway: Gateway, now_ms: int, findings: Findings
) -> None:
    for interval, total in findings.verdicts.items():
        stored = await store.candles(pair.pair, interval)
        last_ms = due.last_due_open_ms(interval, run, now_ms)
        first_ms = max(due.first_due_open_ms(interval, run, last_ms), _floor(pair.listed_ms, interval))
        truth = await exchange.candles(pair.symbol, interval, first_ms, last_ms)
        if interval == BASE:
            served = await gateway.candles(pair.symbol)
            findings.served += len(served.keys() & truth.keys())
            findings.failures += served_wrong(pair.pair, served, truth)
        verdict = compare(
            interval,
            pair.pair,
            stored.rows,
            truth,
            quantity_precision=pair.quantity_precision,
            rolled_from_ms=due.rolled_from_ms(pair.listed_ms, run),
        )
        total.add(verdict)
        if stored.doubled:
            findings.failures.append(f"{pair.pair} {interval}: {stored.doubled} candles are stored twice")
        if interval == "1d" and not verdict.compared and due.must_have_a_day(pair.listed_ms, run):
            findings.failures.append(f"{pair.pair}: no day was rolled up from its candles")


async def _stale(pairs: Sequence[ListedPair], run: Run, store: Store, now_ms: int) -> list[str]:
    """Return the pairs whose newest due candle, or a mark price within the last minute, is not in the store."""
    candles = await store.newest(RAW, "ohlcv_3m", "close", "1h")
    marks = await store.newest(SAMPLES, "mark_price", "mark", "10m")
    due_ms = due.last_due_open_ms("3m", run, now_ms)
    return [
        pair.pair
        for pair in pairs
        if pair.pair not in candles
        or candles[pair.pair].time_ms < due_ms
        or pair.pair not in marks
        or marks[pair.pair].time_ms < now_ms - due.STALE_MS
    ]


def odd_series(interval: str, pairs: Sequence[ListedPair], series: Sequence[dict[str, str]]) -> list[str]:
    """Describe series that should not exist.

    Each pair has one series, with exactly the tags of the schema; otherwise a candle could be stored twice.
    """
    eligible = {pair.pair for pair in pairs}
    failures = []
    seen: set[str] = set()
    for tags in series:
        pair = tags.get("pair", "")
        if tuple(sorted(tags)) != TAGS:
            failures.append(f"ohlcv_{interval}: a series has the tags {', '.join(sorted(tags))}")
        elif pair in seen:
            failures.append(f"ohlcv_{interval}: {pair} has more than one series")
        elif pair not in eligible:
            failures.append(f"ohlcv_{interval}: {pair} is stored, the exchange does not list it as eligible")
        seen.add(pair)
    return failures


def _floor(time_ms: int, interval: str) -> int:
    return time_ms // LENGTH_MS[interval] * LENGTH_MS[interval]
