"""The fallback if a vendor's archive is unavailable: build influxd, unpack Debian's packages for the others.

Standard library only, Python >= 3.9. Does not need root. Every failure is a `CannotGet` with a one-line message.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tools.bootstrap import go_build
from tools.bootstrap.programs import INFLUXD_VERSION, cache_dir
from tools.bootstrap.vendor import CannotGet

MODULE = Path(__file__).parent / "influxd"

ALERTMANAGER_TEMPLATES = "/usr/share/prometheus/alertmanager"
ALERTMANAGER_SCRIPT = """\
#!/bin/sh
# Debian's alertmanager, not installed: it reads its templates from file descriptor 9 (tools/bootstrap/source.py).
library=$(dirname "$0")/../lib/alertmanager
exec 9<"$library"
exec "$library/alertmanager" "$@"
"""


def build_influxd(target: Path) -> None:
    """Build influxd from its Go module (pinned in tools/bootstrap/influxd), in about five minutes on two cores.

    The vendor's own way is `go build` with its own pkg-config, which builds libflux, a Rust library, with cargo. We add
    two things: the toolchain that libflux pins is replaced by the installed one, and its denied warnings become
    warnings again, because a newer Rust has more of them. RUSTC_WRAPPER also does that for the crate's build script;
    RUSTFLAGS does not.

    Raises:
        CannotGet: go or cargo is missing, or the build failed; the output is then in the cache's log.
    """
    missing = [tool for tool in ("go", "cargo", "cc") if shutil.which(tool) is None]
    if missing:
        raise CannotGet(f"building it needs {' and '.join(missing)}")
    work = cache_dir() / "build"
    work.mkdir(parents=True, exist_ok=True)
    wrapper = work / "rustc-wrapper"
    wrapper.write_text('#!/bin/sh\nexec "$@" --cap-lints warn\n')
    wrapper.chmod(0o755)
    log = work / "influxd.log"
    pkg_config = work / "pkg-config"
    built = work / "influxd"
    environment = {
        **os.environ,
        "CGO_ENABLED": "1",
        "PKG_CONFIG": str(pkg_config),
        "RUSTC_WRAPPER": str(wrapper),
        "RUSTUP_TOOLCHAIN": os.environ.get("RUSTUP_TOOLCHAIN", "stable"),
    }
    flags = ["-ldflags", f"-s -w -X main.version=v{INFLUXD_VERSION}", "-tags", "sqlite_foreign_keys,sqlite_json"]
    log.unlink(missing_ok=True)
    for what, package, program, with_flags in (
        ("influxd (1 of 2)", "github.com/influxdata/pkg-config", pkg_config, []),
        ("influxd (2 of 2)", "github.com/influxdata/influxdb/v2/cmd/influxd", built, flags),
    ):
        if not go_build.build(what, package, program, with_flags, module=MODULE, environment=environment, log=log):
            raise CannotGet(f"its build failed: see {log}")
    built.replace(target)


def unpack(package: str, programs: Mapping[str, str], folder_of_targets: Path) -> None:
    """Extract programs from a Debian package to a folder, without installing the package.

    `programs`: our name for each, and its name in the package's usr/bin. apt checks the package against the archive's
    signature.

    Raises:
        CannotGet: not a Debian system, or apt has no such package.
    """
    with tempfile.TemporaryDirectory() as folder:
        _unpacked(package, Path(folder))
        for ours, theirs in programs.items():
            shutil.copy(Path(folder) / "usr/bin" / theirs, folder_of_targets / ours)


def unpack_alertmanager(folder_of_targets: Path) -> None:
    """Extract alertmanager and amtool from Debian's package to a folder, with the templates that it needs.

    Debian's alertmanager reads default.tmpl and email.tmpl from a path that is compiled in and only exists if the
    package is installed (the vendor's has them built in). Without them it does not start, and no option changes the
    path. So in our copy the path is replaced by another of the same length: file descriptor 9, which the start script
    opens on the templates' folder.

    Raises:
        CannotGet: not a Debian system, no such package, or one that is built differently.
    """
    library = folder_of_targets.parent / "lib" / "alertmanager"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _unpacked("prometheus-alertmanager", root)
        program = relocated((root / "usr/bin/prometheus-alertmanager").read_bytes())
        shutil.rmtree(library, ignore_errors=True)
        library.mkdir(parents=True)
        for template in (root / ALERTMANAGER_TEMPLATES.lstrip("/")).glob("*.tmpl"):
            shutil.copy(template, library)
        _write_program(library / "alertmanager", program)
        shutil.copy(root / "usr/bin/amtool", folder_of_targets / "amtool")
    _write_program(folder_of_targets / "alertmanager", ALERTMANAGER_SCRIPT.encode())


def relocated(program: bytes) -> bytes:
    """Return Debian's alertmanager, patched to read its templates from file descriptor 9. Raises CannotGet."""
    there = ALERTMANAGER_TEMPLATES.encode()
    if there not in program:
        raise CannotGet(f"Debian's alertmanager does not read {ALERTMANAGER_TEMPLATES} as expected")
    return program.replace(there, b"/proc/self/fd/9".ljust(len(there), b"/"))


def _write_program(path: Path, content: bytes) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(content)
    part.chmod(0o755)
    part.replace(path)


def _unpacked(package: str, folder: Path) -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise CannotGet("there is no apt-get here for Debian's package")
    if not _apt_download(package, folder) and os.geteuid() == 0:
        # A new machine does not have package lists yet.
        subprocess.run(["apt-get", "update", "-q"], capture_output=True, check=False)
        _apt_download(package, folder)
    packages = list(folder.glob(f"{package}_*.deb"))
    if not packages:
        raise CannotGet(f"apt-get download {package} found no package (try: apt-get update)")
    subprocess.run(["dpkg-deb", "-x", str(packages[0]), str(folder)], check=True)


def _apt_download(package: str, folder: Path) -> bool:
    run = subprocess.run(["apt-get", "download", "-q", package], cwd=folder, capture_output=True, check=False)
    return run.returncode == 0
