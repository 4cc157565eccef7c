"""What verify.yml needs of the repository, and what its modules told."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

RESULTS = {
    "__verify_host": "platform",
    "__base_verify": "platform",
    "__influxdb_provision": "influxdb",
    "__influxdb_verify": "influxdb",
    "__prometheus_verify": "prometheus",
}
"""What verify.yml registers, and for the hosts of which group."""


def shipped_folders(parts: Iterable[Mapping[str, Any]], root: str) -> dict[str, dict[str, str]]:
    """By folder of a host the names and SHA-256 of what the repository at `root` ships for it."""
    return {
        path: {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in Path(root, source).iterdir()}
        for part in parts
        for path, source in part.get("folders", {}).items()
    }


def shipped_rules(folder: str) -> dict[str, list[str]]:
    """By group the names of the alerts and records in a folder of Prometheus's rules, in order."""
    contents = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in sorted(Path(folder).glob("*.yml"))]
    return {
        group["name"]: [rule.get("alert") or rule["record"] for rule in group["rules"]]
        for content in contents
        for group in content["groups"]
    }


def proofs(hostvars: Mapping[str, Mapping[str, Any]], groups: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """All that was proven or not, by host: {host, check, ok, detail}. What did not answer is not proven."""
    return [
        {"host": host, **proof}
        for host in groups["platform"]
        for name, group in RESULTS.items()
        if host in groups.get(group, ())
        for proof in _told(name, hostvars[host].get(name))
    ]


def fault_lines(proven: Iterable[Mapping[str, Any]]) -> list[str]:
    """What is wrong, a line each."""
    return [f"{proof['host']}: {proof['check']}? No: {proof['detail']}" for proof in proven if not proof["ok"]]


def _told(name: str, result: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    if result is None or result.get("unreachable") or not ({"proofs", "changes", "loaded"} & result.keys()):
        said = (result or {}).get("msg", "it was not asked")
        return [
            {"check": "the host answers", "ok": False, "detail": f"{name.strip('_')}: {' '.join(str(said).split())}"}
        ]
    if name == "__base_verify":
        detail = "its table in the kernel or its file differs from the inventory's" if result["loaded"] else ""
        return [{"check": "firewall rules are present", "ok": not result["loaded"], "detail": detail}]
    if name == "__influxdb_provision":
        wrong = [*result["changes"], *(line for line in result["reports"] if line.startswith("not compared"))]
        return [{"check": "the store is as its schema", "ok": not wrong, "detail": "; ".join(wrong)}]
    return list(result["proofs"])


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Any]:
        filters = (shipped_folders, shipped_rules, proofs, fault_lines)
        return {function.__name__: function for function in filters}
