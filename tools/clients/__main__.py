"""A fleet of real bots on one gateway: `make clients` (CLIENTS_ARGUMENTS="--bots 12 --minutes 15").

Starts the simulated exchange, InfluxDB, a collector and a gateway at today's time; measures freqtrade's refresh, runs
download-data after a backfill, then the bots. Exit codes: 0 all promises kept, 1 not, 2 it could not start.
"""

import argparse
import asyncio
import os
import shutil
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

from tools.bootstrap import programs
from tools.bootstrap.uv import Missing
from tools.clients import environment, experiment, stack
from tools.clients.experiment import Experiment
from tools.clients.fleet import BotTrouble
from tools.clients.scripts import ScriptFailed
from tools.clients.witness_log import EXAMPLES_KEPT
from tools.demo.processes import ChildDied, Children
from tools.demo.servers import CannotStart
from tools.demo.servers import environment as of_children
from tools.demo.settings import ROOT

IN_TIME_SECONDS = 6.0
IN_TIME_SHARE = 0.99
QUANTILES = {"p50": 0.5, "p99": 0.99, "max": 1.0}


def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="clients", description=__doc__)
    parser.add_argument("--bots", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=110)
    parser.add_argument("--minutes", type=float, default=5.0, help="after the last bot's first loop")
    parser.add_argument("--late-ms", type=int, default=experiment.LATE_MS, help="delay of three in ten closing frames")
    parser.add_argument("--missing-share", type=float, default=experiment.MISSING_SHARE, help="share of closing frames")
    parser.add_argument("--days", type=int, default=0, help="days of history to backfill and download; 0: none")
    parser.add_argument("--folder", type=Path, default=ROOT / ".clients-run", help="folder for all output")
    options = parser.parse_args()
    influxd = programs.find("influxd")
    if influxd is None:
        say("influxd is missing: run `make setup` to see how to get it")
        return 2
    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(mode=0o700, parents=True)
    try:
        return asyncio.run(_run(options, influxd, environment.python()))
    except (CannotStart, ChildDied, Missing, BotTrouble, ScriptFailed) as trouble:
        say(str(trouble))
        return 2
    except KeyboardInterrupt:
        return 130


async def _run(options: argparse.Namespace, influxd: Path, interpreter: Path) -> int:
    folder: Path = options.folder
    logs = folder / "logs"
    logs.mkdir()
    children = Children(logs, ROOT, of_children(os.environ))
    try:
        async with AsyncExitStack() as exits:
            began = time.monotonic()
            servers = await stack.start(exits, folder, children, influxd, pairs=options.pairs)
            say(f"servers ready after {time.monotonic() - began:.0f} s: {servers.gateway.url}, logs in {logs}")
            return await _measure(options, Experiment(servers, children, interpreter, folder, say))
    finally:
        children.stop()


async def _measure(options: argparse.Namespace, running: Experiment) -> int:
    pairs = running.stack.pairs[: options.pairs]
    direct, served = await running.refreshes(pairs)
    say(f"refresh of {len(pairs)} pairs: {direct} s at the exchange through ccxt's throttle, {served} s at the gateway")
    good = await _history(running, pairs, options.days) if options.days else True
    if options.bots:
        good &= await _fleet(running, pairs, options)
    return 0 if good else 1


async def _history(running: Experiment, pairs: list[str], days: int) -> bool:
    await running.backfill(pairs, days)
    good = True
    for bot in ("first-download", "next-download"):
        downloaded, compared, spent = await running.download(bot, pairs, days)
        say(f"{bot} of {days} days: {downloaded.seconds:.0f} s, {len(downloaded.complaints)} complaints")
        for name, comparison in compared.items():
            say(f"  {name}: {comparison}")
        say(f"  requested from the exchange for it: {dict(spent.requests) or 'nothing'}, weight {dict(spent.weight)}")
        good &= all(comparison.exact for comparison in compared.values()) and not downloaded.complaints
    return good and not spent.requests


async def _fleet(running: Experiment, pairs: list[str], options: argparse.Namespace) -> bool:
    await running.disturb(options.late_ms, options.missing_share)
    bots = await running.start_bots(pairs, options.bots)
    before, held_before = await running.spent(), await running.held()
    say(f"{len(bots)} bots have started; {options.minutes:.1f} min from here")
    await running.run_bots(bots, options.minutes * 60)
    spent, held = (await running.spent()).since(before), (await running.held()).since(held_before)
    told = await running.report(bots)
    judged = told.judgement
    in_time = judged.within(IN_TIME_SECONDS)
    say(f"candles delivered: {judged.candles}, wrong {judged.wrong}, missed {judged.missed}; closes {told.closes}")
    delays = ", ".join(f"{name} {judged.quantile(share):.1f} s" for name, share in QUANTILES.items())
    say(f"close to loop: {delays}; within {IN_TIME_SECONDS:.0f} s {in_time:.2%}")
    complaints = [line for lines in told.complaints.values() for line in lines]
    say(f"held by the gateway at a close: {held}; the rest of the time until the loop is the bots' own work")
    say(f"entries {told.entries}; complaints {len(complaints)}; bots' CPU {told.cpu_seconds:.0f} s")
    say(f"requested from the exchange meanwhile: requests {dict(spent.requests)}, weight {dict(spent.weight)}")
    for example in (*judged.examples, *complaints[:EXAMPLES_KEPT]):
        say(f"  {example}")
    right = not (judged.wrong or judged.missed or complaints) and told.entries > 0
    return right and in_time >= IN_TIME_SHARE and not spent.of(experiment.STORED_ROUTES).requests


def say(line: str) -> None:
    """Print one line of the report."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
