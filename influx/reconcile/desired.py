"""What the server should hold, checked by hand: this package has the standard library only. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import InvalidInput

KEPT = "kept"
SHOWN_CHARACTERS = 60
UNIT_SECONDS = {"h": 3600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True)
class Bucket:
    """retention_seconds 0: kept for ever."""

    name: str
    retention_seconds: int
    shard_seconds: int


@dataclass(frozen=True)
class Task:
    name: str
    script: str


@dataclass(frozen=True)
class Token:
    """A least-privilege token of one consumer; read and write are bucket names."""

    kind: str
    consumer: str
    generation: int
    read: tuple[str, ...]
    write: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.consumer}"

    @property
    def file_name(self) -> str:
        return f"{self.name}.token"


@dataclass(frozen=True)
class Desired:
    """allow_destructive: names of buckets that may be deleted or may lose data by a shorter retention."""

    org: str
    buckets: tuple[Bucket, ...]
    tasks: tuple[Task, ...]
    tokens: tuple[Token, ...]
    allow_destructive: frozenset[str] = frozenset()


def parse(
    schema: object, scripts: Mapping[str, str], *, source: str = "schema.yml", allow_destructive: Iterable[str] = ()
) -> Desired:
    """The desired state from the content of schema.yml and the task scripts by name.

    Raises InvalidInput with one line that names source, key, value and what is allowed.
    """
    top = _mapping(source, "the file", schema, required=("org", "buckets", "tasks", "tokens"))
    buckets = _buckets(source, top["buckets"])
    names = tuple(bucket.name for bucket in buckets)
    return Desired(
        org=_name(source, "org", top["org"], r"\S(.*\S)?", "a name"),
        buckets=buckets,
        tasks=_tasks(source, top["tasks"], scripts),
        tokens=_tokens(source, top["tokens"], names),
        allow_destructive=frozenset(allow_destructive),
    )


def with_consumers(
    schema: Mapping[str, Any], consumers: Mapping[str, Iterable[str]], generations: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """A valid schema with other consumers, for the kinds that `consumers` names.

    generations is by token name (`ingest-collector-1`); a token it does not name keeps the schema's, a new one is of
    generation 1. Raises InvalidInput for a kind or token that there is not.
    """
    tokens = dict(schema["tokens"])
    for kind, names in consumers.items():
        if kind not in tokens:
            raise InvalidInput(f"consumers: {kind!r}, allowed: {', '.join(tokens)}")
        known = tokens[kind]["consumers"]
        tokens[kind] = {**tokens[kind], "consumers": {name: known.get(name, 1) for name in names}}
    left = dict(generations or {})
    for kind, entry in tokens.items():
        raised = {name: left.pop(f"{kind}-{name}", known) for name, known in entry["consumers"].items()}
        tokens[kind] = {**entry, "consumers": raised}
    if left:
        raise InvalidInput(f"generations: {', '.join(map(repr, left))}, allowed: names of tokens, <kind>-<consumer>")
    return {**schema, "tokens": tokens}


def duration_text(seconds: int) -> str:
    """The shortest notation: 2592000 -> "30d", 0 -> "kept"."""
    if seconds == 0:
        return KEPT
    for unit in ("d", "h"):
        if seconds % UNIT_SECONDS[unit] == 0:
            return f"{seconds // UNIT_SECONDS[unit]}{unit}"
    return f"{seconds}s"


def _buckets(source: str, value: object) -> tuple[Bucket, ...]:
    buckets = []
    for name, entry in _mapping(source, "buckets", value).items():
        key = f"buckets.{name}"
        _name(source, "buckets", name, r"[a-z][a-z0-9_]*", "names of small letters, digits and _")
        keys = _mapping(source, key, entry, required=("retention", "shards"))
        retention = 0 if keys["retention"] == KEPT else _duration(source, f"{key}.retention", keys["retention"])
        shard = _duration(source, f"{key}.shards", keys["shards"])
        if retention and shard > retention:
            raise _invalid(source, f"{key}.shards", keys["shards"], f"at most the retention ({keys['retention']})")
        buckets.append(Bucket(name, retention, shard))
    if not buckets:
        raise _invalid(source, "buckets", value, "at least one bucket")
    return tuple(buckets)


def _tasks(source: str, value: object, scripts: Mapping[str, str]) -> tuple[Task, ...]:
    names = _names(source, "tasks", value, tuple(scripts), "a script of that name")
    for name in names:
        if not re.search(rf'^option task = \{{name: "{re.escape(name)}",', scripts[name], re.MULTILINE):
            raise InvalidInput(f'{name}.flux: option task: allowed: `option task = {{name: "{name}", ...}}`')
    return tuple(Task(name, scripts[name]) for name in names)


def _tokens(source: str, value: object, buckets: tuple[str, ...]) -> tuple[Token, ...]:
    tokens = []
    for kind, entry in _mapping(source, "tokens", value).items():
        key = f"tokens.{kind}"
        if _name(source, "tokens", kind, "[a-z]+", "kinds of small letters, not operator") == "operator":
            raise _invalid(source, "tokens", kind, "any other kind: the operator's token is made at set-up")
        keys = _mapping(source, key, entry, required=("consumers",), optional=("read", "write"))
        read = _names(source, f"{key}.read", keys.get("read", []), buckets, "a bucket of this file")
        write = _names(source, f"{key}.write", keys.get("write", []), buckets, "a bucket of this file")
        if not read + write:
            raise _invalid(source, key, entry, "buckets under read or write")
        for consumer, generation in _mapping(source, f"{key}.consumers", keys["consumers"]).items():
            _name(source, f"{key}.consumers", consumer, "[a-z0-9][a-z0-9-]*", "names of small letters, digits and -")
            if not isinstance(generation, int) or isinstance(generation, bool) or generation < 1:
                raise _invalid(source, f"{key}.consumers.{consumer}", generation, "a generation of 1 or more")
            tokens.append(Token(kind, consumer, generation, read, write))
    return tuple(tokens)


def _mapping(
    source: str, key: str, value: object, *, required: tuple[str, ...] = (), optional: tuple[str, ...] = ()
) -> Mapping[str, Any]:
    """value as a mapping; where keys are named, with all required ones and no others."""
    if not isinstance(value, Mapping):
        raise _invalid(source, key, value, "a mapping")
    if required:
        allowed = ", ".join((*required, *optional))
        for name in value:
            if name not in (*required, *optional):
                raise _invalid(source, key, name, f"the keys {allowed}")
        for name in required:
            if name not in value:
                raise InvalidInput(f"{source}: {key}: {name} is missing, allowed: the keys {allowed}")
    return value


def _names(source: str, key: str, value: object, known: tuple[str, ...], allowed: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise _invalid(source, key, value, "a list of names")
    for index, name in enumerate(value):
        if name not in known:
            raise _invalid(source, key, name, f"{allowed} ({', '.join(known) or 'there is none'})")
        if name in value[:index]:
            raise _invalid(source, key, name, "each name once")
    return tuple(value)


def _name(source: str, key: str, value: object, pattern: str, allowed: str) -> str:
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise _invalid(source, key, value, allowed)
    return value


def _duration(source: str, key: str, value: object) -> int:
    match = re.fullmatch(r"([1-9][0-9]{0,4})([hdw])", value) if isinstance(value, str) else None
    if match is None:
        raise _invalid(source, key, value, "a duration such as 12h, 30d or 52w (one hour or more)")
    return int(match[1]) * UNIT_SECONDS[match[2]]


def _invalid(source: str, key: str, value: object, allowed: str) -> InvalidInput:
    text = repr(value)
    shown = text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
    return InvalidInput(f"{source}: {key}: {shown}, allowed: {allowed}")
