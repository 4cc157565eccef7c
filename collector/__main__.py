"""`collector run|check|status|audit|backfill --config FILE`: the command line."""

import argparse
import asyncio
import logging
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from collector import app
from collector.commands import audit_command, backfill_command, check, options, status
from collector.config import Config, load
from collector.store.query import StoreError
from exchange.errors import ExchangeError
from exchange.universe import UnknownPair
from service.config_file import ConfigError
from service.event_loop import loop_factory
from service.logs import BAD_CONFIG, log_to_stderr

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 1 (failure) or 2 (bad configuration, or a check failed)."""
    arguments = _parser().parse_args(argv)
    try:
        config = load(arguments.config)
    except ConfigError as error:
        return _refuse(error)
    log_to_stderr(config.collector.log_level)
    match arguments.command:
        case "check":
            return check.run_offline(config) if arguments.offline else _run(check.run(config))
        case "status":
            return _run(status.run(config, as_json=arguments.json))
        case "audit":
            return _run_long(audit_command.run(config, arguments))
        case "backfill":
            return _run_long(backfill_command.run(config, arguments))
        case _:
            return _collect(config)


def _collect(config: Config) -> int:
    refused: list[BaseException] = []
    try:
        _run(app.run(config))
    except* (ConfigError, UnknownPair) as group:
        refused.append(_innermost(group))
    return _refuse(refused[0]) if refused else 0


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _refuse(error: BaseException) -> int:
    print(f"collector: {error}", file=sys.stderr)
    return BAD_CONFIG


def _run[T](coroutine: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(coroutine)


def _run_long(coroutine: Coroutine[Any, Any, int]) -> int:
    """Run a command that a person may end with Ctrl-C: what it has done stays done."""
    ended: list[BaseException] = []
    code = BAD_CONFIG
    try:
        code = _run(coroutine)
    except* (ConfigError, ExchangeError, StoreError, UnknownPair, OSError) as group:
        ended.append(_innermost(group))
    except* KeyboardInterrupt:
        code = INTERRUPTED
        print("collector: interrupted", file=sys.stderr)
    return _refuse(ended[0]) if ended else code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="collector", description="Stream candles, mark prices and funding to InfluxDB."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, help_text in (
        ("run", "stream until stopped"),
        ("check", "check configuration, tokens, stores and exchange; write nothing"),
        ("status", "how the running collector stands"),
        ("audit", "compare the stores with the exchange: 0 equal, 1 differences, 2 could not compare"),
        ("backfill", "fetch history into the stores; interrupted, the same command goes on"),
    ):
        command = commands.add_parser(name, help=help_text)
        command.add_argument("--config", type=Path, required=True, metavar="FILE", help="the TOML file")
        if name == "check":
            command.add_argument("--offline", action="store_true", help="only what this host knows: file and tokens")
        if name == "status":
            command.add_argument("--json", action="store_true", help="print the whole answer")
        if name == "audit":
            options.add_audit(command)
        if name == "backfill":
            options.add_backfill(command)
    return parser


if __name__ == "__main__":
    logging.captureWarnings(True)
    sys.exit(main())
