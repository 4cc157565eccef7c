"""`sentinel run|check --config FILE`: the command line."""

import argparse
import sys
from collections.abc import Coroutine, Sequence
from typing import Any

from sentinel import app, check
from sentinel.config import load, trusted
from service.command_line import check_result, exit_code, parsers
from service.logs import log_to_stderr

DESCRIPTION = "Read candles back from the stores and export their age and completeness."
COMMANDS = {"run": "watch until stopped", "check": "check configuration, stores and tokens; writes nothing"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, or 2 if the configuration is invalid or a check failed."""
    parser, _ = parsers("sentinel", DESCRIPTION, COMMANDS)
    arguments = parser.parse_args(argv)
    return exit_code("sentinel", lambda: _command(arguments))


def _command(arguments: argparse.Namespace) -> int | Coroutine[Any, Any, int | None]:
    config = load(arguments.config)
    log_to_stderr(config.sentinel.log_level)
    if arguments.command == "run":
        return app.run(config)
    if not arguments.offline:
        return check.run(config)
    trusted(config)
    return check_result("sentinel", (), "the configuration is valid (no connections were made)")


if __name__ == "__main__":
    sys.exit(main())
