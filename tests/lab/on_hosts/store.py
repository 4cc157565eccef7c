"""Runs on the InfluxDB host, as root: what a hand could do to the store, and what each token can.

python3 - retention BUCKET SECONDS | inactive TASK | failing TASK | inactive-token NAME | tokens | tasks
"""

import json
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

URL = "http://127.0.0.1:8086"
BUCKETS = ("market_data", "market_data_rollup", "market_data_samples")
OPERATOR = Path("/etc/influxdb/operator.token")


def call(token_file: Path, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
    """(status, answer) of a request."""
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode() if body is not None else None
    kind = "application/vnd.flux" if path.startswith("/api/v2/query") else "application/json"
    request = urllib.request.Request(URL + path, data, method=method)
    request.add_header("Content-Type", kind)
    request.add_header("Authorization", f"Token {token_file.read_text().strip()}")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b""


def entry(kind: str, name: str) -> Any:
    _, answer = call(OPERATOR, "GET", f"/api/v2/{kind}?name={name}")
    return json.loads(answer)[kind][0]


def set_retention(name: str, seconds: str) -> None:
    rule = {"type": "expire", "everySeconds": int(seconds), "shardGroupDurationSeconds": 86400}
    status, _ = call(OPERATOR, "PATCH", f"/api/v2/buckets/{entry('buckets', name)['id']}", {"retentionRules": [rule]})
    assert status == 200, status


def set_inactive(name: str) -> None:
    status, _ = call(OPERATOR, "PATCH", f"/api/v2/tasks/{entry('tasks', name)['id']}", {"status": "inactive"})
    assert status == 200, status


def make_failing(name: str) -> None:
    """Give a task a script that InfluxDB takes and that fails when it runs, and have it run."""
    task = entry("tasks", name)
    line = 'from(bucket: "no_such_bucket") |> range(start: -1m) |> to(bucket: "market_data_rollup")'
    script = f'option task = {{name: "{name}", every: 15m, offset: 40s}}\n{line}\n'
    status, _ = call(OPERATOR, "PATCH", f"/api/v2/tasks/{task['id']}", {"flux": script})
    assert status == 200, status
    status, _ = call(OPERATOR, "POST", f"/api/v2/tasks/{task['id']}/runs", {})
    assert status == 201, status


def make_token_inactive(name: str) -> None:
    _, answer = call(OPERATOR, "GET", "/api/v2/authorizations")
    found = [entry for entry in json.loads(answer)["authorizations"] if f" {name} " in entry["description"]]
    assert len(found) == 1, [entry["description"] for entry in found]
    status, _ = call(OPERATOR, "PATCH", f"/api/v2/authorizations/{found[0]['id']}", {"status": "inactive"})
    assert status == 200, status


def tokens() -> dict[str, Any]:
    """Per token: what it reads, what it writes, whether it may make a token."""
    found = {}
    for file in sorted(Path("/etc/influxdb/tokens").glob("*.token")):
        query = 'from(bucket: "%s") |> range(start: -1m) |> limit(n: 1)'
        reads = [name for name in BUCKETS if call(file, "POST", "/api/v2/query?org=marketdata", query % name)[0] == 200]
        writes = [
            name for name in BUCKETS if call(file, "POST", f"/api/v2/write?org=marketdata&bucket={name}", "")[0] == 204
        ]
        org = entry("buckets", "market_data")["orgID"]
        grant = {"action": "read", "resource": {"type": "buckets", "orgID": org}}
        made = call(file, "POST", "/api/v2/authorizations", {"orgID": org, "permissions": [grant]})[0] < 300
        found[file.stem] = {"reads": reads, "writes": writes, "administers": made}
    return found


def tasks() -> dict[str, str]:
    """Per task: its status, and how its last run went."""
    _, answer = call(OPERATOR, "GET", "/api/v2/tasks")
    return {task["name"]: f"{task['status']} {task.get('lastRunStatus')}" for task in json.loads(answer)["tasks"]}


match sys.argv[1:]:
    case ["retention", name, seconds]:
        set_retention(name, seconds)
    case ["inactive", name]:
        set_inactive(name)
    case ["failing", name]:
        make_failing(name)
    case ["inactive-token", name]:
        make_token_inactive(name)
    case ["tokens"]:
        print(json.dumps(tokens()))
    case ["tasks"]:
        print(json.dumps(tasks()))
