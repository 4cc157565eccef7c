"""`gateway run|check|compare --config FILE`: the command line."""

import argparse
import asyncio
import logging
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from gateway import app
from gateway.commands import check, compare
from gateway.config import Config, load, read_tokens
from service.config_file import ConfigError
from service.event_loop import loop_factory
from service.logs import BAD_CONFIG, log_to_stderr


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 1 on failure, 2 (bad configuration, or a check failed)."""
    arguments = _parser().parse_args(argv)
    try:
        config = load(arguments.config)
        log_to_stderr(config.gateway.log_level)
        logging.getLogger("httpx").setLevel(logging.WARNING)
        if arguments.command == "check" and arguments.offline:
            read_tokens(config)
            print("gateway: configuration and tokens are right; nobody was asked")
            return 0
        return _run(_work(arguments, config))
    except ConfigError as error:
        print(f"gateway: {error}", file=sys.stderr)
        return BAD_CONFIG


def _work(arguments: argparse.Namespace, config: Config) -> Coroutine[Any, Any, int]:
    match arguments.command:
        case "check":
            return check.run(config)
        case "compare":
            return compare.run(config, arguments.pairs, url=arguments.url, timeframes=arguments.timeframes.split(","))
        case _:
            return _serve(config)


async def _serve(config: Config) -> int:
    await app.run(config)
    return 0


def _run(work: Coroutine[Any, Any, int]) -> int:
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(work)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gateway", description="Answer bots as Binance's market-data REST does, from collectors and stores."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, help_text in (
        ("run", "serve until stopped"),
        ("check", "check configuration, tokens, collectors, stores and exchange; write nothing"),
        ("compare", "ask a running gateway and the exchange the same, and tell what differs and what weight was saved"),
    ):
        command = commands.add_parser(name, help=help_text)
        command.add_argument("--config", type=Path, required=True, metavar="FILE", help="the TOML file")
        if name == "compare":
            command.add_argument(
                "--pairs", type=Path, required=True, metavar="FILE", help="a list of pairs, or a bot's configuration"
            )
            command.add_argument(
                "--url", help="the gateway's address; by default where the configuration lets it listen"
            )
            command.add_argument("--timeframes", default="3m", help="of the candles compared, like 3m,1h (default: 3m)")
        if name == "check":
            command.add_argument("--offline", action="store_true", help="only what this host knows: file and tokens")
    return parser


if __name__ == "__main__":
    sys.exit(main())
