"""One class for each thing the reconcile can do, with its line for a person. Pure; none ever holds a token's text."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from .desired import Bucket, Task, Token, duration_text
from .observed import ObservedBucket, ObservedTask, ObservedToken


@dataclass(frozen=True)
class SetUp:
    """First-time set-up: organization, first bucket, operator's token."""

    org: str
    bucket: Bucket

    def lines(self) -> list[str]:
        return [f"+ organization {self.org} and the operator's token", *CreateBucket(self.bucket).lines()]


@dataclass(frozen=True)
class CreateBucket:
    bucket: Bucket

    def lines(self) -> list[str]:
        return [f"+ bucket {self.bucket.name}: {_periods(self.bucket)}"]


@dataclass(frozen=True)
class UpdateBucket:
    old: ObservedBucket
    bucket: Bucket

    def lines(self) -> list[str]:
        return [f"~ bucket {self.bucket.name}: {_periods(self.old)} -> {_periods(self.bucket)}"]


@dataclass(frozen=True)
class DeleteBucket:
    old: ObservedBucket

    def lines(self) -> list[str]:
        return [f"- bucket {self.old.name}: {_periods(self.old)}"]


@dataclass(frozen=True)
class MintToken:
    """Create the token, write its file, then delete the tokens it takes the place of."""

    token: Token
    retired: tuple[ObservedToken, ...]
    reason: str

    def lines(self) -> list[str]:
        if self.reason:
            return [f"~ token {self.token.name}: replaced, {self.reason}"]
        may = [
            f"{verb} {', '.join(names)}"
            for verb, names in (("read", self.token.read), ("write", self.token.write))
            if names
        ]
        return [f"+ token {self.token.name}: may {' and '.join(may)}"]


@dataclass(frozen=True)
class RetireToken:
    """Delete a token beside the one in the file: an old generation, a doubled one."""

    old: ObservedToken
    name: str

    def lines(self) -> list[str]:
        return [f"- token {self.name}: a second one beside the one in its file"]


@dataclass(frozen=True)
class ProtectFile:
    name: str

    def lines(self) -> list[str]:
        return [f"~ token file {self.name}: readable by its owner only"]


@dataclass(frozen=True)
class DeployTask:
    """Create the task (old None) or change it, run it once, and note the verified script in its description."""

    task: Task
    old: ObservedTask | None
    reasons: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        if self.old is None:
            return [f"+ task {self.task.name}: created and run once"]
        diff = difflib.unified_diff(self.old.script.splitlines(), self.task.script.splitlines(), lineterm="", n=0)
        changed = [f"    {line}" for line in diff if not line.startswith(("---", "+++", "@@"))]
        return [f"~ task {self.task.name}: {', '.join(self.reasons)}; run once", *changed]


Change = SetUp | CreateBucket | UpdateBucket | DeleteBucket | MintToken | RetireToken | ProtectFile | DeployTask


def _periods(bucket: Bucket | ObservedBucket) -> str:
    retention = f"retention {duration_text(bucket.retention_seconds)}" if bucket.retention_seconds else "kept"
    return f"{retention}, shards {duration_text(bucket.shard_seconds)}"
