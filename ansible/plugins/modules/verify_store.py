#!/usr/bin/python
"""Ansible module: proves that a store works, and changes nothing in it."""

from __future__ import annotations

DOCUMENTATION = """
module: verify_store
short_description: Prove that an InfluxDB's tasks run, its data is young, and no token can do more than its kind may
description:
  - Runs on the InfluxDB host, asks and changes nothing. What is wrong is in RV(proofs), and does not fail the module.
  - A token's right to write is asked for by a request without points.
options:
  url:
    description: Address of the server, C(http://host:port) or C(https://host:port).
    type: str
    required: true
  ca_file:
    description: File of the authority (PEM) that an https server's certificate is of, trusted besides the system's.
    type: path
  schema:
    description: The content of influx/schema.yml.
    type: dict
    required: true
  secrets_dir:
    description: Folder of the token files C(<kind>-<consumer>.token).
    type: path
    required: true
  operator_token_file:
    description: File of the operator's token.
    type: path
    required: true
  ages:
    description: By measurement how many seconds may have passed since the time of its newest point.
    type: dict
    required: true
attributes:
  check_mode:
    support: full
"""

EXAMPLES = """
- name: Look at the store
  verify_store:
    url: http://127.0.0.1:8086
    schema: "{{ lookup('file', 'influx/schema.yml') | from_yaml }}"
    secrets_dir: /etc/influxdb/tokens
    operator_token_file: /etc/influxdb/operator.token
    ages: {market_data.ohlcv_3m: 420}
"""

RETURN = """
proofs:
  description: A list of C(check), C(ok), C(detail).
  type: list
  elements: dict
  returned: success
"""

import json  # noqa: E402  Ansible wants the documentation first
import time  # noqa: E402
from collections.abc import Callable, Iterator, Mapping  # noqa: E402
from datetime import datetime  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402
from urllib.parse import urlencode  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible.module_utils.platform_proofs import NoAnswer, get, proof, request  # noqa: E402

TASK_SECONDS = 1_200
"""Each task runs every 15 minutes, whatever its window; five more for the run."""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "ca_file": {"type": "path"},
            "schema": {"type": "dict", "required": True},
            "secrets_dir": {"type": "path", "required": True, "no_log": False},
            "operator_token_file": {"type": "path", "required": True, "no_log": False},
            "ages": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        operator = Path(params["operator_token_file"]).read_text(encoding="utf-8").strip()
    except OSError as error:
        module.exit_json(changed=False, proofs=[proof("the operator's token is there", [str(error)])])
    store = Store(params["url"], params["schema"], operator, params["ca_file"])
    tokens = sorted(Path(params["secrets_dir"]).glob("*.token"))
    proofs = [
        told("tasks run", store.tasks),
        told("data is young", lambda: store.data(params["ages"])),
        told("tokens can do what they may and no more", lambda: store.tokens(tokens)),
    ]
    module.exit_json(changed=False, proofs=proofs)


def told(check: str, wrong: Callable[[], Iterator[str]]) -> dict[str, Any]:
    """A proof; a server that does not answer is what is wrong then."""
    try:
        return proof(check, wrong())
    except NoAnswer as error:
        return proof(check, [str(error)])


class Store:
    """One InfluxDB, asked with the operator's token or with the tokens in question. Every method may raise NoAnswer."""

    def __init__(self, url: str, schema: Mapping[str, Any], operator: str, ca_file: str | None) -> None:
        self._url = url
        self._schema = schema
        self._operator = operator
        self._ca_file = ca_file

    def tasks(self) -> Iterator[str]:
        """Tasks that are away, inactive, behind, or whose newest run failed."""
        for name in self._schema["tasks"]:
            found = self._get("/api/v2/tasks", name=name, org=self._schema["org"])["tasks"]
            if len(found) != 1:
                yield f"{name}: {len(found)} tasks of this name"
                continue
            task = found[0]
            if task["status"] != "active":
                yield f"{name} is {task['status']}"
            yield from (f"{name}: {wrong}" for wrong in self._runs(task))

    def _runs(self, task: Mapping[str, Any]) -> Iterator[str]:
        runs = self._get(f"/api/v2/tasks/{task['id']}/runs", limit="20")["runs"]
        ended = sorted((run for run in runs if run.get("finishedAt")), key=lambda run: seconds(run["finishedAt"]))
        since = time.time() - seconds(ended[-1]["finishedAt"] if ended else task["createdAt"])
        if since > TASK_SECONDS:
            yield f"no run for {since:.0f} s, allowed are {TASK_SECONDS}"
        if ended and ended[-1]["status"] != "success":
            logs = [entry["message"] for entry in ended[-1].get("log") or []]
            yield f"its last run {ended[-1]['status']}: {' '.join(logs[-1:]) or 'no log'}"

    def data(self, ages: Mapping[str, int]) -> Iterator[str]:
        """Measurements (<bucket>.<measurement>) without a point that is young enough."""
        for name, allowed in sorted(ages.items()):
            bucket, _, measurement = name.partition(".")
            field = "mark" if measurement == "mark_price" else "trades"
            query = f'SELECT last("{field}") FROM "{measurement}" WHERE time > now() - 7d'
            answer = self._get("/query", db=bucket, q=query, epoch="s")
            series = answer["results"][0].get("series")
            age = time.time() - series[0]["values"][0][0] if series else float("inf")
            if age > allowed:
                yield f"{name}: its newest point is {age:.0f} s old, allowed are {allowed}"

    def tokens(self, files: list[Path]) -> Iterator[str]:
        """Tokens that cannot do something that their kind may, or can do something else."""
        buckets = sorted(self._schema["buckets"])
        for file in files:
            token = file.read_text(encoding="utf-8").strip()
            kind = self._schema["tokens"].get(file.stem.partition("-")[0], {})
            for verb, can in (("read", self._reads), ("write", self._writes)):
                may = set(kind.get(verb, ()))
                does = {bucket for bucket in buckets if can(token, bucket)}
                yield from (f"{file.stem} cannot {verb} {bucket}" for bucket in sorted(may - does))
                yield from (f"{file.stem} can {verb} {bucket} and may not" for bucket in sorted(does - may))
            if self._administers(token):
                yield f"{file.stem} can see tokens and may not"

    def _reads(self, token: str, bucket: str) -> bool:
        query = f'from(bucket: "{bucket}") |> range(start: -1m) |> limit(n: 1)'
        return self._post("/api/v2/query", token, query, "application/vnd.flux") == 200

    def _writes(self, token: str, bucket: str) -> bool:
        return self._post("/api/v2/write", token, "", "text/plain", bucket=bucket) == 204

    def _administers(self, token: str) -> bool:
        status, content = request(f"{self._url}/api/v2/authorizations", token=token, ca_file=self._ca_file)
        return status == 200 and bool(json.loads(content)["authorizations"])

    def _post(self, path: str, token: str, body: str, kind: str, **params: str) -> int:
        address = f"{self._url}{path}?{urlencode({'org': self._schema['org'], **params})}"
        return request(address, token=token, body=body, kind=kind, ca_file=self._ca_file)[0]

    def _get(self, path: str, **params: str) -> Any:
        return get(f"{self._url}{path}", self._operator, ca_file=self._ca_file, **params)


def seconds(moment: str) -> float:
    """Unix time of what the server writes: up to nine digits behind the point, Python reads six."""
    whole, _, rest = moment.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{rest[:6].ljust(6, '0')}+00:00").timestamp()


if __name__ == "__main__":
    main()
