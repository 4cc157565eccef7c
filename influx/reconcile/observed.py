"""What a server and the folder of token files hold. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Grant = tuple[str, str, str]
"""What a token may do: (read or write, resource type, resource id or "" for all of that type)."""


@dataclass(frozen=True)
class ObservedBucket:
    id: str
    name: str
    retention_seconds: int
    shard_seconds: int


@dataclass(frozen=True)
class ObservedTask:
    id: str
    name: str
    script: str
    active: bool
    description: str


@dataclass(frozen=True)
class ObservedToken:
    """A token without its text, which is never read back."""

    id: str
    description: str
    active: bool
    grants: frozenset[Grant]


@dataclass(frozen=True)
class TokenFile:
    """digest: of the token in it; private: only its owner may read it."""

    digest: str
    private: bool


@dataclass(frozen=True)
class Observed:
    """What the server and the folder of token files hold. fresh: nobody has set the server up yet."""

    fresh: bool = False
    buckets: tuple[ObservedBucket, ...] = ()
    tasks: tuple[ObservedTask, ...] = ()
    tokens: tuple[ObservedToken, ...] = ()
    files: Mapping[str, TokenFile] = field(default_factory=dict)
