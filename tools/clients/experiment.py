"""Measures a fleet of bots on one gateway; these are the steps of `python -m tools.clients`."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.clients import fleet, scripts, truth
from tools.clients.config import STATIC, healthy_pairlists
from tools.clients.downloads import Comparison, Downloaded, download
from tools.clients.fleet import Bot, Report
from tools.clients.stack import Stack
from tools.demo.compare import LENGTH_MS, Row
from tools.demo.metrics import Metrics
from tools.demo.processes import ChildDied, Children

DAY_MS = 86_400_000
TIMEFRAMES = ("3m", "1h")
BACKFILL_SHARE_PERCENT = 60
STARTS_AT_ONCE = 2
AFTER_CLOSE_MS = 40_000
"""A close counts once the bots have had time to get it and its truth is settled."""

REFRESHES_MS = 60_000
"""Upper bound for the refreshes of `Experiment.refreshes`: some 13 s each at the exchange, 1.5 s at the gateway."""

EXCHANGE_REQUESTS = "marketdata_gateway_exchange_requests_total"
STORED_ROUTES = ("/fapi/v1/klines", "/fapi/v1/markPriceKlines", "/fapi/v1/fundingRate", "/fapi/v1/exchangeInfo")
EXCHANGE_WEIGHT = "marketdata_gateway_exchange_weight_total"
HELD_WITHIN, HELD_COUNT = "marketdata_gateway_held_seconds_bucket", "marketdata_gateway_held_seconds_count"
HELD_LIMITS = ("1.0", "2.0", "3.0", "4.0", "5.0", "+Inf")

LATE_MS, LATE_SHARE, MISSING_SHARE = 3_000, 0.3, 0.05


@dataclass(frozen=True)
class Spent:
    """The gateway's requests to the exchange, and their weight, by route."""

    requests: Mapping[str, float]
    weight: Mapping[str, float]

    def of(self, routes: Sequence[str]) -> "Spent":
        """Return only these routes."""
        return Spent(_chosen(self.requests, routes), _chosen(self.weight, routes))

    def since(self, before: "Spent") -> "Spent":
        """Return the increase; routes without requests are left out."""
        return Spent(_added(before.requests, self.requests), _added(before.weight, self.weight))


@dataclass(frozen=True)
class Held:
    """Requests that the gateway held at a close. within: those that got the candle, by upper bound in seconds."""

    within: Mapping[str, float]
    without: float

    def since(self, before: "Held") -> "Held":
        """Return the increase."""
        return Held(
            {limit: count - before.within.get(limit, 0.0) for limit, count in self.within.items()},
            self.without - before.without,
        )

    def __str__(self) -> str:
        steps = ", ".join(f"{count:.0f} <= {limit} s" for limit, count in self.within.items())
        return f"{steps}; without the candle {self.without:.0f}"


@dataclass
class Experiment:
    """The servers, and the folder for the bots' files."""

    stack: Stack
    children: Children
    interpreter: Path
    folder: Path
    say: Callable[[str], None]

    async def refreshes(self, pairs: list[str], times: int = 3) -> tuple[list[float], list[float]]:
        """Return the seconds of freqtrade's refresh at the exchange, through ccxt's throttle, and at the gateway.

        Starts when no candle will close meanwhile: the gateway would hold requests until the close is known.
        """
        await self._between_closes(REFRESHES_MS)
        direct = await scripts.refresh_seconds(
            self.interpreter, self.stack.exchange, pairs, self.folder / "refresh-exchange", times=times
        )
        served = await scripts.refresh_seconds(
            self.interpreter, self.stack.served, pairs, self.folder / "refresh-gateway", times=times
        )
        return direct, served

    async def backfill(self, pairs: list[str], days: int) -> None:
        """Backfill this many days. Raises ChildDied."""
        from_ms = self.stack.simulated.now_ms() // DAY_MS * DAY_MS - days * DAY_MS
        await self.stack.collector.backfill(from_ms, pairs, BACKFILL_SHARE_PERCENT)

    async def download(self, name: str, pairs: list[str], days: int) -> tuple[Downloaded, dict[str, Comparison], Spent]:
        """Download as the bot `name`; return the comparison by kind, and the gateway's requests to the exchange for it.

        freqtrade first requests the oldest candle of each pair and timeframe (startTime=0). If that is older than the
        store, the gateway asks the exchange, once for all bots.
        """
        before = await self.spent()
        folder = self.folder / name
        downloaded = await download(
            self.children, self.interpreter, self.stack.served, pairs, folder, days=days, timeframes=TIMEFRAMES
        )
        spent = (await self.spent()).since(before).of(STORED_ROUTES)
        symbols = {pair: self.stack.symbols[pair] for pair in pairs}
        compared = await truth.compare_download(
            self.stack.simulated, downloaded, symbols, days=days, timeframes=TIMEFRAMES
        )
        return downloaded, compared, spent

    async def disturb(self, late_ms: int = LATE_MS, missing_share: float = MISSING_SHARE) -> None:
        """Make closing frames late, and some missing; 0 turns it off.

        A late one comes after the next candle's first frames: a bot that takes a newer candle as proof of the one
        before would trade on a candle that is not final.
        """
        fault = self.stack.simulated.fault
        if late_ms:
            await fault("late_close", interval=fleet.BASE, delay_ms=late_ms, share=LATE_SHARE)
        if missing_share:
            await fault("missing_close", interval=fleet.BASE, share=missing_share)

    async def start_bots(self, pairs: list[str], count: int) -> list[Bot]:
        """Start bots, a few at a time, and wait for the first loop of each. The second one uses the pair list."""
        bots: list[Bot] = []
        for first in range(0, count, STARTS_AT_ONCE):
            bots += [self.start_bot(pairs, number) for number in range(first, min(first + STARTS_AT_ONCE, count))]
            await fleet.first_loops(bots)
        return bots

    def start_bot(self, pairs: list[str], number: int) -> Bot:
        """Start one without waiting for it; number 1 uses the pair list."""
        lists = healthy_pairlists(self.stack.served, len(pairs)) if number == 1 else STATIC
        folder = self.folder / f"bot-{number + 1:02d}"
        return fleet.start_bot(self.children, self.interpreter, self.stack.served, pairs, folder, pairlists=lists)

    async def run_bots(self, bots: list[Bot], seconds: float) -> None:
        """Let them run. Raises ChildDied if one exits."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for bot in bots:
                if bot.child.ended:
                    raise ChildDied(bot.child.obituary())
            await asyncio.sleep(1)

    async def _between_closes(self, needed_ms: int) -> None:
        length_ms = LENGTH_MS[fleet.BASE]
        since_close_ms = self.stack.simulated.now_ms() % length_ms
        if not AFTER_CLOSE_MS <= since_close_ms <= length_ms - needed_ms:
            await asyncio.sleep((AFTER_CLOSE_MS - since_close_ms) % length_ms / 1000)

    async def run_over_closes(self, bots: list[Bot], closes: int) -> None:
        """Let them run until this many candles have closed since the first loop of each, and a little longer.

        Raises BotTrouble if one has no first loop, ChildDied if one exits.
        """
        await fleet.first_loops(bots)
        began_ms, length_ms = max(bot.witnessed().loops[0] for bot in bots), LENGTH_MS[fleet.BASE]
        until_ms = (began_ms // length_ms + closes) * length_ms + AFTER_CLOSE_MS
        await self.run_bots(bots, (until_ms - self.stack.simulated.now_ms()) / 1000)

    async def report(self, bots: list[Bot]) -> Report:
        """Compare their candles with the exchange's truth."""

        async def true(pair: str, timeframe: str, first_ms: int, last_ms: int) -> Mapping[int, Row]:
            symbol = self.stack.symbols[pair]
            return await self.stack.simulated.candles(symbol, timeframe, first_ms, last_ms)

        return await fleet.report(bots, true)

    async def spent(self) -> Spent:
        """Return the gateway's requests to the exchange so far."""
        metrics = await self.stack.gateway.metrics()
        return Spent(_by_route(metrics, EXCHANGE_REQUESTS), _by_route(metrics, EXCHANGE_WEIGHT))

    async def held(self) -> Held:
        """Return how long requests were held so far."""
        metrics = await self.stack.gateway.metrics()
        limits = {limit: metrics.total(HELD_WITHIN, le=limit, final="true") for limit in HELD_LIMITS}
        return Held(limits, metrics.total(HELD_COUNT, final="false"))


def _by_route(metrics: Metrics, name: str) -> dict[str, float]:
    return {route: metrics.total(name, route=route) for route in sorted(metrics.values_of(name, "route"))}


def _chosen(values: Mapping[str, float], routes: Sequence[str]) -> dict[str, float]:
    return {route: value for route, value in values.items() if route in routes}


def _added(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    return {route: value - before.get(route, 0.0) for route, value in after.items() if value > before.get(route, 0.0)}
