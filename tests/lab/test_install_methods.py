"""A site without a way out: programs from a vendor's package by path, and from an archive by URL with its checksum."""

import hashlib
import json
import subprocess
import tarfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from tests.lab.listening import listening
from tests.lab.machine import Machine
from tests.lab.played import Played, play
from tools.bootstrap import programs
from tools.lab.hosts import Lab

pytestmark = pytest.mark.usefixtures("converged")

PACKAGED_UNIT = """[Service]
Type=forking
ExecStart=/usr/bin/false
"""
"""Stands for the vendor's own unit, which is not to be the one that runs (research: it loops)."""


class Handler(SimpleHTTPRequestHandler):
    """Files of a folder, without a word."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(lab: Lab, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and its URL as hosts of the lab reach it."""
    with listening(lab.control_address, partial(Handler, directory=str(tmp_path))) as url:
        yield tmp_path, url


def program(name: str) -> Path:
    found = programs.find(name)
    assert found is not None
    return found


def digest(file: Path) -> str:
    return f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"


def executable(machine: Machine, unit: str) -> str:
    """The file that a unit's process runs."""
    return machine.run(f"readlink /proc/$(systemctl show --property=MainPID --value {unit})/exe").strip()


def installed(lab: Lab, host: str, role: str, **variables: str) -> Played:
    given = json.dumps({f"{role}_{name}": value for name, value in variables.items()})
    return play(lab, "site.yml", "--limit", host, "--tags", role, "-e", given)


def test_the_vendors_package_runs_under_our_unit_with_the_data_that_is_there(
    lab: Lab, machines: dict[str, Machine], tmp_path: Path
) -> None:
    store = machines["influx1"]
    tasks = json.loads(store.script("store.py", "tasks"))
    root = tmp_path / "influxdb2"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN/control").write_text(
        "Package: influxdb2\nVersion: 2.7.12\nArchitecture: all\nMaintainer: nobody\nDescription: influxd\n"
    )
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/influxd").write_bytes(program("influxd").read_bytes())
    (root / "usr/bin/influxd").chmod(0o755)
    (root / "usr/lib/systemd/system").mkdir(parents=True)
    (root / "usr/lib/systemd/system/influxdb.service").write_text(PACKAGED_UNIT)
    package = tmp_path / "influxdb2.deb"
    subprocess.run(["dpkg-deb", "-Znone", "--root-owner-group", "--build", root, package], check=True)

    done = installed(
        lab,
        "influx1",
        "influxdb",
        install_method="package",
        package_source=str(package),
        checksum=digest(package),
    )

    assert done, done.output
    assert executable(store, "influxdb.service") == "/usr/bin/influxd"
    assert json.loads(store.script("store.py", "tasks")).keys() == tasks.keys()
    back = play(lab, "site.yml", "--limit", "influx1", "--tags", "influxdb")
    assert back, back.output
    assert executable(store, "influxdb.service") == "/usr/local/bin/influxd"
    store.run("dpkg --purge influxdb2")


def test_an_archive_by_url_is_installed_and_one_with_another_checksum_is_not(
    lab: Lab, machines: dict[str, Machine], served: tuple[Path, str]
) -> None:
    folder, url = served
    archive = folder / "node_exporter-1.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as packed:
        packed.add(program("node_exporter"), "node_exporter-1/node_exporter")
    host, unit = machines["collector1"], "prometheus-node-exporter.service"
    before = host.run(f"systemctl show --property=MainPID --value {unit}; sha256sum /usr/local/bin/node_exporter")
    install = partial(
        installed,
        lab,
        "collector1",
        "node_exporter",
        install_method="archive",
        package_source=f"{url}{archive.name}",
        archive_folder="node_exporter-1",
    )

    refused = install(checksum=f"sha256:{'0' * 64}")
    assert not refused
    assert "checksum" in refused.output
    after = host.run(f"systemctl show --property=MainPID --value {unit}; sha256sum /usr/local/bin/node_exporter")
    assert after == before

    host.run("cd /usr/local/bin && cp node_exporter new && echo damaged >> new && mv new node_exporter")
    done = install(checksum=digest(archive))
    assert done, done.output
    assert host.run("sha256sum /usr/local/bin/node_exporter").split()[0] == digest(program("node_exporter"))[7:]
    assert host.run(f"systemctl is-active {unit}") == "active\n"
    assert install(checksum=digest(archive)).changed == {}
    assert play(lab, "site.yml", "--limit", "collector1", "--tags", "node_exporter").changed == {}
