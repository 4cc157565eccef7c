"""`freqtrade download-data`: run as a user would, and compared with the exchange's truth row by row."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tools.clients import bot_log
from tools.clients.config import Address, base_config
from tools.clients.witness_log import COLUMNS, EXAMPLES_KEPT
from tools.demo.compare import Row
from tools.demo.processes import Children

FUTURES, MARK, FUNDING = "futures", "mark", "funding_rate"

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
PRICES = ("open", "high", "low", "close")

type Rows = Mapping[int, Sequence[float]]
"""A file's values for each open time: COLUMNS, with volume 0 for mark prices; for funding only the rate."""


@dataclass(frozen=True)
class Downloaded:
    """The result of a download. complaints: log lines above INFO."""

    folder: Path
    started_ms: int
    seconds: float
    complaints: list[str]

    def rows(self, pair: str, timeframe: str, kind: str) -> Rows:
        """Return a file's rows; empty if there is no such file."""
        name = f"{pair.replace('/', '_').replace(':', '_')}-{timeframe}-{kind}.json"
        file = self.folder / "user_data/data/binance/futures" / name
        read = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
        return {row[0]: row[1:] for row in read}

    def first_ms(self, days: int) -> int:
        """Return its start: midnight, this many days ago."""
        return self.started_ms // DAY_MS * DAY_MS - days * DAY_MS


@dataclass
class Comparison:
    """How many rows are equal, and examples of those that are not."""

    equal: int = 0
    wrong: int = 0
    missing: int = 0
    unknown: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def exact(self) -> bool:
        """Whether every row is there and none differs."""
        return self.equal > 0 and not (self.wrong or self.missing or self.unknown)

    def note(self, example: str) -> None:
        """Keep an example of a problem."""
        self.examples = [*self.examples, example][:EXAMPLES_KEPT]


async def download(
    children: Children,
    interpreter: Path,
    address: Address,
    pairs: Sequence[str],
    folder: Path,
    *,
    days: int,
    timeframes: Sequence[str],
) -> Downloaded:
    """Download candles, mark prices and funding. Raises ChildDied if freqtrade fails."""
    (folder / "user_data").mkdir(parents=True)
    config = folder / "config.json"
    config.write_text(json.dumps(base_config(address, pairs) | {"user_data_dir": str(folder / "user_data")}, indent=2))
    log = folder / "download.log"
    started_ms, started = time.time_ns() // 1_000_000, time.monotonic()
    command = [str(interpreter), "-m", "freqtrade", "download-data", "--config", str(config), "--logfile", str(log)]
    # JSON preserves each number as it was received.
    what = ["--trading-mode", "futures", "--data-format-ohlcv", "json", "--days", str(days), "--timeframes"]
    await children.run(folder.name, [*command, *what, *timeframes])
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return Downloaded(folder, started_ms, time.monotonic() - started, bot_log.complaints(lines))


def candle_values(row: Row) -> list[float]:
    """Return a true candle as it would be in a file."""
    return [float(row[column] or 0.0) for column in COLUMNS]


def compare(comparison: Comparison, name: str, found: Rows, true: Rows, *, newest_ms: int) -> None:
    """Add one file's rows: `true` starts where the file does; rows up to `newest_ms` must be there."""
    for at in sorted(true.keys() | found.keys()):
        if at not in true:
            comparison.unknown += 1
            comparison.note(f"{name} {at}: {list(found[at])}, which the exchange does not have")
        elif at not in found:
            if at <= newest_ms:
                comparison.missing += 1
                comparison.note(f"{name} {at}: missing")
        elif list(found[at]) != list(true[at]):
            comparison.wrong += 1
            comparison.note(f"{name} {at}: {list(found[at])}; the exchange has {list(true[at])}")
        else:
            comparison.equal += 1


def newest_closed_ms(now_ms: int, length_ms: int, settle_ms: int = 60_000) -> int:
    """Return the open time of the newest candle that had closed `settle_ms` earlier."""
    return (now_ms - settle_ms) // length_ms * length_ms - length_ms


def spans(first_ms: int, last_ms: int, step_ms: int = 10 * DAY_MS) -> Iterator[tuple[int, int]]:
    """Yield (first, last) of the parts of a range of open times, both included."""
    for start in range(first_ms, last_ms + 1, step_ms):
        yield start, min(start + step_ms - 1, last_ms)
