"""Make the server equal to the plan. Every step can be cut off: what was not finished is planned again."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import token_files
from .api import Api, buckets_of, org_id, retention_rules, run_path
from .changes import (
    Change,
    CreateBucket,
    DeleteBucket,
    DeployTask,
    MintToken,
    ProtectFile,
    RetireToken,
    SetUp,
    UpdateBucket,
)
from .desired import Bucket, Task, Token
from .errors import ApiError, InvalidInput, TaskFailed
from .observed import ObservedTask, ObservedToken
from .plan import task_description, token_description

OPERATOR = "operator"
RUN_SECONDS = 120  # a run starts within a second and takes less than one (influxd 2.7.12, 700 pairs)
RUN_NOISE = ("Started task from script:", "Completed(", "trace_id=")


class Applier:
    """Applies changes in the plan's order.

    Raises ReconcileError: what was done until then stays, and the next plan holds the rest.
    """

    def __init__(
        self,
        api: Api,
        org: str,
        secrets_dir: Path,
        operator_token_file: Path,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._api = api
        self._org = org
        self._secrets_dir = secrets_dir
        self._operator_token_file = operator_token_file
        self._monotonic = monotonic
        self._wait = wait

    def apply(self, change: Change) -> None:
        match change:
            case SetUp(org, bucket):
                self._set_up(org, bucket)
            case CreateBucket(bucket):
                body = {"orgID": self._org_id(), "name": bucket.name, "retentionRules": retention_rules(bucket)}
                self._api.post("/api/v2/buckets", body)
            case UpdateBucket(old, bucket):
                self._api.patch(f"/api/v2/buckets/{old.id}", {"retentionRules": retention_rules(bucket)})
            case DeleteBucket(old):
                self._api.delete(f"/api/v2/buckets/{old.id}")
            case MintToken(token, retired):
                self._mint(token, retired)
            case RetireToken(old):
                self._api.delete(f"/api/v2/authorizations/{old.id}")
            case ProtectFile(name):
                token_files.protect(self._secrets_dir / name)
            case DeployTask(task, old):
                self._deploy(task, old)

    def _set_up(self, org: str, bucket: Bucket) -> None:
        """The token is on disk before the server knows it: a crash in between loses nothing."""
        token = token_files.read_token(self._operator_token_file)
        if token is None:
            token = secrets.token_urlsafe(48)
            token_files.write_token(self._operator_token_file, token)
        answer = self._api.post(
            "/api/v2/setup",
            {
                "username": OPERATOR,  # without password: nobody can log in, the token is the only key
                "org": org,
                "bucket": bucket.name,
                "retentionPeriodSeconds": bucket.retention_seconds,
                "token": token,
            },
        )
        self._api.token = token
        self._api.patch(f"/api/v2/buckets/{answer['bucket']['id']}", {"retentionRules": retention_rules(bucket)})

    def _mint(self, token: Token, retired: tuple[ObservedToken, ...]) -> None:
        """The new token is in its file before the old one dies, and is marked with its digest once it is there."""
        org = self._org_id()
        ids = {entry["name"]: entry["id"] for entry in buckets_of(self._api, org)}
        permissions = [
            {"action": action, "resource": {"type": "buckets", "id": ids[name], "orgID": org}}
            for action, names in (("read", token.read), ("write", token.write))
            for name in names
        ]
        body = {"orgID": org, "description": token_description(token), "permissions": permissions}
        minted = self._api.post("/api/v2/authorizations", body)
        token_files.write_token(self._secrets_dir / token.file_name, minted["token"])
        description = {"description": token_description(token, minted["token"])}
        self._api.patch(f"/api/v2/authorizations/{minted['id']}", description)
        for old in retired:
            self._api.delete(f"/api/v2/authorizations/{old.id}")

    def _deploy(self, task: Task, old: ObservedTask | None) -> None:
        """The server takes a script that cannot run: so it runs once here, and one that fails is taken back."""
        try:
            identifier = self._store(task, old)
        except ApiError as error:
            if error.status in (400, 500):  # no Flux at all: POST answers 400, PATCH 500
                raise TaskFailed(f"task {task.name} was not taken: {error}") from error
            raise
        try:
            self._run_once(task.name, identifier)
        except TaskFailed:
            if old is None:
                self._api.delete(f"/api/v2/tasks/{identifier}")
            elif old.script != task.script:
                status = "active" if old.active else "inactive"
                self._api.patch(f"/api/v2/tasks/{identifier}", {"flux": old.script, "status": status})
            raise
        # A description alone is "without content" to the server: the status goes with it.
        verified = {"status": "active", "description": task_description(task.script)}
        self._api.patch(f"/api/v2/tasks/{identifier}", verified)

    def _store(self, task: Task, old: ObservedTask | None) -> str:
        if old is None:
            body = {"orgID": self._org_id(), "flux": task.script, "status": "active"}
            return str(self._api.post("/api/v2/tasks", body)["id"])
        self._api.patch(f"/api/v2/tasks/{old.id}", {"flux": task.script, "status": "active"})
        return old.id

    def _run_once(self, name: str, identifier: str) -> None:
        """Raises TaskFailed with the cause from the run's log: the task's own lastRunError says only that it failed."""
        scheduled = {"scheduledFor": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
        run = self._api.post(f"/api/v2/tasks/{identifier}/runs", scheduled)
        deadline = self._monotonic() + RUN_SECONDS
        while run["status"] not in ("success", "failed", "canceled"):
            if self._monotonic() > deadline:
                raise TaskFailed(f"task {name}: its run {run['id']} is still {run['status']} after {RUN_SECONDS} s")
            self._wait(0.1)
            run = self._run(identifier, run)
        if run["status"] != "success":
            log = self._api.get(run_path(identifier, run["id"], "logs"))["events"]
            raise TaskFailed(f"task {name} cannot run: {run_cause(log) or run['status']}")

    def _run(self, identifier: str, run: Mapping[str, Any]) -> Mapping[str, Any]:
        """The run as it is now; it cannot be found for a moment while it moves to the finished ones."""
        try:
            now: Mapping[str, Any] = self._api.get(run_path(identifier, run["id"]))
        except ApiError as error:
            if error.status == 404:
                return run
            raise
        return now

    def _org_id(self) -> str:
        return org_id(self._api, self._org)


def run_cause(log: list[Mapping[str, Any]]) -> str:
    """The error in a run's log, as one line."""
    messages = (" ".join(str(entry["message"]).split()) for entry in log)
    return "; ".join(message for message in messages if not message.startswith(RUN_NOISE))


def operator_token(path: Path) -> str:
    token = token_files.read_token(path)
    if token is None:
        raise InvalidInput(
            f"{path}: the operator's token is not there, but the server is set up: put it there, "
            "or make a new one with `influxd recovery auth create-operator` while the server is stopped"
        )
    return token
