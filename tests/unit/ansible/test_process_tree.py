"""What runs of a service, from /proc: real processes, a shell and what it starts."""

import os
import subprocess
import sys
from pathlib import Path

from bot_commands import configs, runs_with, script, trading
from process_tree import Process, tree

from tests.support import eventually

OURS = "/etc/marketdata-feeder/a.json"


def started(folder: Path, argv: list[str]) -> "subprocess.Popen[bytes]":
    program = folder / "freqtrade"
    program.write_text("import sys\nsys.stdin.read()\n", encoding="utf-8")
    environment = {"PATH": os.environ["PATH"], "HTTPS_PROXY": "http://10.0.0.9:3128"}
    return subprocess.Popen(argv, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)


def bots(main: int) -> list[Process]:
    return [process for process in tree(main) if script(process.argv) is None and trading(process.argv)]


def test_what_a_shell_was_given_behind_its_text_is_no_argument_of_the_bot(tmp_path: Path) -> None:
    text = f"{sys.executable} freqtrade trade --config c.json; true"
    with started(tmp_path, ["/bin/bash", "-c", text, "--config", OURS]) as main:
        try:
            eventually(lambda: bots(main.pid), 30, what="the bot in the shell's tree")
            found = tree(main.pid)
            assert OURS in found[0].argv  # what an eye on the main process alone would take for a proof
            assert not [process for process in found if runs_with(process.argv, OURS)]
            (bot,) = bots(main.pid)
            assert configs(trading(bot.argv)) == ["c.json"]
        finally:
            main.communicate()


def test_a_bot_within_a_shell_that_was_given_the_file_is_seen_with_its_folder_and_environment(tmp_path: Path) -> None:
    text = f"{sys.executable} freqtrade trade --config c.json --config {OURS}; true"
    with started(tmp_path, ["/bin/bash", "-c", text]) as main:
        try:
            eventually(lambda: bots(main.pid), 30, what="the bot in the shell's tree")
            (bot,) = bots(main.pid)
            assert configs(trading(bot.argv)) == ["c.json", OURS]
            assert (bot.folder, bot.environment["HTTPS_PROXY"]) == (str(tmp_path), "http://10.0.0.9:3128")
            assert (bot.root / bot.folder.lstrip("/") / "freqtrade").exists()
        finally:
            main.communicate()


def test_a_process_that_has_ended_has_no_tree() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    assert tree(ended.pid) == []
    assert tree(0) == []
