"""The plan is exactly the difference, and nothing is left once it has been applied."""

import dataclasses
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from influx.reconcile import Bucket, Desired, Observed, ReconcileError, Refused, Task, Token, plan
from influx.reconcile.changes import (
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
from influx.reconcile.observed import ObservedBucket, ObservedTask, ObservedToken, TokenFile
from influx.reconcile.plan import digest, task_description, token_description

DAY = 86_400
DESIRED = Desired(
    org="marketdata",
    buckets=(Bucket("raw", 0, 30 * DAY), Bucket("samples", 30 * DAY, DAY)),
    tasks=(Task("ohlcv_15m", "first line\nsecond line\n"),),
    tokens=(Token("reader", "gateway", 1, ("raw", "samples"), ()), Token("ingest", "collector-1", 1, (), ("raw",))),
)


def applied(desired: Desired, observed: Observed, changes: tuple[Change, ...]) -> Observed:
    """A model of the server: what it would contain after the changes."""
    buckets = {bucket.name: bucket for bucket in observed.buckets}
    tasks = {task.name: task for task in observed.tasks}
    tokens = {token.id: token for token in observed.tokens}
    files = dict(observed.files)
    for change in changes:
        match change:
            case SetUp(_, bucket) | CreateBucket(bucket) | UpdateBucket(_, bucket):
                periods = (bucket.retention_seconds, bucket.shard_seconds)
                buckets[bucket.name] = ObservedBucket(f"id-{bucket.name}", bucket.name, *periods)
            case DeleteBucket(old):
                del buckets[old.name]
            case MintToken(token, retired):
                for dead in retired:
                    del tokens[dead.id]
                new = minted(token, f"new-{token.name}", buckets)
                tokens[new.id] = new
                files[token.file_name] = TokenFile(digest(new.id), private=True)
            case RetireToken(old_token):
                del tokens[old_token.id]
            case ProtectFile(name):
                files[name] = replace(files[name], private=True)
            case DeployTask(task, _):
                tasks[task.name] = deployed(task)
    return Observed(
        buckets=tuple(buckets.values()), tasks=tuple(tasks.values()), tokens=tuple(tokens.values()), files=files
    )


def minted(token: Token, text: str, buckets: dict[str, ObservedBucket]) -> ObservedToken:
    """A token on the model server; its id is also its text."""
    names = (("read", token.read), ("write", token.write))
    grants = frozenset((action, "buckets", buckets[name].id) for action, granted in names for name in granted)
    return ObservedToken(text, token_description(token, text), active=True, grants=grants)


def deployed(task: Task) -> ObservedTask:
    return ObservedTask(
        f"id-{task.name}", task.name, task.script, active=True, description=task_description(task.script)
    )


def settled(desired: Desired = DESIRED) -> Observed:
    fresh = Observed(fresh=True)
    return applied(desired, fresh, plan(desired, fresh).changes)


def test_a_fresh_server_is_set_up_with_the_first_bucket_and_then_filled() -> None:
    changes = plan(DESIRED, Observed(fresh=True)).changes
    assert [type(change) for change in changes] == [SetUp, CreateBucket, MintToken, MintToken, DeployTask]


def test_a_server_in_the_desired_state_needs_no_change() -> None:
    assert plan(DESIRED, settled()).changes == ()


def test_a_longer_retention_is_one_change_with_both_periods_in_its_line() -> None:
    wanted = replace(DESIRED, buckets=(DESIRED.buckets[0], Bucket("samples", 60 * DAY, DAY)))
    planned = plan(wanted, settled())
    assert planned.lines() == ["~ bucket samples: retention 30d, shards 1d -> retention 60d, shards 1d"]


@pytest.mark.parametrize(("name", "days"), [("samples", 7), ("raw", 365)])
def test_a_shorter_retention_is_refused_unless_the_bucket_is_named(name: str, days: int) -> None:
    buckets = tuple(replace(b, retention_seconds=days * DAY) if b.name == name else b for b in DESIRED.buckets)
    wanted = replace(DESIRED, buckets=buckets)
    with pytest.raises(Refused, match=f"^bucket {name}: retention .* deletes data"):
        plan(wanted, settled())
    allowed = replace(wanted, allow_destructive=frozenset({name}))
    assert [type(change) for change in plan(allowed, settled()).changes] == [UpdateBucket]


def test_an_unknown_bucket_is_reported_and_deleted_only_if_it_is_named() -> None:
    observed = settled()
    observed = replace(observed, buckets=(*observed.buckets, ObservedBucket("7", "old", 0, DAY)))
    planned = plan(DESIRED, observed)
    assert planned.changes == ()
    assert planned.reports == ("bucket old is not in the schema",)
    allowed = plan(replace(DESIRED, allow_destructive=frozenset({"old"})), observed)
    assert allowed.lines() == ["- bucket old: kept, shards 1d"]
    assert allowed.reports == ()


def test_unknown_tasks_and_tokens_are_reported_and_left_alone() -> None:
    gone = "marketdata reader-gone generation=1 sha256=0123456789ab"
    observed = settled()
    observed = replace(
        observed,
        tasks=(*observed.tasks, ObservedTask("1", "mine", "", active=True, description="")),
        tokens=(
            *observed.tokens,
            ObservedToken("2", "", active=True, grants=frozenset()),
            ObservedToken(
                "3", "marketdata reader-gone generation=1 sha256=0123456789ab", active=True, grants=frozenset()
            ),
            ObservedToken("4", "operator's Token", active=True, grants=frozenset()),
        ),
    )
    planned = plan(DESIRED, observed)
    assert planned.changes == ()
    assert planned.reports == (
        "task mine (1) is not in the schema",
        "token without description (2) is not in the schema",
        f"token {gone} (3) is not in the schema",
    )


def test_a_lost_token_file_leads_to_a_new_token_that_replaces_the_old() -> None:
    observed = settled()
    files = {name: file for name, file in observed.files.items() if name != "reader-gateway.token"}
    planned = plan(DESIRED, replace(observed, files=files))
    assert planned.lines() == ["~ token reader-gateway: replaced, reader-gateway.token is missing"]
    (change,) = planned.changes
    assert isinstance(change, MintToken)
    assert [old.id for old in change.retired] == ["new-reader-gateway"]


def test_a_file_with_a_different_token_leads_to_a_new_token() -> None:
    observed = settled()
    files = {**observed.files, "reader-gateway.token": TokenFile(digest("operator"), private=True)}
    lines = plan(DESIRED, replace(observed, files=files)).lines()
    assert lines == ["~ token reader-gateway: replaced, reader-gateway.token holds another one"]


def test_a_higher_generation_rotates_exactly_that_token() -> None:
    rotated = replace(DESIRED, tokens=(replace(DESIRED.tokens[0], generation=2), DESIRED.tokens[1]))
    assert plan(rotated, settled()).lines() == ["~ token reader-gateway: replaced, generation 1 -> 2"]


@pytest.mark.parametrize(
    ("drift", "reason"),
    [({"active": False}, "it is inactive"), ({"grants": frozenset({("read", "tasks", "")})}, "its permissions differ")],
)
def test_a_token_with_other_permissions_is_replaced(drift: dict[str, object], reason: str) -> None:
    observed = settled()
    first, *others = observed.tokens
    tokens = (dataclasses.replace(first, **drift), *others)  # type: ignore[arg-type]
    assert plan(DESIRED, replace(observed, tokens=tokens)).lines() == [f"~ token reader-gateway: replaced, {reason}"]


def test_a_token_for_a_recreated_bucket_is_replaced() -> None:
    observed = settled()
    buckets = tuple(replace(bucket, id=f"again-{bucket.name}") for bucket in observed.buckets)
    lines = plan(DESIRED, replace(observed, buckets=buckets)).lines()
    assert lines == [f"~ token {t.name}: replaced, its permissions differ" for t in DESIRED.tokens]


def test_a_second_token_of_the_same_consumer_is_deleted_and_the_one_in_the_file_stays() -> None:
    observed = settled()
    double = replace(observed.tokens[0], id="double", description=token_description(DESIRED.tokens[0]))
    planned = plan(DESIRED, replace(observed, tokens=(double, *observed.tokens)))
    assert planned.changes == (RetireToken(double, "reader-gateway"),)


def test_a_token_file_readable_by_others_is_protected() -> None:
    observed = settled()
    open_files = {**observed.files, "operator.token": TokenFile(digest("x"), private=False)}
    assert plan(DESIRED, replace(observed, files=open_files)).changes == (ProtectFile("operator.token"),)


def test_a_changed_script_shows_the_lines_that_differ() -> None:
    changed = replace(DESIRED, tasks=(Task("ohlcv_15m", "first line\nother line\n"),))
    lines = plan(changed, settled()).lines()
    assert lines == ["~ task ohlcv_15m: script; run once", "    -second line", "    +other line"]


@pytest.mark.parametrize(
    ("drift", "reason"), [({"active": False}, "it is inactive"), ({"description": ""}, "not known to have run")]
)
def test_an_inactive_or_never_run_task_is_deployed_again(drift: dict[str, object], reason: str) -> None:
    observed = settled()
    task = dataclasses.replace(observed.tasks[0], **drift)  # type: ignore[arg-type]
    assert plan(DESIRED, replace(observed, tasks=(task,))).lines() == [f"~ task ohlcv_15m: {reason}; run once"]


def test_two_tasks_with_one_name_are_an_error_that_names_both() -> None:
    observed = settled()
    twins = (observed.tasks[0], replace(observed.tasks[0], id="twin"))
    with pytest.raises(ReconcileError, match=r"^task ohlcv_15m exists 2 times \(id-ohlcv_15m, twin\)"):
        plan(DESIRED, replace(observed, tasks=twins))


seconds = st.sampled_from([0, 7 * DAY, 30 * DAY, 90 * DAY])
buckets = st.lists(
    st.builds(ObservedBucket, st.uuids().map(str), st.sampled_from(["raw", "samples", "other"]), seconds, seconds),
    unique_by=lambda bucket: bucket.name,
)
tasks = st.lists(
    st.builds(
        ObservedTask,
        st.uuids().map(str),
        st.sampled_from(["ohlcv_15m", "other"]),
        st.sampled_from([DESIRED.tasks[0].script, "other\n"]),
        st.booleans(),
        st.sampled_from(["", task_description(DESIRED.tasks[0].script)]),
    ),
    unique_by=lambda task: task.name,
)
descriptions = st.sampled_from(
    ["", "other", *(token_description(token, text) for token in DESIRED.tokens for text in (None, "a", "b"))]
)
grants = st.frozensets(st.tuples(st.sampled_from(["read", "write"]), st.just("buckets"), st.sampled_from(["1", "2"])))
tokens = st.lists(st.builds(ObservedToken, st.uuids().map(str), descriptions, st.booleans(), grants), max_size=5)
files = st.dictionaries(
    st.sampled_from([token.file_name for token in DESIRED.tokens]),
    st.builds(TokenFile, st.sampled_from([digest("a"), digest("b")]), st.booleans()),
)


@given(st.builds(Observed, st.just(False), buckets.map(tuple), tasks.map(tuple), tokens.map(tuple), files))
def test_from_any_state_of_the_server_a_second_plan_is_empty(observed: Observed) -> None:
    desired = replace(DESIRED, allow_destructive=frozenset({"raw", "samples"}))
    after = applied(desired, observed, plan(desired, observed).changes)
    assert plan(desired, after).changes == ()
