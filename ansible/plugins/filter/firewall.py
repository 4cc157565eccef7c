"""From the table of ports to the rules of one host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def firewall_rules(
    ports: Iterable[Mapping[str, Any]],
    group_names: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    hostvars: Mapping[str, Mapping[str, str]],
) -> list[dict[str, Any]]:
    """What a host that is in group_names opens, to which addresses: {name, port, sources}; nothing to nobody.

    A client is known by its base_address. A group that the inventory does not have has no hosts.
    """
    rules = []
    for entry in ports:
        if entry["group"] not in group_names:
            continue
        hosts = {host for group in entry["clients"] for host in groups.get(group, ())}
        sources = sorted({hostvars[host]["base_address"] for host in hosts} | set(entry.get("addresses", ())))
        if sources:
            rules.append({"name": entry["name"], "port": entry["port"], "sources": sources})
    return rules


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Any]:
        return {"firewall_rules": firewall_rules}
