"""One run of the demo from start to check: starts the components, watches them, shows them, checks them."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp

from tools.demo import due, stack, summary
from tools.demo.check import check
from tools.demo.compare import BASE, LENGTH_MS
from tools.demo.display import Display
from tools.demo.exchange_truth import Exchange, ExchangeFailed
from tools.demo.folder import Folder
from tools.demo.metrics import Metrics, broken_laws, parse
from tools.demo.probe import Probe
from tools.demo.processes import Children
from tools.demo.run import Run
from tools.demo.settings import Settings
from tools.demo.store_truth import RAW, ROLLUP, Store, StoreFailed
from tools.demo.view import Reading, View

LIVE_WITHIN_SECONDS = 900.0
STATUS_EVERY_SECONDS = 1.0
STORE_EVERY_SECONDS = 10.0
FILL_EVERY_SECONDS = 2.0
"""How often the store is read while it is being filled, so that the first of everything is shown."""

PROBE_EVERY_SECONDS = 0.5
STEADY_AFTER_SECONDS = 300.0

_ERROR_LINE = re.compile(r"^(?:\S+ \S+ )?(?:ERROR|CRITICAL)\b|^Traceback ")


class CheckFailed(Exception):
    """The run cannot be checked, or did not get that far; the message says why."""


class Session:
    """Runs until cancelled, or with settings.seconds until the check is done; `work` then returns whether it passed."""

    def __init__(self, settings: Settings, folder: Folder, children: Children, display: Display, view: View) -> None:
        self._settings = settings
        self._folder = folder
        self._children = children
        self._display = display
        self._view = view

    async def work(self) -> bool:
        """Start, watch, and if requested check. Raises CannotStart, ChildDied, CheckFailed, alone or in a group."""
        async with asyncio.TaskGroup() as group, AsyncExitStack() as opened:
            tasks = [group.create_task(self._show())]
            run = await stack.start(self._settings, self._folder, self._children, self._tell)
            around = group.create_task(stack.start_around(run, self._folder, self._children, self._tell))
            store = await opened.enter_async_context(Store(run.influx_url, run.reader_token_file))
            exchange = await opened.enter_async_context(Exchange(run.rest_url, run.ca_file, run.truth_url))
            http = await opened.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)))
            await self._settle(exchange.time_ms, "the exchange")
            probe = Probe(store, exchange.now_ms)
            tasks += [
                group.create_task(self._read_status(http, run)),
                group.create_task(self._read_store(store, exchange, run)),
                group.create_task(self._read_probe(probe, exchange)),
                group.create_task(probe.run()),
            ]
            passed = await self._observe(run, around, store, exchange, http, probe)
            for task in tasks:
                task.cancel()
        return passed

    async def _observe(
        self,
        run: Run,
        around: asyncio.Task[Run],
        store: Store,
        exchange: Exchange,
        http: aiohttp.ClientSession,
        probe: Probe,
    ) -> bool:
        pairs_known_ms = await self._until_live()
        live_ms, live_at = _now_ms(), time.monotonic()
        run = replace(await around, pairs_known_ms=pairs_known_ms, live_ms=live_ms)
        self._view.run = run
        self._view.live_at = live_at
        self._view.phase = "live"
        run.save(self._folder.run_file)
        start = await self._metrics(http, run)
        probe.keep()
        await self._until(lambda: self._view.filled, self._view.not_filled)
        run = replace(run, filled_ms=_now_ms())
        run.save(self._folder.run_file)
        if self._settings.seconds is None:
            await asyncio.Event().wait()
        assert self._settings.seconds is not None
        steady = None
        if self._settings.seconds >= summary.STEADY_SECONDS:
            await asyncio.sleep(live_at + STEADY_AFTER_SECONDS - time.monotonic())
            steady = _process(await self._metrics(http, run))
        await asyncio.sleep(live_at + self._settings.seconds - time.monotonic())
        end = await self._metrics(http, run)
        figures = summary.Figures(
            live_seconds=time.monotonic() - live_at,
            closes_from_stream=_closes(end, "stream") - _closes(start, "stream"),
            closes_from_rest=_closes(end, "rest") - _closes(start, "rest"),
            delays_seconds=probe.kept(),
            broken_laws=broken_laws(end),
            errors_logged=[
                line for name in ("collector", "gateway") for line in logged_errors(self._folder.logs / f"{name}.log")
            ],
            start=_process(start),
            end=_process(end),
            steady=steady,
        )
        return await self._judge(run, store, exchange, figures)

    async def _judge(self, run: Run, store: Store, exchange: Exchange, figures: summary.Figures) -> bool:
        def progress(done: int, of: int) -> None:
            self._view.phase = f"checking, {done} of {of} pairs"

        def waiting(seconds: float) -> None:
            self._view.phase = f"checking; {seconds:.0f} s until the exchange's next minute of weight"

        exchange.weight_waited = waiting
        try:
            findings = await check(run, store, exchange, progress)
        except (StoreFailed, ExchangeFailed) as failed:
            raise CheckFailed(f"the check cannot be made: {failed}") from failed
        result = summary.summarize(findings, figures)
        summary.write(result, self._folder.summary_file)
        for line in summary.in_short(result):
            self._display.say_at_end(line)
        return bool(result["passed"])

    async def _until_live(self) -> int:
        """Wait until everything is live; return the time at which the pairs were known."""
        pairs_known_ms = 0

        def live() -> bool:
            nonlocal pairs_known_ms
            status = self._view.status
            if not pairs_known_ms and status is not None and status["pairs"]:
                pairs_known_ms = _now_ms()
                self._view.phase = "filling"
            return self._view.live

        await self._until(live, self._view.not_live)
        return pairs_known_ms

    async def _until(self, reached: Callable[[], bool], missing: Callable[[], str]) -> None:
        """Wait, but not forever if a check was requested. Raises CheckFailed."""
        deadline = time.monotonic() + LIVE_WITHIN_SECONDS
        while not reached():
            if self._settings.seconds is not None and time.monotonic() > deadline:
                raise CheckFailed(f"not live after {LIVE_WITHIN_SECONDS / 60:.0f} minutes: {missing()}")
            await asyncio.sleep(0.1)

    def _tell(self, part: str, state: str) -> None:
        self._view.parts[part] = state
        self._display.say(f"{part:<12} {state}")

    async def _read_status(self, http: aiohttp.ClientSession, run: Run) -> None:
        while True:
            try:
                async with http.get(f"{run.collector_url}/status") as answer:
                    answer.raise_for_status()
                    self._view.add(Reading(time.monotonic(), await answer.json()))
                    self._view.tell("status", "")
            except (aiohttp.ClientError, TimeoutError) as error:
                self._view.tell("status", f"the collector does not respond: {type(error).__name__} {error}")
            await asyncio.sleep(STATUS_EVERY_SECONDS)

    async def _read_store(self, store: Store, exchange: Exchange, run: Run) -> None:
        while True:
            self._view.candle_due_ms = due.last_due_open_ms(BASE, run, exchange.now_ms())
            try:
                self._view.candles = await store.newest(RAW, "ohlcv_3m", "close", "1h")
                for interval in list(LENGTH_MS)[1:]:
                    newest = await store.newest(ROLLUP, f"ohlcv_{interval}", "close", "4d")
                    if newest:
                        self._view.windows_ms[interval] = max(sample.time_ms for sample in newest.values())
            except StoreFailed as failed:
                self._view.tell("store", str(failed))
            else:
                self._view.tell("store", "")
            await asyncio.sleep(STORE_EVERY_SECONDS if self._view.filled else FILL_EVERY_SECONDS)

    async def _read_probe(self, probe: Probe, exchange: Exchange) -> None:
        while True:
            self._view.marks = dict(probe.newest)
            self._view.delays_seconds = probe.recent()
            self._view.now_ms = exchange.now_ms()
            self._view.tell("probe", probe.problem)
            await asyncio.sleep(PROBE_EVERY_SECONDS)

    async def _show(self) -> None:
        while True:
            self._display.show(self._view)
            await asyncio.sleep(self._display.every_seconds)

    async def _metrics(self, http: aiohttp.ClientSession, run: Run) -> Metrics:
        async def scrape() -> str:
            async with http.get(f"{run.collector_url}/metrics") as answer:
                answer.raise_for_status()
                return await answer.text()

        return parse(await self._settle(scrape, "the collector's /metrics"))

    @staticmethod
    async def _settle[T](ask: Callable[[], Awaitable[T]], what: str) -> T:
        for attempt in range(3):
            try:
                return await ask()
            except (aiohttp.ClientError, TimeoutError, ExchangeFailed) as error:
                problem: Any = error
            await asyncio.sleep(1 + attempt)
        raise CheckFailed(f"{what} does not respond: {problem}")


def logged_errors(log: Path) -> list[str]:
    """Return the lines of a log with level ERROR or higher, and those that start a traceback."""
    with log.open(encoding="utf-8", errors="replace") as lines:
        return [line.rstrip() for line in lines if _ERROR_LINE.match(line)]


def _closes(metrics: Metrics, origin: str) -> int:
    return int(metrics.total("marketdata_candles_final_total", origin=origin))


def _process(metrics: Metrics) -> summary.Process:
    return summary.Process(
        rss_bytes=int(metrics.total("process_resident_memory_bytes")),
        open_files=int(metrics.total("process_open_fds")),
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
