"""Builds a release of all services as one file: our wheels and those of all dependencies, with the hashes of uv.lock.

    python -m tools.release [--machine x86_64]      prints dist/marketdata-collector-<version>-<8 of its digest>.tar

The same source gives the same file, byte by byte; an existing one is not built again. The host that installs it only
needs Python 3.13: no index, no network, no compiler (pip is included as a wheel).
"""

import argparse
import hashlib
import io
import platform
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path

from tools.bootstrap.uv import Missing, find_uv

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
OWN = ("marketdata", "marketdata-platform")
PYTHON = "3.13"
GLIBC_MINORS = range(5, 42)
"""Wheels for any glibc from the oldest (2.5) to Debian 13's (2.41) are accepted."""


def main(argv: list[str] | None = None) -> int:
    """Build the release and print its path; returns 1 and prints one line if that is not possible."""
    parser = argparse.ArgumentParser(prog="python -m tools.release", description="Build the release.")
    parser.add_argument(
        "--machine", default=platform.machine(), help="machine type of the hosts, as in uname -m (%(default)s)"
    )
    machine = parser.parse_args(argv).machine
    try:
        print(build(machine))
    except (Missing, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        print(f"release: {said.strip()}", file=sys.stderr)
        return 1
    return 0


def build(machine: str) -> Path:
    """Build the release for a machine type, unless it exists, and return its path.

    Raises:
        Missing: uv is missing.
        CalledProcessError: uv or pip failed; its `stderr` has the reason.
    """
    uv, _ = find_uv()
    with tempfile.TemporaryDirectory(prefix="marketdata-release-") as folder:
        wheels = Path(folder)
        for package in OWN:
            _run([*uv, "build", "--quiet", "--wheel", "--package", package, "--python", sys.executable,
                  "--out-dir", str(wheels)])  # fmt: skip
        locked = _locked(uv, "--no-default-groups")
        installer = _locked(uv, "--only-group", "release")
        requirements = requirements_text(machine, locked, {path: path.read_bytes() for path in wheels.glob("*.whl")})
        path = DIST / f"{release_name(requirements)}.tar"
        if path.exists():
            return path
        for text in (locked, installer):
            _download(text, machine, wheels)
        files = {f"wheels/{wheel.name}": wheel.read_bytes() for wheel in wheels.glob("*.whl")}
        DIST.mkdir(exist_ok=True)
        half_written = path.with_suffix(".tmp")
        half_written.write_bytes(archive({"requirements.txt": requirements.encode(), **files}))
        half_written.replace(path)
        return path


def requirements_text(machine: str, locked: str, own: Mapping[Path, bytes]) -> str:
    """Return the packages to install, each with its hashes; `own` are our wheels, named by version. Pure."""
    lines = [f"# marketdata-collector for {machine}, Python {PYTHON}", locked.strip()]
    for path in sorted(own):
        name, version = path.name.split("-")[:2]
        lines.append(f"{name.replace('_', '-')}=={version} --hash=sha256:{hashlib.sha256(own[path]).hexdigest()}")
    return "\n".join(lines) + "\n"


def release_name(requirements: str) -> str:
    """Return the release's name: version and eight digits of a digest over its content. Pure except for the version."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    return f"marketdata-collector-{version}-{hashlib.sha256(requirements.encode()).hexdigest()[:8]}"


def archive(files: Mapping[str, bytes]) -> bytes:
    """Pack files into a tar that only depends on their names and content. Pure."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size = len(files[name])
            entry.mode = 0o644
            tar.addfile(entry, io.BytesIO(files[name]))
    return buffer.getvalue()


def platforms(machine: str) -> list[str]:
    """Return the platform tags, for pip, of wheels that run on a machine type. Pure."""
    return [f"manylinux_2_{minor}_{machine}" for minor in reversed(GLIBC_MINORS)] + [f"manylinux2014_{machine}"]


def _locked(uv: list[str], *selection: str) -> str:
    command = [*uv, "export", "--locked", "--quiet", "--no-emit-workspace", "--no-header", "--no-annotate",
               "--format", "requirements-txt", "--python", sys.executable, *selection]  # fmt: skip
    return _run(command)


def _download(requirements: str, machine: str, folder: Path) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(requirements)
        file.flush()
        tags = [option for tag in platforms(machine) for option in ("--platform", tag)]
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                   "--require-hashes", "--only-binary=:all:", "--implementation", "cp", "--python-version", PYTHON,
                   *tags, "--dest", str(folder), "--requirement", file.name]  # fmt: skip
        _run(command)


def _run(command: list[str]) -> str:
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
