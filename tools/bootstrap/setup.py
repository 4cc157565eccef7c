"""`make setup`: gets everything the repository needs on this machine. A second run does nothing and reports that.

    python3 -m tools.bootstrap.setup

Prints one line per item. Without uv, an interpreter and the packages nothing works: exit code 1. If one of the other
programs is missing, only what needs it is left out, and its line says what to do.

Standard library only, Python >= 3.9.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tools.bootstrap import interpreter, programs, source, vendor
from tools.bootstrap.uv import Missing, find_uv

ROOT = Path(__file__).resolve().parent.parent.parent
VENV = ROOT / ".venv"

VENDOR = "the vendor's archive"
DEBIAN = "Debian's package"


def main() -> int:
    """Set up what is missing; the exit code is 1 if the repository cannot be used."""
    try:
        packages()
    except Missing as missing:
        say("failed", str(missing))
        return 1
    with alone(programs.cache_dir()):
        third_party()
    return 0


@contextmanager
def alone(cache: Path) -> Iterator[None]:
    """Only one set-up at a time gets programs: two would build in one folder and remove each other's results."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "set-up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("programs", "another set-up is getting them; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def packages() -> None:
    """Get uv, the interpreter, and the locked packages in .venv."""
    uv, new = find_uv()
    say("uv", " ".join(uv) + (" (installed)" if new else ""))
    python, version = interpreter.find_interpreter(uv, VENV)
    say("python", f"{version} {python}")
    sync = [*uv, "sync", "--frozen", "--group", "dev", "--python", str(python)]
    if subprocess.run([*sync, "--check", "--quiet"], cwd=ROOT, capture_output=True, check=False).returncode == 0:
        say("packages", "up to date")
    elif subprocess.run([*sync, "--quiet"], cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode == 0:
        say("packages", f"installed in {VENV}")
    else:
        raise Missing("uv could not install the packages of uv.lock: see its message above")


def third_party() -> None:
    """Get each program of programs.py: from PATH, the cache, the vendor's archive, or through source.py."""
    bin_folder = programs.cache_dir() / "bin"
    bin_folder.mkdir(parents=True, exist_ok=True)
    obtain(
        ["influxd"],
        [
            (VENDOR, lambda: vendor.influxd(bin_folder / "influxd")),
            ("its source (about five minutes)", lambda: source.build_influxd(bin_folder / "influxd")),
        ],
        f"install InfluxDB {programs.INFLUXD_VERSION}, or go and cargo; then run `make setup`",
    )
    obtain(
        ["prometheus", "promtool"],
        [
            (VENDOR, lambda: vendor.release("prometheus", ["prometheus", "promtool"], bin_folder)),
            (
                DEBIAN,
                lambda: source.unpack("prometheus", {"prometheus": "prometheus", "promtool": "promtool"}, bin_folder),
            ),
        ],
        "install Prometheus 2.42 or newer with its promtool; then run `make setup`",
    )
    obtain(
        ["alertmanager", "amtool"],
        [
            (VENDOR, lambda: vendor.release("alertmanager", ["alertmanager", "amtool"], bin_folder)),
            (DEBIAN, lambda: source.unpack_alertmanager(bin_folder)),
        ],
        "install Alertmanager 0.25 or newer with its amtool; then run `make setup`",
    )
    for exporter, oldest in (("node_exporter", "1.5"), ("blackbox_exporter", "0.23")):
        package = f"prometheus-{exporter.replace('_', '-')}"
        obtain(
            [exporter],
            [
                (VENDOR, partial(vendor.release, exporter, [exporter], bin_folder)),
                (DEBIAN, partial(source.unpack, package, {exporter: package}, bin_folder)),
            ],
            f"install {exporter} {oldest} or newer; then run `make setup`",
        )
    home = programs.cache_dir() / "lib" / "grafana"
    obtain(
        ["grafana"],
        [(VENDOR, lambda: vendor.grafana(bin_folder / "grafana", home))],
        "put a Grafana 11 or newer on PATH; `make demo` then starts it with every dashboard",
    )


def obtain(names: list[str], ways: list[tuple[str, Callable[[], None]]], remedy: str) -> None:
    """Find programs or try the ways to get them, in order. If all fail, print one line that says what to do."""
    reasons = []
    for way, get in ways:
        if all(programs.find(name) for name in names):
            break
        say(names[0], f"not here yet; trying {way}")
        try:
            get()
        except vendor.CannotGet as reason:
            reasons.append(str(reason))
    for name in names:
        if path := programs.find(name):
            say(name, f"{programs.version(name, path)} {path}")
        else:
            say(name, f"left out ({'; '.join(reasons)}): {remedy}")


def say(thing: str, state: str) -> None:
    """Print one line of set-up's report."""
    print(f"{thing:<18}{state}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
