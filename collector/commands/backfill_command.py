"""`collector backfill`: exit code 0 if the whole range is stored, 2 if it could not continue; then run it again."""

import logging
from argparse import Namespace
from collections.abc import Sequence

from collector.commands.backfill import Backfill
from collector.commands.backfill_progress import BackfillProgress
from collector.commands.workspace import open_workspace
from collector.config import Config
from collector.repair.coverage import Coverage
from marketdata.timeframes import BASE_TIMEFRAME
from service.config_file import ConfigError

log = logging.getLogger(__name__)


async def run(config: Config, options: Namespace) -> int:
    """Fill the range. Raises ConfigError, ExchangeError, StoreError, UnknownPair, OSError."""
    state_dir = config.collector.state_dir
    try:
        progress = BackfillProgress(state_dir / "backfill.json", [section.name for section in config.store])
        coverages = [
            Coverage(state_dir, section.name, configured_start_ms=config.ledger.start_ms) for section in config.store
        ]
    except ValueError as error:
        raise ConfigError(str(error)) from error

    def covered(pairs: Sequence[str], start_ms: int) -> None:
        """Extend the ledgers to this history if it joins what they cover; otherwise they would fill the gap between."""
        for coverage in coverages:
            for pair in pairs:
                if coverage.meets(pair, progress.end_ms(pair, BASE_TIMEFRAME, start_ms)):
                    coverage.extend(pair, start_ms)

    async with open_workspace(
        config, "backfill", patterns=options.pairs, share_percent=options.share, writes=True
    ) as workspace:
        now_ms = workspace.clock.now_ms()
        to_ms = now_ms if options.to_ms is None else min(options.to_ms, now_ms)
        if options.from_ms >= to_ms:
            raise ConfigError("--from: must be before --to and before now")
        backfill = Backfill(workspace, progress, options.from_ms, to_ms, covered=covered)
        await backfill.run()
    spent = workspace.client.snapshot()
    log.info(
        "backfill complete rows=%d requests=%d weight=%d",
        backfill.fetched,
        sum(spent.requests_total.values()),
        sum(spent.budget.weight_total.values()),
    )
    return 0
