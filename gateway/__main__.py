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
    """Run a command; returns the exit code: 0, 1 on failure, 2 (bad configuration, or a check failed)."""
    arguments = _parser().parse_args(argv)
    return exit_code("gateway", lambda: _command(arguments))


def _command(arguments: argparse.Namespace) -> int | Coroutine[Any, Any, int | None]:
    config = load(arguments.config)
    log_to_stderr(config.gateway.log_level)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    match arguments.command:
        case "check" if arguments.offline:
            read_tokens(config)
            return check_result("gateway", (), "configuration and tokens are right; nobody was asked")
        case "check":
            return check.run(config)
        case "compare":
            return compare.run(config, arguments.pairs, url=arguments.url, timeframes=arguments.timeframes.split(","))
        case _:
            return app.run(config)


def _parser() -> argparse.ArgumentParser:
    parser, commands = parsers(
        "gateway",
        "Answer bots as Binance's market-data REST does, from collectors and stores.",
        {
            "run": "serve until stopped",
            "check": "check configuration, tokens, collectors, stores and exchange; write nothing",
            "compare": "ask a running gateway and the exchange the same; print what differs and the weight saved",
        },
    )
    add = commands["compare"].add_argument
    add("--pairs", type=Path, required=True, metavar="FILE", help="a list of pairs, or a bot's configuration")
    add("--url", help="the gateway's address; by default where the configuration lets it listen")
    add("--timeframes", default="3m", help="of the candles compared, like 3m,1h (default: 3m)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
