"""Bots: unmodified freqtrade processes, dry-run, with the witness strategy."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.clients import bot_log, witness_log
from tools.clients.config import Address, bot_config
from tools.clients.witness_log import Judgement, Witnessed
from tools.demo.compare import LENGTH_MS, Row
from tools.demo.processes import Child, Children

BASE = "3m"
POLL_SECONDS = 0.5
FIRST_LOOP_SECONDS = 180.0
# Otherwise an indicator library would use a thread per core, in each bot.
THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMEXPR_MAX_THREADS": "1"}

type Truth = Callable[[str, str, int, int], Awaitable[Mapping[int, Row]]]
"""From pair, timeframe, first and last open time to the exchange's candles."""


class BotTrouble(Exception):
    """A bot did not reach its first loop; the message shows the end of its log."""


@dataclass(frozen=True)
class Bot:
    """A running bot and its folder."""

    name: str
    folder: Path
    child: Child

    @property
    def log(self) -> Path:
        """freqtrade's log file."""
        return self.folder / "bot.log"

    def witnessed(self) -> Witnessed:
        """Return what it has written so far; the last line may be incomplete."""
        file = self.folder / "witness.ndjson"
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        return witness_log.parse(text[: text.rfind("\n") + 1].splitlines())

    def log_lines(self) -> list[str]:
        """Return the lines of its log."""
        return self.log.read_text(encoding="utf-8", errors="replace").splitlines() if self.log.exists() else []


@dataclass(frozen=True)
class Report:
    """The results of a fleet: candles, complaints by bot, trades, and the delays of the bots' loops."""

    judgement: Judgement
    complaints: dict[str, list[str]]
    entries: int
    closes: int
    cpu_seconds: float


def start_bot(
    children: Children, interpreter: Path, address: Address, pairs: Sequence[str], folder: Path, **options: Any
) -> Bot:
    """Start one; options are those of `bot_config`."""
    (folder / "user_data").mkdir(parents=True)
    name = folder.name
    config = folder / "config.json"
    config.write_text(json.dumps(bot_config(address, pairs, name=name, folder=folder, **options), indent=2))
    environment = [f"{key}={value}" for key, value in THREADS.items()]
    command = [str(interpreter), "-m", "freqtrade", "trade", "--config", str(config)]
    logfile = ["--logfile", str(folder / "bot.log")]
    return Bot(name, folder, children.start(name, ["env", *environment, *command, *logfile]))


async def first_loops(bots: Sequence[Bot]) -> None:
    """Return once each bot has received candles. Raises BotTrouble."""
    deadline = time.monotonic() + FIRST_LOOP_SECONDS * max(1, len(bots) / 4)
    while waiting := [bot for bot in bots if not bot.witnessed().loops]:
        for bot in waiting:
            if bot.child.ended or time.monotonic() > deadline:
                raise BotTrouble(f"{bot.name} did not start:\n{bot.child.obituary()}")
        await asyncio.sleep(POLL_SECONDS)


async def report(bots: Sequence[Bot], truth: Truth, *, settle_seconds: float = 15.0) -> Report:
    """Judge what the bots have written. Candles closed less than `settle_seconds` ago have no truth yet."""
    judgement = Judgement()
    complaints: dict[str, list[str]] = {}
    known: dict[witness_log.Key, dict[int, Row]] = {}
    closes = entries = 0
    for bot in bots:
        witnessed = bot.witnessed()
        for (pair, timeframe), (first_ms, last_ms) in witness_log.keys(witnessed).items():
            rows = known.setdefault((pair, timeframe), {})
            if not {first_ms, last_ms} <= rows.keys():
                rows.update(await truth(pair, timeframe, first_ms, last_ms))
        grace_ms = int(settle_seconds * 1000)
        judgement.add(witness_log.judge(witnessed, known, LENGTH_MS, base=BASE, grace_ms=grace_ms))
        closes += len(witness_log.closes(witnessed.loops, LENGTH_MS[BASE], grace_ms)) if witnessed.loops else 0
        lines = bot.log_lines()
        if told := bot_log.complaints(lines):
            complaints[bot.name] = told
        entries += bot_log.entries(lines)
    return Report(judgement, complaints, entries, closes, sum(map(_cpu_seconds, bots)))


def _cpu_seconds(bot: Bot) -> float:
    """Return the CPU time of its process; 0 once it has exited. proc(5): fields 14 and 15, in 1/100 s."""
    try:
        text = Path(f"/proc/{bot.child.process.pid}/stat").read_text(encoding="ascii")
    except OSError:
        return 0.0
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
