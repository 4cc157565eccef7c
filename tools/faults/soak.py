"""`make soak`: two collectors, 164 pairs, a random fault every minute; then compare, and look for leaks.

    SOAK_MINUTES=60      duration
    SOAK_PAIRS=164       number of pairs
    SOAK_SEED=n          repeats the same faults; it is printed

One collector suffers all faults of a process; the other runs all the time, and its memory and open files must not grow.
At the end `collector audit` runs beside both.
"""

import asyncio
import os
import random
import shutil
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from tools.bootstrap import programs
from tools.demo.processes import ChildDied
from tools.demo.settings import ROOT
from tools.faults import engine, proxy
from tools.faults.actions import (
    exchange,
    exchange_heals,
    freeze,
    kill,
    start,
    store_starts,
    store_stops,
    terminate,
    thaw,
    token_restored,
    token_revoked,
    way,
    way_free,
)
from tools.faults.row import LEAD_SECONDS, SETTLED_SECONDS, Action, Row, Step, at, script
from tools.faults.runner import tell
from tools.faults.table import table
from tools.faults.world import World

CLEAN, NOT_CLEAN, CANNOT_START = 0, 1, 2
TWO = ("collector-1", "collector-2")
MINUTE_SECONDS = 60
SHARE_PERCENT = 40
"""Share of the weight for each of the two. Filling the stores is not part of the soak, and this speeds it up."""

FILL_SECONDS = 120.0
"""Two collectors have filled an empty store by then, using two UTC minutes of weight."""

HEALS_AFTER_SECONDS = (5.0, 45.0)
SAMPLE_SECONDS = 5.0
GROWTH_ALLOWED = 1.10
"""Memory in the last quarter compared with the second: allocators fluctuate; leaking a minute's data is more."""

FILES_ALLOWED = 4

type Fault = tuple[Action, Action]
"""What starts a fault, and what ends it."""

FAULTS: dict[str, Fault] = {
    "store stops": (store_stops, store_starts),
    "store slow": (way(proxy.slow(3)), way_free),
    "store answers 503": (way(proxy.answers(503)), way_free),
    "store aborts": (way(proxy.cut), way_free),
    "answers of the store are lost": (way(proxy.stores_and_is_silent), way_free),
    "token revoked": (token_revoked, token_restored),
    "SIGKILL": (kill(), start()),
    "SIGTERM": (terminate, start()),
    "suspended": (freeze, thaw),
    "route silent": (exchange("silent_route"), exchange_heals),
    "network cut": (exchange("connection_cut"), exchange_heals),
    "connections closed": (exchange("close_connections", code=1001, every_seconds=5), exchange_heals),
    "malformed frames": (exchange("malformed_frame", every_seconds=0.5), exchange_heals),
    "closing frames missing": (exchange("missing_close", share=0.5), exchange_heals),
    "closing frames late": (exchange("late_close", share=0.5, delay_ms=20_000), exchange_heals),
    "closing frames doubled": (exchange("double_close"), exchange_heals),
    "REST 503": (exchange("rest_status", status=503), exchange_heals),
    "REST 429": (exchange("rest_status", status=429, retry_after_seconds=10), exchange_heals),
    "REST hangs": (exchange("rest_hang"), exchange_heals),
}


def soak_row(
    minutes: int, pairs: int, seed: int, *, lead_seconds: float = LEAD_SECONDS, fill_seconds: float = FILL_SECONDS
) -> Row:
    """Return a row with one random fault per minute after the fill."""
    draw = random.Random(seed)  # noqa: S311 - reproducible, not secret
    steps: list[tuple[Step, ...]] = []
    names = []
    ends_seconds = minutes * MINUTE_SECONDS - lead_seconds
    at_seconds = fill_seconds - lead_seconds
    while at_seconds + MINUTE_SECONDS <= ends_seconds:
        name = draw.choice(list(FAULTS))
        begin, end = FAULTS[name]
        offset = draw.uniform(0, MINUTE_SECONDS - HEALS_AFTER_SECONDS[1] - 5)
        lasts = draw.uniform(*HEALS_AFTER_SECONDS)
        steps += [at(at_seconds + offset, noted(name, begin)), at(at_seconds + offset + lasts, end)]
        names.append(name)
        at_seconds += MINUTE_SECONDS
    return Row(
        f"soak, {minutes} min, {pairs} pairs, {len(names)} faults, seed {seed}",
        script(*steps),
        config={"exchange": {"weight_share_percent": SHARE_PERCENT}},
        collectors=TWO,
        pairs=pairs,
        until_seconds=ends_seconds + SETTLED_SECONDS,
        within_seconds=300,
    )


def noted(name: str, action: Action) -> Action:
    """Return the action, which also adds its name to the notes."""

    async def act(world: World) -> None:
        world.notes.append(name)
        await action(world)

    return act


@dataclass
class Watch:
    """Memory (bytes) and open files of the collector that runs all the time, sampled every few seconds."""

    memory: list[float] = field(default_factory=list)
    files: list[float] = field(default_factory=list)

    async def run(self, world: World) -> None:
        """Sample until cancelled."""
        while True:
            metrics = await world.collectors[-1].metrics()
            if metrics is not None:
                self.memory.append(metrics.total("process_resident_memory_bytes"))
                self.files.append(metrics.total("process_open_fds"))
            await asyncio.sleep(SAMPLE_SECONDS)

    def problems(self) -> list[str]:
        """Return what has grown from the second quarter of the time to the last."""
        found = []
        for name, values, factor, more in (
            ("memory", self.memory, GROWTH_ALLOWED, 0),
            ("open files", self.files, 1.0, FILES_ALLOWED),
        ):
            quarter = len(values) // 4
            if quarter:
                before, after = statistics.median(values[quarter : 2 * quarter]), statistics.median(values[-quarter:])
                if after > before * factor + more:
                    found.append(f"{name} grew from {before:.0f} to {after:.0f}")
        return found

    def __str__(self) -> str:
        if not self.memory:
            return "no scrape"
        memory = f"{min(self.memory) / 2**20:.0f} to {max(self.memory) / 2**20:.0f} MiB"
        return f"memory {memory}, open files {min(self.files):.0f} to {max(self.files):.0f}"


async def audited(world: World) -> list[str]:
    """Run `collector audit` over everything that was streamed, beside both collectors."""
    now_ms = world.simulated.now_ms()
    try:
        await world.collectors[-1].audit(world.midnight_ms - 3_600_000, now_ms - MINUTE_SECONDS * 1000)
    except ChildDied as died:
        return [str(died)]
    return []


async def soak(row: Row, folder: Path, influxd: Path, console: Console, *, lead_seconds: float = LEAD_SECONDS) -> bool:
    """Run it; returns True if it is clean."""
    watch = Watch()
    result = await engine.run(row, folder, influxd, lead_seconds=lead_seconds, beside=watch.run, afterwards=audited)
    result.problems += watch.problems()
    tell(result, folder, console)
    console.print(table([result]))
    console.print(f"{row.collectors[-1]}: {watch}")
    return result.clean


def main() -> int:
    """Run the soak as the environment specifies."""
    console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else 160)
    influxd = programs.find("influxd")
    try:
        minutes = int(os.environ.get("SOAK_MINUTES") or 60)
        pairs = int(os.environ.get("SOAK_PAIRS") or 164)
        seed = int(os.environ.get("SOAK_SEED") or time.time())
    except ValueError as error:
        console.print(f"soak: SOAK_MINUTES, SOAK_PAIRS and SOAK_SEED must be whole numbers: {error}")
        return CANNOT_START
    if influxd is None:
        console.print("soak: influxd is missing: run `make setup` to see how to get it")
        return CANNOT_START
    folder = ROOT / ".faults" / "soak"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    row = soak_row(minutes, pairs, seed)
    console.print(row.name)
    return CLEAN if asyncio.run(soak(row, folder, influxd, console)) else NOT_CLEAN


if __name__ == "__main__":
    sys.exit(main())
