"""Gets programs from their vendors' archives and verifies them with what the vendor publishes.

Standard library only, Python >= 3.9. Every failure is a `CannotGet` with a one-line message; set-up then tries the next
way.
"""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import subprocess
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path

from tools.bootstrap.programs import GRAFANA_VERSION, INFLUXD_VERSION, RELEASES

CONNECT_SECONDS = 5  # offline must not be slow: after this, the next way is tried

# Location, signature and key are the same that the official Docker image of InfluxDB uses to verify the archive:
# https://github.com/influxdata/influxdata-docker/blob/master/influxdb/2.7/Dockerfile
# InfluxData publishes the primary key's fingerprint: https://www.influxdata.com/blog/package-signing-key-rotation
INFLUXDATA_KEY_URL = "https://repos.influxdata.com/influxdata-archive.key"
INFLUXDATA_FINGERPRINT = "24C975CBA61A024EE1B631787C3D57159FC2F927"
INFLUXDB_ARCHIVES = f"https://dl.influxdata.com/influxdb/releases/v{INFLUXD_VERSION}/"

# Each release of Prometheus and its companions has a sha256sums.txt beside its archives:
# https://prometheus.io/download/
PROMETHEUS_ARCHIVES = "https://github.com/prometheus/{project}/releases/download/v{version}/"

# Each archive of Grafana has its checksum in a file beside it: https://grafana.com/grafana/download
GRAFANA_ARCHIVES = "https://dl.grafana.com/oss/release/"


class CannotGet(Exception):
    """This way of getting a program does not work here. The message gives the reason in one line."""


def influxd(target: Path) -> None:
    """Put the influxd of InfluxData's archive at `target`, verified by InfluxData's signature.

    Raises:
        CannotGet: no archive for this machine, no gpg, no network, or an invalid signature.
    """
    if shutil.which("gpg") is None:
        raise CannotGet("the archive's signature cannot be checked without gpg")
    name = f"influxdb2-{INFLUXD_VERSION}_{_system()}_{_machine()}.tar.gz"
    with tempfile.TemporaryDirectory() as folder:
        key = _download(INFLUXDATA_KEY_URL, Path(folder))
        signature = _download(INFLUXDB_ARCHIVES + name + ".asc", Path(folder))
        archive = _download(INFLUXDB_ARCHIVES + name, Path(folder))
        _check_signature(archive, signature, key, Path(folder) / "gnupg")
        _extract(archive, "influxd", target)


def release(project: str, programs: Iterable[str], folder_of_targets: Path) -> None:
    """Extract programs from a Prometheus project's release to a folder, verified by the release's sha256sums.txt.

    `project` is a key of RELEASES and the archive's name; its version is pinned there.

    Raises:
        CannotGet: no archive for this machine, no network, or a different checksum.
    """
    location = PROMETHEUS_ARCHIVES.format(project=project, version=RELEASES[project])
    name = f"{project}-{RELEASES[project]}.{_system()}-{_machine()}.tar.gz"
    with tempfile.TemporaryDirectory() as folder:
        sums = _download(location + "sha256sums.txt", Path(folder))
        archive = _download(location + name, Path(folder))
        check_sha256(archive, sums.read_text(encoding="utf-8"))
        for program in programs:
            _extract(archive, program, folder_of_targets / program)


def grafana(target: Path, home: Path) -> None:
    """Unpack Grafana's archive as `home` and link its program to `target`, verified by its published checksum.

    Raises:
        CannotGet: no archive for this machine, no network, or a different checksum.
    """
    name = f"grafana-{GRAFANA_VERSION}.{_system()}-{_machine()}.tar.gz"
    with tempfile.TemporaryDirectory() as folder:
        published = _download(f"{GRAFANA_ARCHIVES}{name}.sha256", Path(folder)).read_text(encoding="utf-8").split()
        archive = _download(GRAFANA_ARCHIVES + name, Path(folder))
        check_sha256(archive, f"{published[0] if published else ''}  {name}\n")
        unpack_whole(archive, home)
    part = target.with_suffix(".part")
    part.unlink(missing_ok=True)
    part.symlink_to(home / "bin" / "grafana")
    part.replace(target)


def unpack_whole(archive: Path, folder: Path) -> None:
    """Unpack an archive with a single folder as `folder`, replacing what was there."""
    with tempfile.TemporaryDirectory(dir=_made(folder.parent)) as work:
        with tarfile.open(archive) as tar:
            # Python's docs, tarfile, "Supporting older Python versions": an old 3.9 has no filters.
            tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, _path: member)
            tar.extractall(work)  # noqa: S202
        entries = list(Path(work).iterdir())
        if len(entries) != 1:
            raise CannotGet(f"{archive.name} does not consist of one folder as expected")
        shutil.rmtree(folder, ignore_errors=True)
        entries[0].replace(folder)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def check_sha256(file: Path, published: str) -> None:
    """Compare a file with its line (`<sum>  <name>`) in a published list; raises CannotGet if they differ."""
    lines = [line.split() for line in published.splitlines()]
    expected = [line[0] for line in lines if len(line) == 2 and line[1].lstrip("*") == file.name]
    with file.open("rb") as stream:
        digest = hashlib.sha256()
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    if expected != [digest.hexdigest()]:
        raise CannotGet(f"{file.name} does not have the checksum that its vendor publishes")


def signed_by(gpg_status: str, primary_fingerprint: str) -> bool:
    """Return whether gpg's --status-fd text reports a valid signature by the key with this primary fingerprint.

    The last word of a VALIDSIG line is the primary key's fingerprint (GnuPG, doc/DETAILS).
    """
    return re.search(rf"^\[GNUPG:\] VALIDSIG .* {primary_fingerprint}$", gpg_status, re.MULTILINE) is not None


def _check_signature(archive: Path, signature: Path, key: Path, home: Path) -> None:
    home.mkdir(mode=0o700)
    gpg = ["gpg", "--homedir", str(home), "--batch", "--no-autostart", "--status-fd", "1"]
    subprocess.run([*gpg, "--import", str(key)], capture_output=True, check=False)
    status = subprocess.run(
        [*gpg, "--verify", str(signature), str(archive)], capture_output=True, text=True, check=False
    ).stdout
    if not signed_by(status, INFLUXDATA_FINGERPRINT):
        raise CannotGet(f"{archive.name} is not signed by InfluxData's key {INFLUXDATA_FINGERPRINT}")


def _download(url: str, folder: Path) -> Path:
    file = folder / url.rsplit("/", 1)[1]
    try:
        # Every url in this module is https, see above.
        with urllib.request.urlopen(url, timeout=CONNECT_SECONDS) as answer, file.open("wb") as out:  # noqa: S310
            shutil.copyfileobj(answer, out)
    except (urllib.error.URLError, OSError) as error:
        raise CannotGet(f"{url}: {getattr(error, 'reason', error)}") from error
    return file


def _extract(archive: Path, program: str, target: Path) -> None:
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile() and Path(member.name).name == program:
                stream = tar.extractfile(member)
                assert stream is not None
                part = target.with_suffix(".part")
                with stream, part.open("wb") as out:
                    shutil.copyfileobj(stream, out)
                part.chmod(0o755)
                part.replace(target)
                return
    raise CannotGet(f"{archive.name} does not contain {program}")


def _system() -> str:
    return platform.system().lower()


def _machine() -> str:
    machine = platform.machine().lower()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
