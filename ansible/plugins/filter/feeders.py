"""How the bots of a host share its pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def shared_out(pairs: Sequence[str], bots: Sequence[str]) -> dict[str, list[str]]:
    """The pairs of each bot, in order and as evenly as can be: of 110 pairs three bots have 37, 37 and 36."""
    each, more = divmod(len(pairs), len(bots))
    ends = [each * (n + 1) + min(n + 1, more) for n in range(len(bots))]
    return {bot: list(pairs[start:end]) for bot, start, end in zip(bots, [0, *ends], ends, strict=False)}


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Any]:
        return {"shared_out": shared_out}
