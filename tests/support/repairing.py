"""A collector's repair on plain values: a process as app.py builds it, its disk, its stores and its exchange.

Everything is the product's own but for the exchange, the stores and the writer, which here keeps lists. What a process
knows dies with it; spool, state folder and stores do not. `World` checks what must be true of every line written.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from collector.delivery.quarantine import Quarantine
from collector.delivery.rejected import Rejected
from collector.ingest.confirm import Confirmer
from collector.ingest.history import History
from collector.ingest.ingest import Ingest, forming_open_ms
from collector.model.clock import ExchangeClock
from collector.repair.contracts import Contracts
from collector.repair.coverage import Coverage
from collector.repair.elsewhere import Elsewhere
from collector.repair.fill import Fill
from collector.repair.ledger import windows_with_holes
from collector.repair.repair import StoreRepair
from collector.repair.repairer import Repairer
from collector.repair.windows import OwnWindows
from collector.store.dirty import DirtyWindows
from collector.store.rollups import RollupRepairer
from exchange.budget import Priority
from exchange.events import CANDLE_MS
from exchange.universe import Instrument
from marketdata.schema import GAPS, OHLCV_BASE, ROLLUP_TIMEFRAMES
from marketdata.timeframes import timeframe_ms
from tests.support.markets import (
    LATENCY_SECONDS,
    Exchange,
    Store,
    candles_of,
    gap_of,
    numbers_of,
    true_fields,
    true_frame,
)
from tests.support.virtual_time import VirtualLoop, elapse

HOUR_MS = 3_600_000
START_MS = 1_790_000_000_000 // (24 * HOUR_MS) * 24 * HOUR_MS + 7 * HOUR_MS + 30_000
FILL_MS = 2 * HOUR_MS
OWN_WINDOWS = 4
PUMP_SECONDS = 0.2
RETRY_SECONDS = 5.0
AT_ONCE_SECONDS = 100.0
"""What an answer says is noted before this; a store that takes nothing is waited for in between."""

PAIRS = {"BTC/USDT:USDT": "BTCUSDT", "ETH/USDT:USDT": "ETHUSDT"}
FIRST, SECOND = PAIRS

type Parcel = tuple[int, str, list[str]]
"""(sequence, bucket, lines): a file of the spool."""


def symbol(pair: str, onboard_ms: int) -> Instrument:
    """A symbol whose first candle is not known yet."""
    base = pair.split("/", maxsplit=1)[0]
    return Instrument(PAIRS[pair], pair, base, "USDT", "coin", "trading", "TRADING", "", 1, 0, onboard_ms, onboard_ms)


class Disk:
    """What outlives a process: the state folder, and a spool for each store."""

    def __init__(self, folder: Path, stores: Iterable[Store]) -> None:
        self.folder = folder
        self.spools: dict[str, list[Parcel]] = {store.name: [] for store in stores}
        self.came = asyncio.Event()
        self.left = asyncio.Event()
        """Whoever waits hears when something came into a spool, or left one."""

        self.sequence = 0

    def put(self, bucket: str, lines: list[str]) -> None:
        """Keep lines for every store."""
        self.sequence += 1
        for spool in self.spools.values():
            spool.append((self.sequence, bucket, lines))
        self.came.set()
        self.came.clear()

    def leave(self, store: str, count: int = 1) -> None:
        """The oldest files of a store are delivered, or given up."""
        del self.spools[store][:count]
        self.left.set()
        self.left.clear()


class Outbox:
    """In the writer's place: a queue that reaches the disk a moment later, unless the process ends before."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._queue: dict[str, list[str]] = defaultdict(list)

    @property
    def queue_free(self) -> int:
        return 10_000

    def put_nowait(self, bucket: str, line: str) -> bool:
        self._world.judge(line)
        if not self._queue:
            self._world.loop.call_later(PUMP_SECONDS, self._pump)
        self._queue[bucket].append(line)
        return True

    async def flush(self) -> None:
        self._pump()

    async def drained(self, store: str) -> None:
        spool, newest = self._world.disk.spools[store], self._world.disk.sequence
        while spool and spool[0][0] <= newest:
            await self._world.disk.left.wait()

    def lose(self) -> None:
        """The process ends: what is in the queue is gone."""
        self._queue.clear()

    def _pump(self) -> None:
        for bucket, lines in self._queue.items():
            self._world.disk.put(bucket, lines)
        self._queue = defaultdict(list)


class Firsts:
    """In the place of `FirstCandles`: asks until the exchange answers."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._first_ms: dict[str, int] = {}

    def known(self, info: Instrument) -> bool:
        return info.symbol in self._first_ms

    async def find_all(self, infos: Iterable[Instrument]) -> list[Instrument]:
        for info in infos:
            if not self.known(info):
                await self._exchange.klines(info.symbol, "3m", limit=1, start_ms=0, priority=Priority.HISTORY)
                self._first_ms[info.symbol] = self._exchange.first_ms[info.symbol]
        return [replace(info, begins_ms=self._first_ms[info.symbol]) for info in infos]


class Process:
    """One run of the collector, with what of it concerns candles."""

    def __init__(self, world: "World") -> None:
        loop, exchange = world.loop, world.exchange
        self._world = world
        self.clock = ExchangeClock(lambda: round(loop.time() * 1e9))
        self.clock.observe(exchange.now_ms)
        self.outbox = Outbox(world)
        self.ingest = Ingest(
            self.clock, self.outbox, wall_seconds=loop.time, observe_latency=lambda _channel, _seconds: None
        )
        watched_from_ms = forming_open_ms(exchange.now_ms)
        self.watched = {info.pair: info for info in world.listed.values()}
        for pair in self.watched:
            self.ingest.watch(pair, watched_from_ms)
        quarantine = Quarantine(Rejected(world.disk.folder / "rejected"))
        self._confirmer = Confirmer(self.ingest, exchange, self.watched, self.clock, quarantine)
        fill = Fill(exchange, self.clock, History(self.ingest, self.outbox, quarantine))
        windows = OwnWindows(self.clock, fill, most=OWN_WINDOWS)
        lengths = {timeframe: timeframe_ms(timeframe) for timeframe in ROLLUP_TIMEFRAMES}
        elsewhere = Elsewhere({store.name: store for store in world.stores}, self.ingest, self.outbox)
        self.repairs = []
        for store in world.stores:
            dirty = DirtyWindows(world.disk.folder / f"dirty-{store.name}.json", lengths)
            rollups = RollupRepairer(store.name, store, dirty, self.clock, wall_seconds=loop.time)
            coverage = Coverage(world.disk.folder, store.name)
            coverage.begin(watched_from_ms - FILL_MS)
            self.repairs.append(
                StoreRepair(
                    store.name,
                    store,
                    rollups,
                    coverage,
                    self.ingest,
                    self.outbox,
                    fill,
                    windows,
                    elsewhere,
                    watched_from_ms=watched_from_ms,
                )
            )
        contracts = Contracts(Firsts(exchange), self.ingest, self.watched)
        self.repairer = Repairer(self.repairs, self.watched, contracts, every_seconds=180, wall_seconds=loop.time)
        self._tasks = [loop.create_task(self.repairer.run())]
        for store, repair in zip(world.stores, self.repairs, strict=True):
            self._tasks += [loop.create_task(repair.rollups.run()), loop.create_task(self._deliver(store, repair))]

    def confirm(self, seconds: float) -> None:
        """Let the confirmer ask for what is overdue."""
        loop = self._world.loop
        task = loop.create_task(self._confirmer.run())
        loop.pass_time(seconds)
        task.cancel()
        loop.run_until_complete(asyncio.wait([task]))

    def check(self) -> None:
        """Raise what ended a task: none ever ends."""
        for task in self._tasks:
            if task.done():
                task.result()

    def kill(self) -> None:
        """End it at once."""
        self.outbox.lose()
        for task in self._tasks:
            task.cancel()
        self._world.loop.run_until_complete(asyncio.wait(self._tasks))
        self.outbox.lose()

    async def _deliver(self, store: Store, repair: StoreRepair) -> None:
        spool = self._world.disk.spools[store.name]
        while True:
            if not spool:
                await self._world.disk.came.wait()
            await elapse(LATENCY_SECONDS if store.mood == "well" else RETRY_SECONDS)
            while spool and store.mood == "well":
                sequence, bucket, lines = spool[0]
                self._world.arrive(store, lines)
                await repair.rollups.on_delivered(bucket, lines)
                if spool and spool[0][0] == sequence:
                    self._world.disk.leave(store.name)


class World:
    """Exchange, stores and disk; and a process, while one runs."""

    def __init__(self, folder: Path, stores: Iterable[str], *, onboard_early: int = 0) -> None:
        self.loop = VirtualLoop()
        first_ms = forming_open_ms(START_MS) - 6 * HOUR_MS
        self.exchange = Exchange(self.loop, START_MS, dict.fromkeys(PAIRS.values(), first_ms))
        self.stores = [Store(name) for name in stores]
        self.disk = Disk(folder, self.stores)
        self.first_covered_ms = self.covered_ms = forming_open_ms(START_MS) - FILL_MS
        """From where on the first pair is to be stored; backfills extend it."""

        self.listed = {FIRST: symbol(FIRST, first_ms - onboard_early * CANDLE_MS)}
        self.process: Process | None = None
        self._tasks = [self.loop.create_task(store.scheduled(self.exchange)) for store in self.stores]
        self.ever_lacked: set[tuple[str, int]] = set()
        self.ever_spoiled: set[tuple[str, int]] = set()
        self._arrived: dict[tuple[str, str, int], float] = {}
        self._came_together: list[tuple[str, range, float]] = []

    def start(self) -> None:
        """Start a process, if none runs."""
        self.process = self.process or Process(self)

    def kill(self) -> None:
        """End the process, if one runs."""
        if self.process:
            self.process.kill()
        self.process = None

    def pass_time(self, seconds: float) -> None:
        """Let things happen."""
        self.loop.pass_time(seconds)
        if self.process:
            self.process.check()

    def close_candle(self, heard: Iterable[str], *, confirmed: bool) -> None:
        """The forming candle closes; its frame arrives for these pairs."""
        open_ms = self.exchange.forming_ms()
        self.pass_time((open_ms + CANDLE_MS + 1_500 - self.exchange.now_ms) / 1000)
        if not self.process:
            return
        for pair in heard:
            if pair in self.process.watched:
                frame = true_frame(pair, open_ms)
                if open_ms in self.exchange.spoiled[PAIRS[pair]]:
                    frame = replace(frame, values=frame.values._replace(trades=0))
                self.process.ingest.on_candle(frame, self.loop.time())
        if confirmed:
            self.process.confirm(7)

    def leap(self, milliseconds: int, *, rolled: bool) -> None:
        """A long time in which this process did not run; another collector stored what closed.

        `rolled`: and the scheduled tasks ran.
        """
        before_ms = self.exchange.forming_ms()
        self.loop.suspend(milliseconds / 1000)
        self.exchange.answered += milliseconds / 1000
        for pair in self.listed:
            self.other_collector_stores(pair, before_ms, self.exchange.forming_ms())
            if self.process and pair in self.process.watched:
                self.process.ingest.unwatch(pair)
                self.process.ingest.watch(pair, self.exchange.forming_ms())
        for store in self.stores:
            for timeframe in ROLLUP_TIMEFRAMES if rolled else ():
                store.roll(timeframe, self.exchange.now_ms, milliseconds + timeframe_ms(timeframe))

    def other_collector_stores(self, pair: str, start_ms: int, end_ms: int) -> None:
        """What closed is stored by somebody else, but for what the exchange did not have."""
        gone = self.exchange.lacks[PAIRS[pair]] | self.exchange.spoiled[PAIRS[pair]]
        opens = range(start_ms, end_ms, CANDLE_MS)
        self._came_together.append((pair, opens, self.loop.time()))
        points = {open_ms: true_fields(open_ms) for open_ms in opens if open_ms not in gone}
        for store in self.stores:
            store.put_all(OHLCV_BASE, pair, points)

    def arrived_at(self, store: str, pair: str, open_ms: int) -> float:
        """When a store got a candle that it did not have, seconds of the event loop."""
        together = (at for some, opens, at in self._came_together if some == pair and open_ms in opens)
        return max(self._arrived.get((store, pair, open_ms), 0.0), *together, 0.0)

    def arrive(self, store: Store, lines: Iterable[str]) -> None:
        """A store takes what was spooled for it."""
        for line in lines:
            if line.startswith(OHLCV_BASE):
                measurement, pair, open_ms = _named(line)
                if store.get(measurement, pair, open_ms) is None:
                    self._arrived[store.name, pair, open_ms] = self.loop.time()
            store.put(line)

    def judge(self, line: str) -> None:
        """Nothing is ever written that is not the exchange's, nor of what is gone that it is not gone."""
        measurement, pair, open_ms = _named(line)
        fields = line.split(" ")[1]
        if measurement == OHLCV_BASE:
            assert numbers_of(fields) == numbers_of(true_fields(open_ms)), "not the exchange's candle"
        elif measurement == GAPS:
            gap = gap_of(pair, open_ms, fields)
            known = {"exchange_hole": self.ever_lacked, "invalid": self.ever_spoiled}.get(gap.state)
            before = open_ms < self.exchange.first_ms[PAIRS[pair]]
            assert known is None or before or (pair, open_ms) in known, f"never {gap.state}"
            unanswered = self.loop.time() - self.exchange.answered
            assert gap.again is None or before or unanswered < AT_ONCE_SECONDS, "noted without an answer"
        elif measurement.startswith("ohlcv_"):
            assert candles_of(fields) == 0
            assert self.process
            length_ms = timeframe_ms(measurement.removeprefix("ohlcv_"))
            for repair in self.process.repairs:
                spoiled = windows_with_holes(repair.ledger.invalid.get(pair, ()), self.exchange.now_ms, length_ms)
                if open_ms not in spoiled:
                    break
            else:
                raise AssertionError("a window over an impossible row")

    def extend(self, start_ms: int) -> int:
        """A backfill extends what is covered of the first pair; returns from where on it is."""
        self.covered_ms = min(self.covered_ms, max(start_ms, self.exchange.first_ms[PAIRS[FIRST]]))
        for store in self.stores:
            Coverage(self.disk.folder, store.name).extend(FIRST, self.covered_ms)
        return self.covered_ms

    def is_held(self, pair: str, open_ms: int) -> bool:
        """Whether a store has a candle, or it is on its way."""
        waiting = (line for spool in self.disk.spools.values() for _, bucket, lines in spool for line in lines)
        return any(store.get(OHLCV_BASE, pair, open_ms) for store in self.stores) or any(
            _named(line) == (OHLCV_BASE, pair, open_ms) for line in waiting
        )

    def close(self) -> None:
        """End everything."""
        self.kill()
        self.loop.close()


def _named(line: str) -> tuple[str, str, int]:
    head, _, time = line.split(" ")
    measurement, _, pair, *_ = head.split(",")
    return measurement, pair.removeprefix("pair="), int(time)
