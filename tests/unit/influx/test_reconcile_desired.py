"""The desired state is read from schema.yml; each mistake is reported in one clear line."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from influx.provisioning import load
from influx.reconcile import InvalidInput, parse, with_consumers
from influx.reconcile.desired import duration_text

DAY = 86_400
SCRIPTS = {"ohlcv_15m": 'option task = {name: "ohlcv_15m", every: 15m}\n'}
SCHEMA: dict[str, Any] = {
    "org": "marketdata",
    "buckets": {"raw": {"retention": "kept", "shards": "30d"}, "samples": {"retention": "30d", "shards": "1d"}},
    "tasks": ["ohlcv_15m"],
    "tokens": {"reader": {"read": ["raw"], "consumers": {"gateway": 2}}},
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return SCHEMA with the value at a dotted path replaced."""
    schema = copy.deepcopy(SCHEMA)
    *parents, last = path.split(".")
    entry = schema
    for parent in parents:
        entry = entry[parent]
    entry[last] = value
    return schema


def test_the_committed_schema_matches_the_design() -> None:
    desired = load()
    assert {b.name: (b.retention_seconds, b.shard_seconds // DAY) for b in desired.buckets} == {
        "market_data": (0, 30),
        "market_data_rollup": (0, 90),
        "market_data_samples": (30 * DAY, 1),
    }
    assert [task.name for task in desired.tasks] == ["ohlcv_15m", "ohlcv_1h", "ohlcv_4h", "ohlcv_1d"]
    all_three = {"market_data", "market_data_samples", "market_data_rollup"}
    may = {token.kind: (set(token.read), set(token.write)) for token in desired.tokens}
    assert may == {
        "ingest": (set(), all_three),
        "repair": (all_three, {"market_data_rollup"}),
        "reader": (all_three, set()),
    }


def test_consumers_are_replaced_by_kind_and_keep_their_generation(tmp_path: Path) -> None:
    schema = tmp_path / "schema.yml"
    schema.write_text(yaml.safe_dump(SCHEMA), encoding="utf-8")
    (tmp_path / "ohlcv_15m.flux").write_text(SCRIPTS["ohlcv_15m"], encoding="utf-8")
    desired = load(schema, tmp_path, consumers={"reader": ["gateway", "probe"]})
    assert [(token.name, token.generation) for token in desired.tokens] == [("reader-gateway", 2), ("reader-probe", 1)]


def test_consumers_of_an_unknown_kind_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"^consumers: 'writer', allowed: ingest, repair, reader$"):
        load(consumers={"writer": ["collector-1"]})


def test_a_missing_schema_file_is_reported_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        load(tmp_path / "nothing.yml")
    assert str(tmp_path / "nothing.yml") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("org", "", "s.yml: org: '', allowed: a name"),
        ("orgs", "x", "s.yml: the file: 'orgs', allowed: the keys org, buckets, tasks, tokens"),
        ("buckets", {}, "s.yml: buckets: {}, allowed: at least one bucket"),
        ("buckets.Raw", {}, "s.yml: buckets: 'Raw', allowed: names of small letters, digits and _"),
        (
            "buckets.raw",
            {"retention": "1d"},
            "s.yml: buckets.raw: shards is missing, allowed: the keys",
        ),
        ("buckets.raw.shards", "30", "s.yml: buckets.raw.shards: '30', allowed: a duration such as 12h, 30d or 52w"),
        ("buckets.raw.shards", 30, "s.yml: buckets.raw.shards: 30, allowed: a duration such as 12h, 30d or 52w"),
        ("buckets.raw.retention", "0d", "s.yml: buckets.raw.retention: '0d', allowed: a duration"),
        ("buckets.raw.retention", "10d", "s.yml: buckets.raw.shards: '30d', allowed: at most the retention (10d)"),
        ("tasks", "ohlcv_15m", "s.yml: tasks: 'ohlcv_15m', allowed: a list of names"),
        ("tasks", ["ohlcv_2h"], "s.yml: tasks: 'ohlcv_2h', allowed: a script of that name (ohlcv_15m)"),
        ("tasks", ["ohlcv_15m"] * 2, "s.yml: tasks: 'ohlcv_15m', allowed: each name once"),
        ("tokens.operator", {}, "s.yml: tokens: 'operator', allowed: any other kind"),
        (
            "tokens.reader.read",
            ["rwa"],
            "s.yml: tokens.reader.read: 'rwa', allowed: a bucket of this file",
        ),
        ("tokens.reader.read", [], "s.yml: tokens.reader: {'read': [], "),
        ("tokens.reader.consumers", ["gateway"], "s.yml: tokens.reader.consumers: ['gateway'], allowed: a mapping"),
        ("tokens.reader.consumers.a/b", 1, "s.yml: tokens.reader.consumers: 'a/b', allowed: names of small letters"),
        ("tokens.reader.consumers.gateway", 0, "s.yml: tokens.reader.consumers.gateway: 0, allowed: a generation"),
        (
            "tokens.reader.consumers.gateway",
            True,
            "s.yml: tokens.reader.consumers.gateway: True, allowed: ",
        ),
    ],
)
def test_a_mistake_is_reported_in_one_line_with_file_key_value_and_what_is_allowed(
    path: str, value: Any, line: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(changed(path, value), SCRIPTS, source="s.yml")
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("schema", [None, [], "text", 3])
def test_a_schema_that_is_not_a_mapping_is_refused(schema: Any) -> None:
    with pytest.raises(InvalidInput, match="allowed: a mapping"):
        parse(schema, SCRIPTS)


def test_a_script_must_have_the_name_of_its_file() -> None:
    with pytest.raises(InvalidInput, match=r"^ohlcv_15m\.flux: option task: allowed: "):
        parse(SCHEMA, {"ohlcv_15m": 'option task = {name: "ohlcv_1h", every: 15m}\n'})


@pytest.mark.parametrize(("seconds", "text"), [(0, "kept"), (3600, "1h"), (DAY, "1d"), (36 * 3600, "36h"), (90, "90s")])
def test_durations_are_shown_in_their_shortest_notation(seconds: int, text: str) -> None:
    assert duration_text(seconds) == text


def test_consumers_of_a_kind_replace_the_schemas_and_keep_a_known_generation() -> None:
    schema: dict[str, Any] = {
        "tokens": {"ingest": {"write": ["raw"], "consumers": {"one": 3}}, "reader": {"consumers": {"bot": 1}}}
    }
    changed = with_consumers(schema, {"ingest": ["one", "two"]}, {"ingest-two": 2})
    assert changed["tokens"]["ingest"] == {"write": ["raw"], "consumers": {"one": 3, "two": 2}}
    assert changed["tokens"]["reader"] == {"consumers": {"bot": 1}}
    assert schema["tokens"]["ingest"]["consumers"] == {"one": 3}


def test_a_generation_for_an_unknown_token_is_refused_by_name() -> None:
    schema = {"tokens": {"reader": {"read": ["raw"], "consumers": {"bot": 1}}}}
    with pytest.raises(InvalidInput, match="generations: 'reader-bto', allowed"):
        with_consumers(schema, {}, {"reader-bto": 2})
    with pytest.raises(InvalidInput, match="consumers: 'readers', allowed: reader"):
        with_consumers(schema, {"readers": ["bot"]})
