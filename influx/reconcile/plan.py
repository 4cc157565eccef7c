"""The difference between what the schema wants and what the server holds, as typed changes. Pure.

Identity is the name: of a bucket; of a task (the server allows two of one name: an error here); and, for a token,
`<kind>-<consumer>` in its description. Nothing unknown is touched; it is reported.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

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
from .desired import Bucket, Desired, Task, Token, duration_text
from .errors import ReconcileError, Refused
from .observed import Grant, Observed, ObservedBucket, ObservedTask, ObservedToken, TokenFile

FRESH_TOKEN_NAME = "operator's Token"  # noqa: S105  the server's own description of the token made at set-up
_DESCRIPTION = re.compile(
    r"marketdata (?P<name>\S+) generation=(?P<generation>\d+)(?: sha256=(?P<digest>[0-9a-f]{12}))?"
)


@dataclass(frozen=True)
class Plan:
    """changes in the order in which they must be applied; reports: what was found and is left alone."""

    changes: tuple[Change, ...]
    reports: tuple[str, ...]

    def lines(self) -> list[str]:
        return [line for change in self.changes for line in change.lines()]


def plan(desired: Desired, observed: Observed) -> Plan:
    """Compare. Raises Refused where a change would lose data unallowed, ReconcileError where names are ambiguous."""
    changes: list[Change] = []
    if observed.fresh:
        changes.append(SetUp(desired.org, desired.buckets[0]))
    changes += _bucket_changes(desired, observed)
    changes += _token_changes(desired, observed)
    minted = {change.token.file_name for change in changes if isinstance(change, MintToken)}
    changes += (ProtectFile(name) for name, file in observed.files.items() if not file.private and name not in minted)
    changes += _task_changes(desired, observed)
    return Plan(tuple(changes), tuple(_reports(desired, observed)))


def digest(text: str) -> str:
    """What stands in a description for a token or script: 48 bits of SHA-256 tell nothing of a random token."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def token_description(token: Token, token_text: str | None = None) -> str:
    """The name a token is known by on the server; with the digest once its text is known and in its file."""
    description = f"marketdata {token.name} generation={token.generation}"
    return description if token_text is None else f"{description} sha256={digest(token_text)}"


def task_description(script: str) -> str:
    return f"ran once when it was deployed, sha256={digest(script)}"


def _bucket_changes(desired: Desired, observed: Observed) -> Iterator[Change]:
    present = {bucket.name: bucket for bucket in observed.buckets}
    for bucket in desired.buckets[1:] if observed.fresh else desired.buckets:
        old = present.get(bucket.name)
        if old is None:
            yield CreateBucket(bucket)
        elif (old.retention_seconds, old.shard_seconds) != (bucket.retention_seconds, bucket.shard_seconds):
            if _shrinks(old, bucket) and bucket.name not in desired.allow_destructive:
                periods = f"{duration_text(old.retention_seconds)} -> {duration_text(bucket.retention_seconds)}"
                raise Refused(
                    f"bucket {bucket.name}: retention {periods} deletes data; to allow it, name it in allow-destructive"
                )
            yield UpdateBucket(old, bucket)
    wanted = {bucket.name for bucket in desired.buckets}
    for old in observed.buckets:
        if old.name not in wanted and old.name in desired.allow_destructive:
            yield DeleteBucket(old)


def _token_changes(desired: Desired, observed: Observed) -> Iterator[Change]:
    ids = {bucket.name: bucket.id for bucket in observed.buckets}
    for token in desired.tokens:
        siblings = tuple(old for old in observed.tokens if _token_name(old) == token.name)
        file = observed.files.get(token.file_name)
        good = next((old for old in siblings if not _token_faults(token, old, file, ids)), None)
        if good is None:
            faults = _token_faults(token, siblings[-1], file, ids) if siblings else ""
            yield MintToken(token, siblings, faults)
            continue
        for old in siblings:
            if old is not good:
                yield RetireToken(old, token.name)


def _token_faults(token: Token, old: ObservedToken, file: TokenFile | None, ids: Mapping[str, str]) -> str:
    """Why the observed token is not the desired one; "" if it is."""
    match = _DESCRIPTION.fullmatch(old.description)
    if match is None or int(match["generation"]) != token.generation:
        return f"generation {match['generation'] if match else '?'} -> {token.generation}"
    if not old.active:
        return "it is inactive"
    if old.grants != _grants(token, ids):
        return "its permissions differ"
    if file is None:
        return f"{token.file_name} is missing"
    if file.digest != match["digest"]:
        return f"{token.file_name} holds another one"
    return ""


def _task_changes(desired: Desired, observed: Observed) -> Iterator[Change]:
    for task in desired.tasks:
        olds = [old for old in observed.tasks if old.name == task.name]
        if len(olds) > 1:
            raise ReconcileError(
                f"task {task.name} exists {len(olds)} times ({', '.join(old.id for old in olds)}): delete all but one"
            )
        if not olds:
            yield DeployTask(task, None)
            continue
        reasons = tuple(_task_faults(task, olds[0]))
        if reasons:
            yield DeployTask(task, olds[0], reasons)


def _task_faults(task: Task, old: ObservedTask) -> Iterator[str]:
    if old.script != task.script:
        yield "script"
    if not old.active:
        yield "it is inactive"
    if old.script == task.script and old.description != task_description(task.script):
        yield "not known to have run"


def _reports(desired: Desired, observed: Observed) -> Iterator[str]:
    buckets = {bucket.name for bucket in desired.buckets} | desired.allow_destructive
    tasks = {task.name for task in desired.tasks}
    tokens = {token.name for token in desired.tokens}
    yield from (f"bucket {old.name} is not in the schema" for old in observed.buckets if old.name not in buckets)
    yield from (f"task {old.name} ({old.id}) is not in the schema" for old in observed.tasks if old.name not in tasks)
    for old in observed.tokens:
        if _token_name(old) not in tokens and old.description != FRESH_TOKEN_NAME:
            yield f"token {old.description or 'without description'} ({old.id}) is not in the schema"


def _token_name(old: ObservedToken) -> str:
    match = _DESCRIPTION.fullmatch(old.description)
    return match["name"] if match else ""


def _grants(token: Token, ids: Mapping[str, str]) -> frozenset[Grant]:
    """A bucket that is yet to be created has no id, so no token can match it."""
    wanted = (("read", token.read), ("write", token.write))
    return frozenset((action, "buckets", ids.get(name, name)) for action, names in wanted for name in names)


def _shrinks(old: ObservedBucket, bucket: Bucket) -> bool:
    return bucket.retention_seconds != 0 and (
        old.retention_seconds == 0 or bucket.retention_seconds < old.retention_seconds
    )
