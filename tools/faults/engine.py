"""Runs one row: starts its servers, runs its script, waits until everything due is stored, and compares."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tools.demo.compare import BASE, LENGTH_MS
from tools.demo.exchange_truth import ListedPair
from tools.demo.metrics import broken_laws
from tools.demo.processes import ChildDied, Children, tail
from tools.demo.servers import START_SECONDS, CannotStart, environment
from tools.demo.settings import ROOT
from tools.demo.store_truth import Store, StoreFailed
from tools.faults import limits
from tools.faults.judge import HOUR_MS, Judgement, Span, judge, missing
from tools.faults.row import LEAD_SECONDS, PATIENCE_SECONDS, PREPARED, Row
from tools.faults.settlements import judge_settlements
from tools.faults.world import TASK_OFFSET_SECONDS, CollectorServer, World, build, merged

SEED = 4
DAY_MS = 86_400_000
QUARTER_SECONDS = 900.0
CLOSE_DEADLINE_MS = 4_000
"""A close that is confirmed by REST is confirmed after this, so nothing is due earlier."""

SETTLED_AFTER_MS = 50_000
"""Settlements are fetched after 20 s, and again 30 s later."""

POLL_SECONDS = 1.0


@dataclass
class Result:
    """The result of a row. problems: one line each; a clean row has none."""

    row: Row
    judgement: Judgement = field(default_factory=Judgement)
    recovered_seconds: float | None = None
    counted: int = 0
    took_seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing is lost, duplicated, off the grid or wrong, both laws hold, and no limit was exceeded."""
        return not self.problems


def past_midnight_ms() -> int:
    """Return a UTC midnight at least a day ago, so that the servers' own tasks, by the wall clock, have no effect."""
    return (time.time_ns() // 1_000_000 - DAY_MS) // DAY_MS * DAY_MS


async def run(
    row: Row,
    folder: Path,
    influxd: Path,
    *,
    lead_seconds: float = LEAD_SECONDS,
    beside: Callable[[World], Coroutine[None, None, None]] | None = None,
    afterwards: Callable[[World], Awaitable[list[str]]] | None = None,
) -> Result:
    """Run a row in its own folder, which exists and is empty. Never raises because of the row's servers.

    `beside` runs in parallel and is cancelled at the end. `afterwards` inspects the servers after the comparison and
    returns problems.
    """
    started = time.monotonic()
    result = Result(row)
    logs = folder / "logs"
    logs.mkdir()
    children = Children(logs, ROOT, environment(os.environ))
    try:
        async with AsyncExitStack() as stack:
            world = await build(
                stack,
                folder,
                children,
                influxd=influxd,
                midnight_ms=past_midnight_ms(),
                lead_seconds=lead_seconds,
                pairs=row.pairs,
                seed=SEED,
                collectors=row.collectors,
                sections=row.config,
            )
            if beside is not None:
                stack.callback(asyncio.create_task(beside(world)).cancel)
            await _Run(row, world, result).run(stack)
            if afterwards is not None:
                result.problems += await afterwards(world)
            result.problems += limits.broken(await world.simulated.log())
            result.problems += world.problems
            result.notes = world.notes
    except (CannotStart, ChildDied, StoreFailed, OSError, RuntimeError) as error:
        result.problems.append(f"{type(error).__name__}: {error}")
    finally:
        await asyncio.to_thread(children.stop)
    result.took_seconds = time.monotonic() - started
    return result


class _Run:
    """A row in progress."""

    def __init__(self, row: Row, world: World, result: Result) -> None:
        self._row = row
        self._world = world
        self._result = result
        self._watched_ms = 0
        self._rolled_until_ms = 0
        self._pairs: list[ListedPair] = []

    async def run(self, stack: AsyncExitStack) -> None:
        world, row = self._world, self._row
        self._pairs = await world.simulated.listed()
        store = await stack.enter_async_context(Store(world.store.url, str(world.store.token_file("reader", "probe"))))
        for step in row.script:
            if step.at_seconds == PREPARED:
                await step.action(world)
        # The collector loads the pairs a few seconds from now; the fill covers candles that formed before that.
        self._watched_ms = world.simulated.now_ms()
        for collector in world.collectors:
            collector.start()
            await self._wait_for(collector)
        tasks = asyncio.create_task(self._run_tasks())
        stack.callback(tasks.cancel)
        for step in row.script:
            if step.at_seconds != PREPARED:
                await world.sleep_until(step.at_seconds)
                await step.action(world)
        await self._recover(store)
        await world.sleep_until(row.until_seconds)
        await tasks
        await self._settle()
        known = {pair.symbol for pair in self._pairs}
        self._pairs += [pair for pair in await world.simulated.listed() if pair.symbol not in known]
        self._result.judgement = await judge(store, world.simulated, self._pairs, self._span())
        if row.settlements:
            await self._judge_settlements(store)
        await self._find_problems()

    @staticmethod
    async def _wait_for(collector: CollectorServer) -> None:
        deadline = time.monotonic() + START_SECONDS
        while await collector.status() is None:
            if not collector.running or time.monotonic() > deadline:
                raise CannotStart(
                    f"{collector.name} does not start; the end of {collector.log}:\n{tail(collector.log)}"
                )
            await asyncio.sleep(POLL_SECONDS)

    async def _run_tasks(self) -> None:
        """Do what InfluxDB's scheduler does every quarter hour.

        A failed run is not made up for: its windows are due when the next run has finished.
        """
        world = self._world
        at_seconds = TASK_OFFSET_SECONDS
        while at_seconds < self._row.until_seconds:
            await world.sleep_until(at_seconds)
            try:
                await world.store.run_tasks(world.simulated.now_ms())
                self._rolled_until_ms = world.midnight_ms + int((at_seconds - TASK_OFFSET_SECONDS) * 1000)
            except (OSError, RuntimeError) as error:
                world.notes.append(f"the tasks did not run: {error}")
            at_seconds += QUARTER_SECONDS

    async def _recover(self, store: Store) -> None:
        """Measure the time from the last step until every candle that was due then is stored."""
        world = self._world
        await world.sleep_until(self._row.healed_seconds)
        healed_ms = world.simulated.now_ms()
        last_ms = self._last_due_open_ms(healed_ms)
        first_ms = self._filled_from_ms()
        deadline_ms = healed_ms + int(self._row.within_seconds * 1000)
        lacking = None
        while lacking is None or (lacking and world.simulated.now_ms() < deadline_ms):
            try:
                lacking = await missing(store, world.simulated, self._pairs, first_ms, last_ms)
            except StoreFailed:
                lacking = None
            if lacking is None or lacking:
                await asyncio.sleep(POLL_SECONDS)
        if not lacking:
            self._result.recovered_seconds = (world.simulated.now_ms() - healed_ms) / 1000

    async def _settle(self) -> None:
        """Wait until no collector has points on their way or dirty windows."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if all([await self._at_rest(index) for index in range(len(self._world.collectors))]):
                return
            await asyncio.sleep(POLL_SECONDS)
        self._result.problems.append("a collector has points on their way, or dirty windows, and does not finish")

    async def _at_rest(self, index: int) -> bool:
        collector = self._world.collectors[index]
        status = await collector.status()
        if status is None:
            return not collector.running
        stores = status["stores"].values()
        # Samples arrive all the time and are not compared: only what waits for long counts.
        return bool(status["fill"]["stage"] == "done") and all(
            not store["rollup_windows_dirty"] and store["spool_files"] <= 2 for store in stores
        )

    def _filled_from_ms(self) -> int:
        hours = merged({"fill": {"hours": 49}}, self._row.config)["fill"]["hours"]
        assert isinstance(hours, int)
        return _floor(self._watched_ms, BASE) - hours * HOUR_MS

    def _last_due_open_ms(self, now_ms: int) -> int:
        return _floor(now_ms - CLOSE_DEADLINE_MS, BASE) - LENGTH_MS[BASE]

    def _span(self) -> Span:
        windows = merged({"fill": {"rollup_windows": 20}}, self._row.config)["fill"]["rollup_windows"]
        assert isinstance(windows, int)
        until_ms = self._world.midnight_ms + int(self._row.until_seconds * 1000)
        return Span(
            first_ms=self._filled_from_ms(),
            last_ms=self._last_due_open_ms(until_ms - 30_000),
            rolled_until_ms=self._rolled_until_ms,
            fetched_until_ms=self._watched_ms,
            fetched_windows=windows,
        )

    async def _judge_settlements(self, store: Store) -> None:
        """The history is checked some time after a start: lost settlements may still be on their way."""
        span, deadline = self._settled_span(), time.monotonic() + PATIENCE_SECONDS
        while True:
            found = await judge_settlements(store, self._world.simulated, self._pairs, *span)
            if not found.lost or time.monotonic() > deadline:
                break
            await asyncio.sleep(POLL_SECONDS)
        self._world.notes.append(f"{found.expected} settlements compared")
        self._result.judgement.add_settlements(found)

    def _settled_span(self) -> tuple[int, int]:
        """Return the funding times to compare: the history the collectors keep, if settled some time ago."""
        days = merged({"funding": {"history_days": 30}}, self._row.config)["funding"]["history_days"]
        assert isinstance(days, int)
        until_ms = self._world.midnight_ms + int(self._row.until_seconds * 1000)
        return self._world.simulated.now_ms() - days * DAY_MS, until_ms - SETTLED_AFTER_MS

    async def _find_problems(self) -> None:
        judgement, problems = self._result.judgement, self._result.problems
        for name in ("doubled", "off_grid", "wrong", "windows_wrong"):
            if value := getattr(judgement, name):
                problems.append(f"{name} {value}: {'; '.join(judgement.examples[:2])}")
        for collector in self._world.collectors:
            await self._look_at(collector.name)
        self._judge_loss()
        if not self._rolled_until_ms:
            problems.append("the roll-up tasks never ran: no window was compared")
        if self._result.recovered_seconds is None:
            problems.append(f"not recovered within {self._row.within_seconds:.0f} s")
        problems += [f"exit code {code} after SIGTERM" for c in self._world.collectors for code in c.exit_codes if code]

    async def _look_at(self, name: str) -> None:
        collector = next(item for item in self._world.collectors if item.name == name)
        metrics = await collector.metrics()
        if metrics is None:
            self._result.problems.append(f"{name} does not respond at the end: see {collector.log}")
            return
        self._result.problems += [f"{name}: {line}" for line in broken_laws(metrics)]
        self._result.counted += int(metrics.total("marketdata_points_dropped_total"))
        if "Traceback" in collector.log.read_text(encoding="utf-8", errors="replace"):
            self._result.problems.append(f"{name} printed a traceback: see {collector.log}")

    def _judge_loss(self) -> None:
        lost, counted = self._result.judgement.lost, self._result.counted
        if lost and not (self._row.counted_loss and lost <= counted):
            examples = "; ".join(self._result.judgement.examples[:2])
            self._result.problems.append(f"lost {lost}, of which the collector counted {counted}: {examples}")


def _floor(time_ms: int, interval: str) -> int:
    return time_ms // LENGTH_MS[interval] * LENGTH_MS[interval]
