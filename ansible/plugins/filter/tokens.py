"""The generations of tokens: which there are, and the next ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def token_names(consumers: Mapping[str, Iterable[str]]) -> list[str]:
    """`<kind>-<consumer>` of every token, from the consumers by kind."""
    return [f"{kind}-{consumer}" for kind, names in consumers.items() for consumer in names]


def raised(generations: Mapping[str, int], names: Iterable[str]) -> dict[str, int]:
    """The generations with those of `names` one higher; a token that is not in them is of generation 1."""
    return dict(sorted({**generations, **{name: generations.get(name, 1) + 1 for name in names}}.items()))


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Any]:
        return {"token_names": token_names, "raised": raised}
