"""The reconcile engine against a real InfluxDB: first-time set-up, drift of every kind, refusals, and its three uses.

The tests share one server, which the engine puts right before each of them.
"""

import json
import os
import re
import stat
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from influx import Provisioned, provision
from influx.provisioning import SCHEMA_FILE
from influx.reconcile import ApiError, InvalidInput, ReconcileError, Refused, TaskFailed
from influx.reconcile.api import Api
from influx.scripts import TASKS_DIR, task_script
from tests.integration.servers import InfluxServer, InfluxStack, influx_server

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def shared(influxdb_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxStack]:
    with influx_server(influxdb_image) as server:
        yield InfluxStack(server, "marketdata", tmp_path_factory.mktemp("secrets"))


@pytest.fixture
def stack(shared: InfluxStack) -> InfluxStack:
    provision(shared.url, shared.secrets_dir, allow_destructive=["market_data_samples"])
    return shared


@pytest.fixture
def operator(stack: InfluxStack) -> Api:
    return Api(stack.url, stack.operator_token)


def reconciled(stack: InfluxStack, **options: Any) -> Provisioned:
    return provision(stack.url, stack.secrets_dir, **options)


def entry(operator: Api, kind: str, name: str) -> dict[str, Any]:
    """The bucket, task or authorization whose name (description) holds the words."""
    listing = operator.get(f"/api/v2/{kind}")[kind]
    (found,) = [
        entry for entry in listing if name in entry.get("description" if kind == "authorizations" else "name", "")
    ]
    return dict(found)


def schema_with(tmp_path: Path, old: str, new: str) -> Path:
    text = SCHEMA_FILE.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "schema.yml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def tasks_with(tmp_path: Path, name: str, script: str) -> Path:
    folder = tmp_path / "tasks"
    folder.mkdir()
    for path in TASKS_DIR.glob("*.flux"):
        (folder / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / f"{name}.flux").write_text(script, encoding="utf-8")
    return folder


def write(stack: InfluxStack, token: str, bucket: str) -> int:
    """The status of a write; its empty body tells what the token may and writes nothing."""
    return status(Api(stack.url, token), "/api/v2/write", {"org": "marketdata", "bucket": bucket}, "")


def read(stack: InfluxStack, token: str, bucket: str) -> int:
    script = f'from(bucket: "{bucket}") |> range(start: -1m) |> limit(n: 1)'
    return status(Api(stack.url, token), "/api/v2/query", {"org": "marketdata"}, json.dumps({"query": script}))


def status(api: Api, path: str, params: dict[str, str | int], body: str) -> int:
    """By a plain client of its own: the engine sends no lines."""
    headers = {"Authorization": f"Token {api.token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{api.url}{path}?{urllib.parse.urlencode(params)}", body.encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_a_fresh_server_is_set_up_and_a_second_run_changes_nothing(blank_influxd: InfluxServer, tmp_path: Path) -> None:
    secrets_dir = tmp_path / "secrets"
    planned = provision(blank_influxd.url, secrets_dir, check=True)
    assert not secrets_dir.exists()

    first = provision(blank_influxd.url, secrets_dir)
    assert first.changes == planned.changes
    assert "+ organization marketdata and the operator's token" in first.changes
    assert sum(line.startswith("+ task ") for line in first.changes) == 4

    second = provision(blank_influxd.url, secrets_dir)
    assert second.changes == ()
    assert second.reports == ()


def test_a_wiped_server_is_set_up_with_the_token_that_the_operator_has(
    blank_influxd: InfluxServer, tmp_path: Path
) -> None:
    (tmp_path / "operator.token").write_text("kept-in-a-vault\n", encoding="ascii")
    (tmp_path / "reader-grafana.token").write_text("of the old server\n".replace(" ", "-"), encoding="ascii")
    done = provision(blank_influxd.url, tmp_path, consumers={"ingest": [], "repair": [], "reader": ["grafana"]})
    assert done.operator_token_file.read_text(encoding="ascii") == "kept-in-a-vault\n"
    stack = InfluxStack(blank_influxd, done.org, tmp_path)
    assert read(stack, stack.token("reader", "grafana"), "market_data") == 200


def test_tokens_are_in_files_for_their_owner_alone_and_in_no_output(stack: InfluxStack) -> None:
    files = sorted(stack.secrets_dir.glob("*.token"))
    assert [path.name for path in files] == [
        "ingest-collector-1.token",
        "operator.token",
        "reader-gateway.token",
        "reader-grafana.token",
        "reader-library.token",
        "reader-probe.token",
        "reader-sentinel.token",
        "repair-collector-1.token",
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    stack.token_file("reader", "probe").unlink()
    done = reconciled(stack)
    assert done.changes == ("~ token reader-probe: replaced, reader-probe.token is missing",)
    output = "\n".join((*done.changes, *done.reports))
    assert not [path.name for path in files if path.read_text(encoding="ascii").strip() in output]


@pytest.mark.parametrize(
    ("kind", "consumer", "readable", "writable"),
    [
        ("ingest", "collector-1", set(), {"market_data", "market_data_samples", "market_data_rollup"}),
        ("repair", "collector-1", {"market_data", "market_data_samples", "market_data_rollup"}, {"market_data_rollup"}),
        ("reader", "gateway", {"market_data", "market_data_samples", "market_data_rollup"}, set()),
    ],
)
def test_a_token_may_what_the_design_gives_it_and_nothing_else(
    stack: InfluxStack, kind: str, consumer: str, readable: set[str], writable: set[str]
) -> None:
    token = stack.token(kind, consumer)
    buckets = ("market_data", "market_data_samples", "market_data_rollup")
    assert {bucket for bucket in buckets if read(stack, token, bucket) == 200} == readable
    assert {bucket for bucket in buckets if write(stack, token, bucket) == 204} == writable
    assert read(stack, token, "_tasks") == 404
    with pytest.raises(ApiError):
        Api(stack.url, token).post("/api/v2/tasks", {"orgID": "0" * 16, "flux": task_script("1h")})


def test_retention_changed_by_hand_is_the_only_change_and_put_right(stack: InfluxStack, operator: Api) -> None:
    bucket = entry(operator, "buckets", "market_data_samples")
    rule = {"type": "expire", "everySeconds": 7 * 86_400, "shardGroupDurationSeconds": 86_400}
    operator.patch(f"/api/v2/buckets/{bucket['id']}", {"retentionRules": [rule]})
    wanted = ("~ bucket market_data_samples: retention 7d, shards 1d -> retention 30d, shards 1d",)
    assert reconciled(stack, check=True).changes == wanted
    assert reconciled(stack).changes == wanted
    assert reconciled(stack).changes == ()


def test_a_shorter_retention_is_refused_and_made_once_the_bucket_is_named(stack: InfluxStack, tmp_path: Path) -> None:
    schema = schema_with(tmp_path, "retention: 30d, shards: 1d", "retention: 7d, shards: 1d")
    with pytest.raises(Refused, match=r"^bucket market_data_samples: retention 30d -> 7d deletes data"):
        reconciled(stack, schema_file=schema)
    named = ["market_data_samples"]
    assert len(reconciled(stack, schema_file=schema, allow_destructive=named).changes) == 1
    assert reconciled(stack, schema_file=schema).changes == ()


def test_a_script_changed_by_hand_is_the_only_change_and_put_right(stack: InfluxStack, operator: Api) -> None:
    task = entry(operator, "tasks", "ohlcv_4h")
    operator.patch(f"/api/v2/tasks/{task['id']}", {"flux": task["flux"].replace("overlap = 2d", "overlap = 1d")})
    wanted = ("~ task ohlcv_4h: script; run once", "    -overlap = 1d", "    +overlap = 2d")
    assert reconciled(stack, check=True).changes == wanted
    assert reconciled(stack).changes == wanted
    assert reconciled(stack).changes == ()
    assert entry(operator, "tasks", "ohlcv_4h")["flux"] == task["flux"]


def test_a_task_made_inactive_by_hand_is_activated(stack: InfluxStack, operator: Api) -> None:
    task = entry(operator, "tasks", "ohlcv_1d")
    operator.patch(f"/api/v2/tasks/{task['id']}", {"status": "inactive"})
    assert reconciled(stack).changes == ("~ task ohlcv_1d: it is inactive; run once",)
    assert entry(operator, "tasks", "ohlcv_1d")["status"] == "active"


def test_a_token_deleted_by_hand_is_made_again_and_works(stack: InfluxStack, operator: Api) -> None:
    dead = stack.token("reader", "sentinel")
    operator.delete(f"/api/v2/authorizations/{entry(operator, 'authorizations', 'reader-sentinel')['id']}")
    assert read(stack, dead, "market_data") == 401
    (line,) = reconciled(stack).changes
    assert line.startswith("+ token reader-sentinel: may read ")
    assert read(stack, stack.token("reader", "sentinel"), "market_data") == 200


def test_a_token_with_other_permissions_is_replaced_and_the_old_one_is_dead(
    stack: InfluxStack, operator: Api, tmp_path: Path
) -> None:
    old = stack.token("repair", "collector-1")
    schema = schema_with(tmp_path, "write: [market_data_rollup]", "write: [market_data]")
    wanted = ("~ token repair-collector-1: replaced, its permissions differ",)
    assert reconciled(stack, schema_file=schema).changes == wanted
    assert write(stack, old, "market_data_rollup") == 401


def test_a_higher_generation_rotates_one_token(stack: InfluxStack, tmp_path: Path) -> None:
    old = {path.name: path.read_bytes() for path in stack.secrets_dir.glob("*.token")}
    schema = schema_with(tmp_path, "grafana: 1", "grafana: 2")
    changes = reconciled(stack, schema_file=schema).changes
    assert changes == ("~ token reader-grafana: replaced, generation 1 -> 2",)
    new = {path.name: path.read_bytes() for path in stack.secrets_dir.glob("*.token")}
    assert [name for name in old if old[name] != new[name]] == ["reader-grafana.token"]


def test_what_the_schema_does_not_know_is_reported_and_left_alone(stack: InfluxStack, operator: Api) -> None:
    org = operator.get("/api/v2/orgs", org="marketdata")["orgs"][0]["id"]
    bucket = operator.post("/api/v2/buckets", {"orgID": org, "name": "scratch", "retentionRules": []})
    script = task_script("1h").replace('"ohlcv_1h"', '"by_hand"')
    task = operator.post("/api/v2/tasks", {"orgID": org, "flux": script})
    done = reconciled(stack)
    assert done.changes == ()
    assert done.reports == ("bucket scratch is not in the schema", f"task by_hand ({task['id']}) is not in the schema")
    operator.delete(f"/api/v2/tasks/{task['id']}")
    assert reconciled(stack, allow_destructive=["scratch"]).changes == ("- bucket scratch: kept, shards 7d",)
    with pytest.raises(ApiError):
        operator.get(f"/api/v2/buckets/{bucket['id']}")


def test_every_page_of_a_long_listing_is_read(stack: InfluxStack, operator: Api) -> None:
    org = operator.get("/api/v2/orgs", org="marketdata")["orgs"][0]["id"]
    names = [f"page_{number:03d}" for number in range(120)]
    for name in names:
        operator.post("/api/v2/buckets", {"orgID": org, "name": name, "retentionRules": []})
    assert len([line for line in reconciled(stack).reports if line.startswith("bucket page_")]) == len(names)
    assert len(reconciled(stack, allow_destructive=names).changes) == len(names)


def test_a_new_task_that_cannot_run_fails_with_its_true_cause_and_does_not_stay(
    stack: InfluxStack, operator: Api, tmp_path: Path
) -> None:
    script = task_script("1h").replace('"ohlcv_1h"', '"ohlcv_2h"').replace("every: window", "every: windw")
    tasks = tasks_with(tmp_path, "ohlcv_2h", script)
    schema = schema_with(tmp_path, "ohlcv_4h,", "ohlcv_2h, ohlcv_4h,")
    with pytest.raises(TaskFailed, match=r"^task ohlcv_2h cannot run: .*undefined identifier windw") as caught:
        reconciled(stack, schema_file=schema, tasks_dir=tasks)
    assert "\n" not in str(caught.value)
    assert "ohlcv_2h" not in {task["name"] for task in operator.get("/api/v2/tasks")["tasks"]}


def test_a_changed_task_that_cannot_run_leaves_the_old_script_at_work(
    stack: InfluxStack, operator: Api, tmp_path: Path
) -> None:
    script = task_script("1h").replace('bucket: "market_data")', 'bucket: "market_dat")')
    with pytest.raises(TaskFailed, match=r"^task ohlcv_1h cannot run: .*market_dat"):
        reconciled(stack, tasks_dir=tasks_with(tmp_path, "ohlcv_1h", script))
    assert entry(operator, "tasks", "ohlcv_1h")["flux"] == task_script("1h")
    assert reconciled(stack).changes == ()


def test_a_script_that_is_no_flux_is_refused_in_one_line(stack: InfluxStack, tmp_path: Path) -> None:
    tasks = tasks_with(tmp_path, "ohlcv_1h", task_script("1h") + "|> )\n")
    with pytest.raises(TaskFailed, match=r"^task ohlcv_1h was not taken: ") as caught:
        reconciled(stack, tasks_dir=tasks)
    assert "\n" not in str(caught.value)


def test_a_wrong_or_missing_operator_token_says_what_to_do(stack: InfluxStack, tmp_path: Path) -> None:
    file = tmp_path / "operator.token"
    with pytest.raises(InvalidInput, match="recovery auth create-operator"):
        reconciled(stack, operator_token_file=file)
    file.write_text("mistyped\n", encoding="ascii")
    with pytest.raises(ApiError, match=r"401 .*is this the operator's token") as caught:
        reconciled(stack, operator_token_file=file)
    assert "mistyped" not in str(caught.value)
    file.write_text("two\nlines\n", encoding="ascii")
    with pytest.raises(InvalidInput, match="one line of visible ASCII"):
        reconciled(stack, operator_token_file=file)


def test_an_organization_the_server_does_not_have_is_one_line(stack: InfluxStack, tmp_path: Path) -> None:
    with pytest.raises(ReconcileError, match="organization other does not exist"):
        reconciled(stack, schema_file=schema_with(tmp_path, "org: marketdata", "org: other"))


def test_the_command_shows_changes_as_lines_and_then_nothing_to_change(stack: InfluxStack) -> None:
    def command(*options: str) -> list[str]:
        arguments = ["--url", stack.url, "--secrets-dir", str(stack.secrets_dir), *options]
        done = subprocess.run([BIN / "influx-reconcile", *arguments], capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return done.stdout.splitlines()

    stack.token_file("reader", "probe").chmod(0o644)
    line = "~ token file reader-probe.token: readable by its owner only"
    assert command("--check") == [line, "nothing was changed: --check"]
    assert command() == [line]
    assert command() == ["nothing to change"]


def test_the_ansible_module_checks_shows_changes_and_then_changes_nothing(stack: InfluxStack, tmp_path: Path) -> None:
    arguments = {
        "url": stack.url,
        "schema": yaml.safe_load(SCHEMA_FILE.read_text(encoding="utf-8")),
        "tasks": {path.stem: path.read_text(encoding="utf-8") for path in TASKS_DIR.glob("*.flux")},
        "secrets_dir": str(stack.secrets_dir),
    }

    def ansible(*options: str) -> tuple[dict[str, Any], str]:
        """The module's result, and everything that was printed."""
        command = [str(BIN / "ansible"), "localhost", "-m", "influx_reconcile", "-a", json.dumps(arguments)]
        environment = {
            **os.environ,
            "ANSIBLE_LOCAL_TEMP": str(tmp_path),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        }
        done = subprocess.run(
            [*command, *options], cwd=ROOT / "ansible", env=environment, capture_output=True, text=True, check=False
        )
        result = re.search(r"localhost \| \S+ => (\{.*\})", done.stdout, re.DOTALL)
        assert result, done.stdout + done.stderr
        return json.loads(result[1]), done.stdout + done.stderr

    old = stack.token("reader", "library")
    stack.token_file("reader", "library").unlink()
    line = "~ token reader-library: replaced, reader-library.token is missing"

    checked, shown = ansible("--check", "--diff")
    assert (checked["changed"], checked["changes"]) == (True, [line])
    assert shown.count(line) == 2  # in the diff and in the result
    assert not stack.token_file("reader", "library").exists()

    applied, printed = ansible("--diff", "-vvv")
    assert (applied["changed"], applied["changes"]) == (True, [line])
    assert stack.token("reader", "library") != old
    assert not [path.name for path in stack.secrets_dir.glob("*.token") if path.read_text().strip() in printed]

    again, _ = ansible()
    assert (again["changed"], again["changes"]) == (False, [])
