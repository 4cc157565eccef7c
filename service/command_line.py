"""A service's command line, `NAME COMMAND --config FILE`: its parser, its event loop, its exit codes."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Any

from service.config_file import ConfigError
from service.event_loop import loop_factory

BAD_CONFIG = 2
"""Exit code for what an operator must correct first: none of our systemd units restarts on it."""

INTERRUPTED = 130

WARNING = "warning: "
"""Prefix of a problem that is not new and does no harm."""


def parsers(
    prog: str, description: str, commands: Mapping[str, str]
) -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """Return the parser and those of `commands` (name to help text): all take --config, `check` also --offline."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    group = parser.add_subparsers(dest="command", required=True)
    by_name = {name: group.add_parser(name, help=help_text) for name, help_text in commands.items()}
    for command in by_name.values():
        command.add_argument("--config", type=Path, required=True, metavar="FILE", help="the TOML file")
    by_name["check"].add_argument("--offline", action="store_true", help="check only this host: file and tokens")
    return parser, by_name


def exit_code(
    prog: str, command: Callable[[], int | Coroutine[Any, Any, int | None]], *refusals: type[Exception]
) -> int:
    """Run a command and return its exit code.

    ConfigError and `refusals`, also from within task groups, print one line to stderr and return BAD_CONFIG. Ctrl-C
    returns INTERRUPTED; completed work is kept. Every other error is raised.
    """
    refused: list[BaseException] = []
    kinds: tuple[type[Exception], ...] = (ConfigError, *refusals)
    code: int | None = BAD_CONFIG
    try:
        work = command()
        code = work if isinstance(work, int) else _run(work)
    except* kinds as group:
        refused.append(_innermost(group))
    except* KeyboardInterrupt:
        code = INTERRUPTED
        print(f"{prog}: interrupted", file=sys.stderr)
    if refused:
        print(f"{prog}: {refused[0]}", file=sys.stderr)
        return BAD_CONFIG
    return code or 0


def check_result(prog: str, problems: Iterable[str], right: str) -> int:
    """Print each problem of a `check` to stderr, or `right` if there are only warnings; return 0 or BAD_CONFIG."""
    wrong = False
    for problem in problems:
        print(f"{prog}: {problem}", file=sys.stderr)
        wrong = wrong or not problem.startswith(WARNING)
    if wrong:
        return BAD_CONFIG
    print(f"{prog}: {right}")
    return 0


def _run[T](work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(work)


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
