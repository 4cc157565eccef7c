"""Which symbols share a connection, and which connections to open, replace and close next. Pure.

A group is the symbols of one connection of one channel. A running connection never loses symbols. New symbols get a
connection of their own. A connection that is due or has an unwanted symbol is replaced by a new one, which takes in
every other group that fits. So a listing does not affect other pairs, and small groups do not pile up.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Group:
    """One connection as the plan sees it. ``due``: its time is up. ``busy``: it is part of a running replacement."""

    id: int
    symbols: tuple[str, ...]
    due: bool = False
    busy: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """Open a connection for ``symbols`` (none if empty) and, once it delivers, close the groups it ``replaces``."""

    symbols: tuple[str, ...]
    replaces: tuple[int, ...] = ()


def plan(
    wanted: Sequence[str],
    groups: Sequence[Group],
    *,
    again: Set[str] = frozenset(),
    may_replace: bool = True,
    limit: int,
) -> list[Step]:
    """Return the steps that bring ``groups`` closer to ``wanted``; one replacement at a time.

    ``limit``: streams per connection. ``again``: symbols whose streams are silent; they get a second subscription on a
    connection of their own.
    """
    held = {symbol for group in groups for symbol in group.symbols}
    missing = [symbol for symbol in wanted if symbol not in held]
    repeated = [symbol for symbol in wanted if symbol in again and symbol in held]
    steps = [Step(some) for symbols in (missing, repeated) for some in _chunks(symbols, limit)]
    if may_replace and not any(group.busy for group in groups):
        steps += _replacement(wanted, groups, limit)
    return steps


def _replacement(wanted: Sequence[str], groups: Sequence[Group], limit: int) -> list[Step]:
    wishes = set(wanted)
    first = next((group for group in groups if group.due or not wishes.issuperset(group.symbols)), None)
    if first is None:
        return []
    symbols = wishes.intersection(first.symbols)
    replaces = [first.id]
    others = [(group.id, wishes.intersection(group.symbols)) for group in groups if group is not first]
    # Groups that add the fewest symbols come first; a second subscription of the same symbols adds none.
    for group_id, more in sorted(others, key=lambda other: (len(other[1] - symbols), other[0])):
        if len(symbols | more) <= limit:
            symbols |= more
            replaces.append(group_id)
    return [Step(tuple(symbol for symbol in wanted if symbol in symbols), tuple(replaces))]


def _chunks(symbols: Sequence[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(symbols[start : start + size]) for start in range(0, len(symbols), size)]
