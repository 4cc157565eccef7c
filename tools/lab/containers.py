"""The lab's network and containers: started, found again and removed by name."""

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import docker
import yaml
from docker.errors import APIError, NotFound
from docker.models.containers import Container
from docker.models.networks import Network
from docker.types import IPAMConfig, IPAMPool

from tools.bootstrap import programs
from tools.lab.hosts import ROOT, Lab
from tools.lab.image import lab_image

# Needed for systemd's mounts and namespaces, LoadCredential, PrivateUsers (reads /proc of its parent) and nftables.
CAPABILITIES = ["SYS_ADMIN", "SYS_PTRACE", "NET_ADMIN"]
START_SECONDS = 60.0

INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_INSTANCES = 1024
"""The kernel's default of 128 is shared by all containers: a few systemds use it up, and Prometheus, which watches its
target files, then finds no targets."""


class NoLab(Exception):
    """A host of the lab did not come up. The message says which and why."""


def up(lab: Lab, say: Callable[[str], None] = print) -> None:
    """Start what is missing from the lab; running hosts are left alone.

    Raises:
        NoLab: a host does not come up.
        NoImage: there is no image for the hosts.
    """
    image = lab_image()
    if int(INOTIFY.read_text()) < INOTIFY_INSTANCES:
        INOTIFY.write_text(str(INOTIFY_INSTANCES))
    key = _key(lab)
    lab.overlay.write_text(yaml.safe_dump(lab.reached()), encoding="utf-8")
    client = docker.from_env(timeout=120)
    try:
        network = _network(client, lab)
        for host in lab.addresses:
            container = _container(client, lab, host)
            if container is None:
                _create(client, lab, network, host, image, key)
                subprocess.run(
                    ["ssh-keygen", "-q", "-f", str(lab.folder / "known_hosts"), "-R", lab.addresses[host]],
                    capture_output=True,
                    check=False,
                )
            elif container.status != "running":
                container.start()
        for host, address in lab.addresses.items():
            _wait(client, lab, host)
            say(f"{lab.container(host)} {address}")
    finally:
        client.close()


def down(lab: Lab) -> None:
    """Remove the lab's containers, network, cgroups and folder."""
    client = docker.from_env(timeout=120)
    try:
        image = None
        for host in lab.addresses:
            if container := _container(client, lab, host):
                image = container.attrs["Image"]
                container.remove(force=True, v=True)
        if image:
            _remove_cgroups(client, lab, image)
        with contextlib.suppress(NotFound):
            client.networks.get(lab.name).remove()
    finally:
        client.close()
    shutil.rmtree(lab.folder, ignore_errors=True)


def _network(client: docker.DockerClient, lab: Lab) -> Network:
    try:
        return client.networks.get(lab.name)
    except NotFound:
        pool = IPAMPool(subnet=lab.subnet, gateway=lab.control_address)
    try:
        return client.networks.create(lab.name, driver="bridge", ipam=IPAMConfig(pool_configs=[pool]))
    except APIError as refused:
        hint = "another lab or network may be using it: set MARKETDATA_LAB_SUBNET, such as 192.168.60"
        raise NoLab(f"network {lab.name} {lab.subnet}: {refused.explanation}; {hint}") from refused


def _container(client: docker.DockerClient, lab: Lab, host: str) -> Container | None:
    try:
        return client.containers.get(lab.container(host))
    except NotFound:
        return None


def _create(client: docker.DockerClient, lab: Lab, network: Network, host: str, image: str, key: str) -> None:
    container = client.containers.create(
        image,
        name=lab.container(host),
        hostname=host,
        network_mode="none",  # until it is connected below, with its address
        cap_add=CAPABILITIES,
        security_opt=["seccomp=unconfined", "apparmor=unconfined"],
        cgroupns="host",
        tmpfs={"/run": "exec,mode=755", "/tmp": "exec,mode=1777"},  # noqa: S108  the host's, not ours
        volumes={source: {"bind": target, "mode": "ro"} for source, target in _mounts().items()},
        environment={"container": "docker", "LAB_CGROUP": lab.container(host), "LAB_KEY": key},
        stop_signal="SIGRTMIN+3",
    )
    client.networks.get("none").disconnect(container)
    network.connect(container, ipv4_address=lab.addresses[host], aliases=[host])
    container.start()


def _mounts() -> dict[str, str]:
    """Return what the hosts see of this machine, and where: the simulator, and files that set-up's programs need."""
    mounts = {str(ROOT / "simulator"): "/opt/marketdata-simulator/simulator"}
    if (library := programs.cache_dir() / "lib").is_dir():
        mounts |= {str(folder): f"/usr/local/lib/{folder.name}" for folder in library.iterdir()}
    return mounts


def _wait(client: docker.DockerClient, lab: Lab, host: str) -> None:
    """Return when systemd has started everything and sshd responds."""
    deadline = time.monotonic() + START_SECONDS
    state = ""
    while time.monotonic() < deadline:
        container = client.containers.get(lab.container(host))
        if container.status != "running":
            raise NoLab(f"{lab.container(host)} exited: see docker logs {lab.container(host)}")
        answer = container.exec_run(["systemctl", "is-system-running"]).output
        assert isinstance(answer, bytes), "no stream was requested"
        state = answer.decode(errors="replace").strip()
        if state in {"running", "degraded"} and _ssh_answers(lab.addresses[host]):
            return
        time.sleep(0.2)
    raise NoLab(f"{lab.container(host)} did not come up within {START_SECONDS:.0f} s: systemd reports {state!r}")


def _ssh_answers(address: str) -> bool:
    try:
        with socket.create_connection((address, 22), timeout=2) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _remove_cgroups(client: docker.DockerClient, lab: Lab, image: str) -> None:
    """Remove the containers' cgroups, which the engine does not know about: they are beside its own."""
    cgroups = " ".join(f"/mnt/{lab.container(host)}" for host in lab.addresses)
    script = f"mount -t cgroup2 cgroup2 /mnt && find {cgroups} -depth -type d -exec rmdir {{}} + 2>/dev/null; true"
    client.containers.run(
        image,
        ["-c", script],
        entrypoint="/bin/sh",
        cap_add=["SYS_ADMIN"],
        security_opt=["seccomp=unconfined", "apparmor=unconfined"],
        cgroupns="host",
        network_mode="none",
        remove=True,
    )


def _key(lab: Lab) -> str:
    """Return the public half of the lab's own ssh key, creating it if necessary."""
    lab.folder.mkdir(parents=True, exist_ok=True)
    if not lab.key.exists():
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", lab.name, "-f", str(lab.key)]
        subprocess.run(command, stdin=subprocess.DEVNULL, check=True)
    return lab.key.with_suffix(".pub").read_text(encoding="ascii").strip()
