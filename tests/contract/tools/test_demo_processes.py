"""The demo's children end with it, whichever way it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import eventually
from tools.demo.folder import Folder, InUse
from tools.demo.processes import ChildDied, Children

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has died and is not yet collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.fixture
def children(tmp_path: Path) -> Children:
    return Children(tmp_path, tmp_path, os.environ)


def test_stop_ends_a_child_that_ignores_sigterm(children: Children) -> None:
    child = children.start("stubborn", [sys.executable, "-c", STUBBORN])
    eventually(lambda: "up" in child.log.read_text(encoding="utf-8"))
    children.stop(stop_seconds=0.2)
    assert child.process.returncode == -signal.SIGKILL
    assert not alive(child.process.pid)


def test_stop_lets_a_child_end_in_order_and_ends_the_newest_first(children: Children, tmp_path: Path) -> None:
    order = tmp_path / "order"
    script = (
        "import signal, sys, time\n"
        f"signal.signal(signal.SIGTERM, lambda *_: (open({str(order)!r}, 'a').write(sys.argv[1]), sys.exit(0)))\n"
        "print('up', flush=True)\ntime.sleep(600)"
    )
    started = [children.start(name, [sys.executable, "-c", script, name]) for name in ("a", "b", "c")]
    for child in started:
        eventually(lambda child=child: "up" in child.log.read_text(encoding="utf-8"))  # type: ignore[misc]
    children.stop()
    assert order.read_text(encoding="utf-8") == "cba"
    assert [child.process.returncode for child in started] == [0, 0, 0]


async def test_a_child_that_dies_is_named_with_the_end_of_its_log(children: Children) -> None:
    children.start("influxd", [sys.executable, "-c", "print('the disk is full'); raise SystemExit(3)"])
    with pytest.raises(ChildDied) as caught:
        await children.watch()
    first, *rest = str(caught.value).splitlines()
    assert "influxd" in first
    assert "exit code 3" in first
    assert any("the disk is full" in line for line in rest)


async def test_a_command_that_fails_is_named_too(children: Children) -> None:
    with pytest.raises(ChildDied, match="no-such-program"):
        await children.run("one-shot", ["no-such-program"])


async def test_a_command_that_works_is_silent(children: Children) -> None:
    await children.run("one-shot", [sys.executable, "-c", ""])


def test_children_do_not_survive_a_demo_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import os, sys, time\nfrom pathlib import Path\nfrom tools.demo.processes import Children\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "child = Children(folder, folder, os.environ).start('stubborn', [sys.executable, '-c', sys.argv[1]])\n"
        "while 'up' not in child.log.read_text(): time.sleep(0.01)\n"
        "print(child.process.pid, flush=True)\ntime.sleep(600)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, STUBBORN], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(parent.stdout.readline())
    assert alive(pid)
    parent.kill()
    parent.wait()
    eventually(lambda: not alive(pid))


def test_a_folder_belongs_to_one_run_and_is_made_new_for_the_next(tmp_path: Path) -> None:
    path = tmp_path / ".demo"
    folder = Folder(path)
    (folder.secrets / "old.token").write_text("secret", encoding="utf-8")
    with pytest.raises(InUse):
        Folder(path)
    folder.release()
    again = Folder(path)
    assert not list(again.secrets.iterdir())
    assert path.stat().st_mode & 0o777 == 0o700
    again.release()
