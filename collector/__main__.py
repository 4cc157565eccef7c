"""`collector run|check|status|audit|backfill --config FILE`: the command line."""

import argparse
import logging
import sys
from collections.abc import Coroutine, Sequence
from typing import Any

from collector import app
from collector.commands import audit_command, backfill_command, check, options, status
from collector.config import load
from collector.store.query import StoreError
from exchange.errors import ExchangeError
from exchange.universe import UnknownPair
from service.command_line import exit_code, parsers
from service.logs import log_to_stderr

LONG = ("audit", "backfill")
"""Commands that an operator watches: any error that stops them is one line, even if `run` would restart on it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return the exit code: 0, 1 (failure) or 2 (bad configuration, or a check failed)."""
    arguments = _parser().parse_args(argv)
    refusals = (ExchangeError, StoreError, OSError) if arguments.command in LONG else ()
    return exit_code("collector", lambda: _command(arguments), UnknownPair, *refusals)


def _command(arguments: argparse.Namespace) -> int | Coroutine[Any, Any, int | None]:
    config = load(arguments.config)
    log_to_stderr(config.collector.log_level)
    match arguments.command:
        case "check":
            return check.run_offline(config) if arguments.offline else check.run(config)
        case "status":
            return status.run(config, as_json=arguments.json)
        case "audit":
            return audit_command.run(config, arguments)
        case "backfill":
            return backfill_command.run(config, arguments)
        case _:
            return app.run(config)


def _parser() -> argparse.ArgumentParser:
    parser, commands = parsers(
        "collector",
        "Stream candles, mark prices and funding to InfluxDB.",
        {
            "run": "stream until stopped",
            "check": "check configuration, tokens, stores and exchange; write nothing",
            "status": "show the state of the running collector",
            "audit": "compare the stores with the exchange; exit code 0: equal, 1: differences, 2: could not compare",
            "backfill": "fetch history into the stores; if interrupted, run the same command again to continue",
        },
    )
    commands["status"].add_argument("--json", action="store_true", help="print the whole response as JSON")
    options.add_audit(commands["audit"])
    options.add_backfill(commands["backfill"])
    return parser


if __name__ == "__main__":
    logging.captureWarnings(True)
    sys.exit(main())
