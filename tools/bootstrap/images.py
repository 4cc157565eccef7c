"""Provides the InfluxDB image for integration tests: the official one if it can be pulled, otherwise one built here.

The image built here contains only our influxd and the shared libraries it is linked to: it needs no base image, root or
network, and has the libraries influxd was built with.

    python -m tools.bootstrap.images      prints the image's name
"""

import io
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import docker
from docker.errors import DockerException, ImageNotFound

from tools.bootstrap import programs

OFFICIAL = f"influxdb:{programs.INFLUXD_VERSION}"
OWN = f"marketdata-influxdb:{programs.INFLUXD_VERSION}"
INFLUXD = "/usr/local/bin/influxd"


class NoImage(Exception):
    """The image can be neither pulled nor built. The message says what to do."""


def influxdb_image() -> str:
    """Return the name of an InfluxDB image that the engine has, pulling or building it if necessary.

    Raises:
        NoImage: it can be neither pulled nor built.
    """
    client = docker.from_env(timeout=600)
    try:
        for name in (OFFICIAL, OWN):
            try:
                client.images.get(name)
            except ImageNotFound:
                continue
            return name
        try:
            client.images.pull(OFFICIAL)
        except DockerException as refused:
            return _make(client, str(refused))
        return OFFICIAL
    finally:
        client.close()


def _make(client: docker.DockerClient, refused: str) -> str:
    influxd = programs.find("influxd")
    if influxd is None:
        raise NoImage(
            f"{OFFICIAL} cannot be pulled ({refused}) and there is no influxd: run `make setup` for the reason"
        )
    client.api.import_image_from_data(
        root_filesystem(influxd),
        repository=OWN.partition(":")[0],
        tag=OWN.partition(":")[2],
        changes=[f'ENTRYPOINT ["{INFLUXD}"]', "EXPOSE 8086", "ENV HOME=/root"],
    )
    return OWN


def root_filesystem(influxd: Path) -> bytes:
    """Return a tar with influxd, its shared libraries where the loader expects them, and the folders it writes to."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder, mode in (("tmp", 0o1777), ("root", 0o700), ("var/lib/influxdb2", 0o755)):
            entry = tarfile.TarInfo(folder)
            entry.type = tarfile.DIRTYPE
            entry.mode = mode
            tar.addfile(entry)
        tar.add(influxd.resolve(), INFLUXD.lstrip("/"))
        for library in shared_libraries(influxd):
            tar.add(library.resolve(), str(library).lstrip("/"))
    return buffer.getvalue()


def shared_libraries(program: Path) -> list[Path]:
    """Return the libraries that `ldd` lists for a program, including the loader; none for a static one."""
    run = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False)
    return [Path(path) for path in re.findall(r"(/\S+) \(0x", run.stdout)]


if __name__ == "__main__":
    try:
        print(influxdb_image())
    except NoImage as reason:
        sys.exit(str(reason))
