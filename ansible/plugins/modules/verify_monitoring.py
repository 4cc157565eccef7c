#!/usr/bin/python
"""Ansible module: proves that Prometheus sees everything and that what it sees is fresh."""

from __future__ import annotations

DOCUMENTATION = """
module: verify_monitoring
short_description: Prove that Prometheus has all targets and rules, that each target answers and each pair is fresh
description:
  - Asks Prometheus and changes nothing. What is wrong is in RV(proofs), and does not fail the module.
options:
  url:
    description: Address of Prometheus, C(http://host:port).
    type: str
    required: true
  targets:
    description: By job the entries of its file of targets.
    type: dict
    required: true
  rules:
    description: By group the names of its alerts and records, in order.
    type: dict
    required: true
  stores:
    description: Hosts with a store; each must have a young backup.
    type: list
    elements: str
    required: true
  backup_hours:
    description: How old the newest verified backup of a bucket may be.
    type: int
    required: true
  retention_days:
    description: How long it must keep what it scraped.
    type: int
    default: 30
attributes:
  check_mode:
    support: full
"""

EXAMPLES = """
- name: Look at Prometheus
  verify_monitoring:
    url: http://127.0.0.1:9090
    targets: {node: [{targets: [192.0.2.11:9100], labels: {host: store1}}]}
    rules: {marketdata.monitoring: [Watchdog]}
    stores: [store1]
    backup_hours: 50
"""

RETURN = """
proofs:
  description: A list of C(check), C(ok), C(detail).
  type: list
  elements: dict
  returned: success
"""

import re  # noqa: E402  Ansible wants the documentation first
from collections.abc import Callable, Iterator, Mapping, Sequence  # noqa: E402
from typing import Any  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible.module_utils.platform_proofs import NoAnswer, get, proof  # noqa: E402

STALE = "exchange_pair_channel:marketdata_stale:bool"
BACKUP = 'marketdata_backup_last_success_timestamp_seconds{job="node"}'
DAYS = {"y": 365.0, "w": 7.0, "d": 1.0, "h": 1 / 24, "m": 1 / 1440, "s": 1 / 86400}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "targets": {"type": "dict", "required": True},
            "rules": {"type": "dict", "required": True},
            "stores": {"type": "list", "elements": "str", "required": True},
            "backup_hours": {"type": "int", "required": True},
            "retention_days": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    params = module.params
    prometheus = Prometheus(params["url"])
    proofs = [
        told("every target answers", lambda: prometheus.targets(params["targets"])),
        told("every probe succeeds", prometheus.probes),
        told("every pair is fresh", prometheus.pairs),
        told("backups are young", lambda: prometheus.backups(params["stores"], params["backup_hours"])),
        told("every gateway is ready", prometheus.gateways),
        told("rules are loaded as shipped", lambda: prometheus.rules(params["rules"])),
        told("alerts reach an Alertmanager", prometheus.alertmanagers),
        told("retention is long enough", lambda: prometheus.retention(params["retention_days"])),
    ]
    module.exit_json(changed=False, proofs=proofs)


def told(check: str, wrong: Callable[[], Iterator[str]]) -> dict[str, Any]:
    """A proof; a server that does not answer is what is wrong then."""
    try:
        return proof(check, wrong())
    except NoAnswer as error:
        return proof(check, [str(error)])


class Prometheus:
    """What is wrong with what it knows, a line each. Every method may raise NoAnswer."""

    def __init__(self, url: str) -> None:
        self._url = url

    def targets(self, wanted: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[str]:
        active = self._get("targets", state="active")["activeTargets"]
        found = {(target["labels"]["job"], target["labels"]["instance"]): target for target in active}
        expected = {
            (job, address): entry["labels"]["host"]
            for job, entries in wanted.items()
            for entry in entries
            for address in entry["targets"]
        }
        for (job, address), host in sorted(expected.items()):
            target = found.get((job, address))
            if target is None:
                yield f"{job} {address} ({host}) is not scraped"
            elif target["health"] != "up":
                yield f"{job} {address} ({host}) is {target['health']}: {target['lastError'] or 'not scraped yet'}"
        for job, address in sorted(found.keys() - expected.keys()):
            yield f"{job} {address} is scraped and not in the inventory"

    def probes(self) -> Iterator[str]:
        for sample in self._query("probe_success == 0"):
            yield f"{sample['metric'].get('service', '')} {sample['metric']['instance']} does not answer"

    def pairs(self) -> Iterator[str]:
        if not self._query(f"count({STALE})"):
            yield "Prometheus knows no pair"
        for sample in self._query(f"{STALE} == 1"):
            yield "{exchange} {pair} {channel} is stale".format(**sample["metric"])

    def backups(self, stores: Sequence[str], allowed_hours: int) -> Iterator[str]:
        ages = self._query(f"(time() - max by (host, bucket) ({BACKUP})) / 3600")
        known = {sample["metric"]["host"] for sample in ages}
        yield from (f"{host} tells of no backup" for host in stores if host not in known)
        for sample in ages:
            hours = float(sample["value"][1])
            if hours > allowed_hours:
                host, bucket = sample["metric"]["host"], sample["metric"]["bucket"]
                yield f"{host}: the newest backup of {bucket} is {hours:.0f} h old, allowed are {allowed_hours}"

    def gateways(self) -> Iterator[str]:
        for sample in self._query("marketdata_gateway_ready == 0"):
            yield f"gateway {sample['metric']['instance']} has nothing fresh to serve"

    def rules(self, wanted: Mapping[str, Sequence[str]]) -> Iterator[str]:
        loaded = {group["name"]: group["rules"] for group in self._get("rules")["groups"]}
        for name in sorted(wanted.keys() - loaded.keys()):
            yield f"group {name} is not loaded"
        for name, rules in sorted(loaded.items()):
            if name not in wanted:
                yield f"group {name} is not ours"
            elif [rule["name"] for rule in rules] != list(wanted[name]):
                yield f"group {name} has other rules"
            yield from (f"{name} {rule['name']}: {rule['lastError']}" for rule in rules if rule.get("lastError"))
        if not self._get("status/runtimeinfo")["reloadConfigSuccess"]:
            yield "the configuration was refused, an old one is in force"

    def alertmanagers(self) -> Iterator[str]:
        if not self._get("alertmanagers")["activeAlertmanagers"]:
            yield "Prometheus knows no Alertmanager"

    def retention(self, days: int) -> Iterator[str]:
        said = self._get("status/flags")["storage.tsdb.retention.time"]
        kept = sum(int(number) * DAYS[unit] for number, unit in re.findall(r"(\d+)([ywdhms])(?!s)", said))
        if kept < days:
            yield f"{said}, at least {days}d are needed"

    def _query(self, expression: str) -> list[dict[str, Any]]:
        result: list[dict[str, Any]] = self._get("query", query=expression)["result"]
        return result

    def _get(self, path: str, **params: str) -> Any:
        return get(f"{self._url}/api/v1/{path}", **params)["data"]


if __name__ == "__main__":
    main()
