"""The hosts of a lab, and how several labs on one machine differ.

MARKETDATA_LAB          name, the prefix of its containers and network (default: marketdata-lab)
MARKETDATA_LAB_SUBNET   first three numbers of its addresses (default: those of the inventory)
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
INVENTORY = ROOT / "ansible/inventories/lab"
USER = "admin"


@dataclass(frozen=True)
class Lab:
    """name: prefix of everything it starts; folder: its key, known hosts, and the inventory of its containers."""

    name: str
    addresses: dict[str, str]
    folder: Path

    @property
    def subnet(self) -> str:
        """The /24 of all hosts."""
        return f"{next(iter(self.addresses.values())).rpartition('.')[0]}.0/24"

    @property
    def control_address(self) -> str:
        """The control host's address as seen by the hosts: the bridge, or the first address of the VMs' network."""
        return f"{self.subnet.rpartition('.')[0]}.1"

    @property
    def key(self) -> Path:
        return self.folder / "id_ed25519"

    @property
    def overlay(self) -> Path:
        """The inventory in addition to inventories/lab: how to reach these containers."""
        return self.folder / "containers.yml"

    def container(self, host: str) -> str:
        return f"{self.name}-{host}"

    def reached(self) -> dict[str, Any]:
        """Return the content of the overlay."""
        known_hosts = f"-o UserKnownHostsFile={self.folder}/known_hosts -o StrictHostKeyChecking=accept-new"
        connection = {
            "ansible_user": USER,
            "ansible_ssh_private_key_file": str(self.key),
            "ansible_ssh_common_args": known_hosts,
        }
        # Per host, because group_vars for all hosts override an inventory file's variables for all.
        own = {
            "simulator_ca_file": str(self.folder / "exchange-ca.pem"),
            # Beside the overlay, where the next play reads it.
            "rotate_tokens_file": str(self.folder / "group_vars/all/token_generations.yml"),
        }
        hosts = {host: {"ansible_host": address, **own} for host, address in self.addresses.items()}
        return {"all": {"vars": connection, "hosts": hosts}}


def from_environment(name: str = "marketdata-lab", subnet: str = "") -> Lab:
    """Return the lab selected by the environment; the arguments are the defaults."""
    name = os.environ.get("MARKETDATA_LAB", name)
    addresses = inventory_addresses()
    if subnet := os.environ.get("MARKETDATA_LAB_SUBNET", subnet):
        addresses = {host: f"{subnet}.{address.rpartition('.')[2]}" for host, address in addresses.items()}
    return Lab(name, addresses, ROOT / ".lab" / name)


def inventory_addresses() -> dict[str, str]:
    """Return the address of each host in the lab's inventory."""
    inventory = yaml.safe_load((INVENTORY / "hosts.yml").read_text(encoding="utf-8"))
    return {host: entry["ansible_host"] for host, entry in inventory["all"]["hosts"].items()}
