"""Exit codes are what systemd, plays and people act on: 0, the command's own, 2 with one line, 130 after Ctrl-C."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from service.command_line import check_result, exit_code, parsers
from service.config_file import ConfigError


class Refusal(Exception):
    """A reason to refuse a command."""


async def in_groups(error: Exception) -> int:
    async with asyncio.TaskGroup(), asyncio.TaskGroup():
        raise error


async def coroutine(code: int | None) -> int | None:
    return code


def raising(error: BaseException) -> Callable[[], int]:
    def command() -> int:
        raise error

    return command


@pytest.mark.parametrize(("given", "code"), [(0, 0), (1, 1), (None, 0)])
def test_a_commands_own_code_is_the_exit_code(given: int | None, code: int) -> None:
    assert exit_code("collector", lambda: coroutine(given)) == code
    assert exit_code("collector", lambda: given or 0) == code


@pytest.mark.parametrize("error", [ConfigError("store.url is missing"), Refusal("no such pair")])
def test_a_refusal_is_one_line_and_exit_code_2_even_from_task_groups(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("collector", raising(error), Refusal) == 2
    assert exit_code("collector", lambda: in_groups(error), Refusal) == 2
    assert capsys.readouterr().err == f"collector: {error}\n" * 2


def test_any_other_error_is_raised() -> None:
    with pytest.raises(Refusal, match="away"):
        exit_code("collector", raising(Refusal("away")))


def test_ctrl_c_is_exit_code_130_and_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("gateway", raising(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "gateway: interrupted\n"


def test_every_command_takes_a_config_file_and_check_takes_offline(capsys: pytest.CaptureFixture[str]) -> None:
    parser, commands = parsers("sentinel", "Watch.", {"run": "watch until stopped", "check": "look"})
    assert set(commands) == {"run", "check"}
    arguments = parser.parse_args(["check", "--config", "a.toml", "--offline"])
    assert (arguments.command, arguments.config, arguments.offline) == ("check", Path("a.toml"), True)
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args(["run"])
    assert "--config" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("problems", "code", "out", "err"),
    [
        ([], 0, "gateway: all is right\n", ""),
        (["warning: old"], 0, "gateway: all is right\n", "gateway: warning: old\n"),
        (
            ["warning: old", "a is wrong", "b too"],
            2,
            "",
            "gateway: warning: old\ngateway: a is wrong\ngateway: b too\n",
        ),
    ],
)
def test_a_check_prints_every_problem_or_success_and_warnings_do_not_fail_it(
    problems: list[str], code: int, out: str, err: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check_result("gateway", problems, "all is right") == code
    assert capsys.readouterr() == (out, err)
