"""`collector audit`: exit code 0 all equal, 1 differences were found (corrected or not), 2 could not compare."""

import json
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from collector.commands.audit import Audit, Finding, Tally
from collector.commands.mend import Mender
from collector.commands.workspace import open_workspace
from collector.config import Config
from service.config_file import ConfigError

EQUAL, DIFFERENT = 0, 1
DEFAULT_HOURS = 48
HOUR_MS = 3_600_000


async def run(config: Config, options: Namespace) -> int:
    """Compare, print a table, return the exit code.

    Raises ConfigError, ExchangeError, StoreError, UnknownPair, OSError: the command line turns them into exit code 2.
    """
    with _reporter(options.report) as report:
        async with open_workspace(
            config, "audit", patterns=options.pairs, share_percent=options.share, writes=options.fix
        ) as workspace:
            now_ms = workspace.clock.now_ms()
            to_ms = now_ms if options.to_ms is None else min(options.to_ms, now_ms)
            from_ms = to_ms - DEFAULT_HOURS * HOUR_MS if options.from_ms is None else options.from_ms
            if from_ms >= to_ms:
                raise ConfigError("--from: must be before --to and before now")
            mend = Mender(workspace) if options.fix else None
            audit = Audit(workspace, options.intervals, from_ms, to_ms, mend=mend, report=report)
            await audit.run()
    Console(soft_wrap=True).print(_table(audit.tallies, fixed=options.fix))
    return DIFFERENT if audit.differences else EQUAL


@contextmanager
def _reporter(path: Path | None) -> Iterator[Callable[[Finding], None]]:
    """Yield a function that writes each finding to the file, one JSON object per line, or does nothing without one."""
    if path is None:
        yield lambda _finding: None
        return
    with path.open("w", encoding="utf-8") as file:

        def write(finding: Finding) -> None:
            difference = finding.difference
            line = {
                "store": finding.store.name,
                "pair": difference.pair,
                "timeframe": difference.timeframe,
                "open_time_ms": difference.open_time_ms,
                "kind": difference.kind,
                "fields": [field._asdict() for field in difference.fields],
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

        yield write


def _table(tallies: Mapping[tuple[str, str], Tally], *, fixed: bool) -> Table:
    columns = ("compared", "missing", "surplus", "wrong", *(("fixed",) if fixed else ()))
    table = Table("store", "interval", *columns, title="candles that differ from the exchange's")
    for (store, timeframe), tally in tallies.items():
        table.add_row(store, timeframe, *(str(getattr(tally, column)) for column in columns))
    return table
