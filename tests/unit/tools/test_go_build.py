"""A long build shows how far it is: packages done of how many, on one line of a terminal, now and then elsewhere."""

import io
import os
from pathlib import Path

import pytest

from tools.bootstrap import go_build
from tools.bootstrap.go_build import LINE_EVERY_SECONDS, Progress

GO = """\
#!/bin/sh
case "$1" in
list) printf 'unsafe\\ninternal/a\\nexample.com/b\\n';;
build) echo 'go: downloading example.com/b v1.0.0' >&2; printf 'internal/a\\nexample.com/b\\n' >&2
  while [ "$1" != -o ]; do shift; done; echo built > "$2"; exit %d;;
esac
"""


class Terminal(io.StringIO):
    """What a terminal was sent."""

    def isatty(self) -> bool:
        return True


def test_packages_are_counted_by_their_names_in_what_this_build_printed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("internal/a\n")
    start = log.stat().st_size
    with log.open("a") as printed:
        printed.write("go: downloading example.com/b v1.0.0\nexample.com/b\nexample.com/b\nld: warning\n")
    assert go_build.built(log, start, {"internal/a", "example.com/b", "unsafe"}) == 1


def test_a_terminal_has_one_line_that_is_written_over_and_gone_at_the_end() -> None:
    terminal = Terminal()
    progress = Progress("influxd", terminal, now=0.0)
    progress.show("downloading modules", 1.0)
    progress.show("9 of 10 packages built", 61.0)
    progress.end()
    shown = terminal.getvalue().split("\r")
    assert "\n" not in terminal.getvalue()
    assert shown[2].rstrip() == "influxd           9 of 10 packages built, 1:01 so far"
    assert not shown[-2].strip()
    assert shown[-1] == ""


def test_a_log_has_a_whole_line_now_and_then() -> None:
    output = io.StringIO()
    progress = Progress("influxd", output, now=0.0)
    for second in range(int(2 * LINE_EVERY_SECONDS) + 1):
        progress.show(f"{second} of 99 packages built", float(second))
    progress.end()
    lines = output.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[-1].startswith(f"influxd           {2 * LINE_EVERY_SECONDS:.0f} of 99 packages built")


@pytest.mark.parametrize("exit_code", [0, 1])
def test_a_build_is_as_good_as_its_exit_code_and_keeps_what_go_printed(tmp_path: Path, exit_code: int) -> None:
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text(GO % exit_code)
    go.chmod(0o755)
    path = f"{go.parent}:{os.environ['PATH']}"
    log, target = tmp_path / "log", tmp_path / "program"
    built = go_build.build(
        "program",
        "example.com/b",
        target,
        ["-tags", "some"],
        module=tmp_path,
        environment={"PATH": path},
        log=log,
        output=io.StringIO(),
    )
    assert built is (exit_code == 0)
    assert target.read_text() == "built\n"
    assert "downloading" in log.read_text()
