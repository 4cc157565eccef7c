"""`sentinel run|check --config FILE`: the command line."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from sentinel import app, check
from sentinel.config import Config, load, trusted
from service.config_file import ConfigError
from service.logs import BAD_CONFIG, log_to_stderr


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, or 2 if the configuration is invalid or a check failed."""
    arguments = _parser().parse_args(argv)
    try:
        config = load(arguments.config)
        log_to_stderr(config.sentinel.log_level)
        if arguments.command == "check" and arguments.offline:
            trusted(config)
            print("sentinel: the configuration is valid (no connections were made)")
            return 0
        return asyncio.run(check.run(config) if arguments.command == "check" else _watch(config))
    except ConfigError as error:
        print(f"sentinel: {error}", file=sys.stderr)
        return BAD_CONFIG


async def _watch(config: Config) -> int:
    await app.run(config)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sentinel", description="Read candles back from the stores and export their age and completeness."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, help_text in (
        ("run", "watch the stores until stopped"),
        ("check", "check configuration, stores and tokens; writes nothing"),
    ):
        command = commands.add_parser(name, help=help_text)
        command.add_argument("--config", type=Path, required=True, metavar="FILE", help="TOML configuration file")
        if name == "check":
            command.add_argument("--offline", action="store_true", help="check only the configuration")
    return parser


if __name__ == "__main__":
    sys.exit(main())
