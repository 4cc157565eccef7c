"""`gateway run|check|compare --config FILE`: the command line."""

import argparse
import logging
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from gateway import app
from gateway.commands import check, compare
from gateway.config import load, read_tokens
from service.command_line import check_result, exit_code, parsers
from service.logs import log_to_stderr


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, 1 on failure, 2 for a bad configuration or a failed check."""
    arguments = _parser().parse_args(argv)
    return exit_code("gateway", lambda: _command(arguments))


def _command(arguments: argparse.Namespace) -> int | Coroutine[Any, Any, int | None]:
    config = load(arguments.config)
    log_to_stderr(config.gateway.log_level)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    match arguments.command:
        case "check" if arguments.offline:
            read_tokens(config)
            return check_result("gateway", (), "configuration and tokens are right; nothing was requested")
        case "check":
            return check.run(config)
        case "compare":
            return compare.run(config, arguments.pairs, url=arguments.url, timeframes=arguments.timeframes.split(","))
        case _:
            return app.run(config)


def _parser() -> argparse.ArgumentParser:
    parser, commands = parsers(
        "gateway",
        "Answer bots as Binance's market-data REST API does, from collectors and stores.",
        {
            "run": "serve until stopped",
            "check": "check configuration, tokens, collectors, stores and exchange; write nothing",
            "compare": "send a running gateway and the exchange the same requests; print differences and weight saved",
        },
    )
    add = commands["compare"].add_argument
    add("--pairs", type=Path, required=True, metavar="FILE", help="a list of pairs, or a bot's configuration")
    add("--url", help="the gateway's address; by default the one it listens on according to the configuration")
    add("--timeframes", default="3m", help="timeframes of the candles to compare, like 3m,1h (default: 3m)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
