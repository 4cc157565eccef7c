"""The second way to programs, where a vendor's archive cannot be had: build influxd, unpack Debian's prometheus.

Standard library alone, Python >= 3.9. Needs no root. Every failure is a `CannotGet` whose text is one line.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tools.programs import INFLUXD_VERSION, cache_dir
from tools.vendor import CannotGet

MODULE = Path(__file__).parent / "influxd"


def build_influxd(target: Path) -> None:
    """Build influxd from its Go module (tools/influxd pins it), in about five minutes on two cores.

    The vendor's own way is `go build` with a pkg-config of theirs that builds libflux, which is Rust, by cargo. Two
    things are added: the toolchain that libflux pins is replaced by the installed one, and its denied warnings are
    warnings again, because a newer Rust has more of them. RUSTC_WRAPPER does that for the crate's build script as well;
    RUSTFLAGS does not.

    Raises:
        CannotGet: go or cargo is missing, or the build failed; its output is then in the cache's log.
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
    go_build = ["go", "build", "-mod=readonly", "-trimpath", "-o"]
    flags = ["-ldflags", f"-s -w -X main.version=v{INFLUXD_VERSION}", "-tags", "sqlite_foreign_keys,sqlite_json"]
    with log.open("w") as output:
        for command in (
            [*go_build, str(pkg_config), "github.com/influxdata/pkg-config"],
            [*go_build, str(built), *flags, "github.com/influxdata/influxdb/v2/cmd/influxd"],
        ):
            run = subprocess.run(
                command, cwd=MODULE, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
            if run.returncode != 0:
                raise CannotGet(f"its build failed: see {log}")
    built.replace(target)


def unpack_prometheus(folder_of_targets: Path) -> None:
    """Put prometheus and promtool of Debian's package into a folder, without installing the package.

    apt checks the package against the archive's signature.

    Raises:
        CannotGet: not a Debian, or apt has no such package.
    """
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise CannotGet("there is no apt-get here for Debian's package")
    with tempfile.TemporaryDirectory() as folder:
        if not _apt_download("prometheus", folder) and os.geteuid() == 0:
            # A new machine has no package lists yet.
            subprocess.run(["apt-get", "update", "-q"], capture_output=True, check=False)
            _apt_download("prometheus", folder)
        packages = list(Path(folder).glob("prometheus_*.deb"))
        if not packages:
            raise CannotGet("apt-get download prometheus found no package (try: apt-get update)")
        subprocess.run(["dpkg-deb", "-x", str(packages[0]), folder], check=True)
        for program in ("prometheus", "promtool"):
            shutil.copy(Path(folder) / "usr/bin" / program, folder_of_targets / program)


def _apt_download(package: str, folder: str) -> bool:
    run = subprocess.run(["apt-get", "download", "-q", package], cwd=folder, capture_output=True, check=False)
    return run.returncode == 0
