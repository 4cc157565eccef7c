"""Which hosts a lab has, and how one lab differs from another on the same machine.

MARKETDATA_LAB          its name, the prefix of its containers and network (default: marketdata-lab)
MARKETDATA_LAB_SUBNET   the first three numbers of its addresses (default: those of the inventory)
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
    """name: prefix of all it starts; folder: its key, its known hosts, the inventory of its containers."""

    name: str
    addresses: dict[str, str]
    folder: Path

    @property
    def subnet(self) -> str:
        """The /24 that all hosts are in."""
        return f"{next(iter(self.addresses.values())).rpartition('.')[0]}.0/24"

    @property
    def control_address(self) -> str:
        """The machine the plays run on, as the hosts see it: the bridge, or the first address of the VMs' network."""
        return f"{self.subnet.rpartition('.')[0]}.1"

    @property
    def key(self) -> Path:
        return self.folder / "id_ed25519"

    @property
    def overlay(self) -> Path:
        """The inventory beside inventories/lab: how these containers are reached."""
        return self.folder / "containers.yml"

    def container(self, host: str) -> str:
        return f"{self.name}-{host}"

    def reached(self) -> dict[str, Any]:
        """The content of the overlay."""
        known_hosts = f"-o UserKnownHostsFile={self.folder}/known_hosts -o StrictHostKeyChecking=accept-new"
        connection = {
            "ansible_user": USER,
            "ansible_ssh_private_key_file": str(self.key),
            "ansible_ssh_common_args": known_hosts,
        }
        # Of each host: what group_vars say of all hosts wins over what an inventory file says of all.
        own = {
            "simulator_ca_file": str(self.folder / "exchange-ca.pem"),
            # Beside the overlay, where the next play reads it.
            "rotate_tokens_file": str(self.folder / "group_vars/all/token_generations.yml"),
        }
        hosts = {host: {"ansible_host": address, **own} for host, address in self.addresses.items()}
        return {"all": {"vars": connection, "hosts": hosts}}


def from_environment(name: str = "marketdata-lab", subnet: str = "") -> Lab:
    """The lab that the environment names; the arguments are what it is without."""
    name = os.environ.get("MARKETDATA_LAB", name)
    addresses = inventory_addresses()
    if subnet := os.environ.get("MARKETDATA_LAB_SUBNET", subnet):
        addresses = {host: f"{subnet}.{address.rpartition('.')[2]}" for host, address in addresses.items()}
    return Lab(name, addresses, ROOT / ".lab" / name)


def inventory_addresses() -> dict[str, str]:
    """Address by host, as the lab's inventory has them."""
    inventory = yaml.safe_load((INVENTORY / "hosts.yml").read_text(encoding="utf-8"))
    return {host: entry["ansible_host"] for host, entry in inventory["all"]["hosts"].items()}
