"""The image of the lab's hosts: Debian 13 from debootstrap with systemd and sshd, and nothing of ours.

It is built once from the distribution's archive, whose signature debootstrap checks; the image's tag is a digest of its
content. The packages that the roles install are included, so that a lab needs no network.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import docker
from docker.errors import ImageNotFound

from tools.bootstrap import debian

SUITE = "trixie"
MIRROR = os.environ.get("MARKETDATA_LAB_MIRROR", "http://deb.debian.org/debian")
PACKAGES = (
    # What a small Debian server with ssh has.
    *("systemd", "systemd-sysv", "dbus", "openssh-server", "sudo", "python3", "ca-certificates"),
    *("iproute2", "iputils-ping", "procps", "tzdata", "curl"),
    # What the roles install.
    *("chrony", "nftables", "python3-apt", "python3-venv"),
    # What the simulator imports, on the host that plays the exchange; debootstrap does not know virtual packages.
    *("python3-aiohttp", "python3-cryptography", "python3-cffi-backend", "python3-numpy"),
)
USER = "admin"
# Runs before systemd. Every container gets its own cgroup as the root of what it sees: otherwise, on a host that mixes
# cgroup v1 and v2, the systemds of all containers would share the root and stop each other's services. LoadCredential
# requires shared mounts of /.
INIT = """#!/bin/sh
set -e
umask 022
mount -t cgroup2 cgroup2 /mnt
own="/mnt/$LAB_CGROUP"
mkdir -p "$own"
find "$own" -mindepth 1 -depth -type d -exec rmdir {} +
echo 0 > "$own/cgroup.procs"
umount /mnt
ssh-keygen -A
install -d -m 0700 -o admin -g admin /home/admin/.ssh
printf '%s\\n' "$LAB_KEY" > /home/admin/.ssh/authorized_keys
exec unshare --cgroup sh -c '
    umount -R /sys/fs/cgroup
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    mount --make-rshared /
    unset LAB_CGROUP LAB_KEY
    exec /sbin/init'
"""
# Not UTC, so that the role has something to do; without units that make no sense in a container.
PREPARE = f"""set -e
useradd --create-home --shell /bin/bash {USER}
echo '{USER} ALL=(ALL) NOPASSWD:ALL' > /etc/sudoers.d/{USER}
chmod 0440 /etc/sudoers.d/{USER}
ln -sf /usr/share/zoneinfo/Europe/Berlin /etc/localtime
systemctl mask -q getty.target console-getty.service
systemctl enable -q ssh.service
systemctl disable -q chrony.service nftables.service
: > /etc/machine-id
rm -rf /etc/ssh/ssh_host_*_key* /var/cache/apt/archives/*.deb /usr/share/doc/* /usr/share/man/*
"""


class NoImage(Exception):
    """The image is missing and cannot be built. The message says what to do."""


def lab_image() -> str:
    """Return the name of the image, building it in two minutes if the engine does not have it.

    Raises:
        NoImage: it cannot be built here.
    """
    content = "\n".join((SUITE, *PACKAGES, INIT, PREPARE))
    tag = hashlib.sha256(content.encode()).hexdigest()[:12]
    client = docker.from_env(timeout=600)
    try:
        client.images.get(f"marketdata-lab:{tag}")
    except ImageNotFound:
        _make(client, tag)
    finally:
        client.close()
    return f"marketdata-lab:{tag}"


def _make(client: docker.DockerClient, tag: str) -> None:
    if os.geteuid() != 0:
        raise NoImage("debootstrap must build the lab's image as root: run `python -m tools.lab.image` as root once")
    if shutil.which("debootstrap") is None:
        try:
            debian.install(["debootstrap"], "debootstrap")
        except debian.CannotInstall as reason:
            raise NoImage(str(reason)) from None
    with tempfile.TemporaryDirectory(prefix="marketdata-lab-") as folder:
        root = Path(folder) / "root"
        _run(["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(root), MIRROR])
        init = root / "usr/local/sbin/lab-init"
        init.write_text(INIT, encoding="utf-8")
        init.chmod(0o755)
        _run(["chroot", str(root), "sh", "-c", PREPARE])
        archive = Path(folder) / "root.tar"
        _run(["tar", "--create", "--file", str(archive), "--directory", str(root), "--xattrs", "."])
        client.api.import_image_from_file(
            str(archive), repository="marketdata-lab", tag=tag, changes=['ENTRYPOINT ["/usr/local/sbin/lab-init"]']
        )


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stdout + done.stderr).strip().splitlines()[-1:]
        raise NoImage(f"`{command[0]}` failed: {' '.join(last) or 'no message'}")


if __name__ == "__main__":
    try:
        print(lab_image())
    except NoImage as reason:
        sys.exit(str(reason))
