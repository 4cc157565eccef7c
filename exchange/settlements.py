"""When contracts settle their funding, inferred from past settlements: which settlements may be missing. Pure.

A contract settles at the multiples of its interval, 1, 2, 4 or 8 h of UTC. The exchange changes the interval at will,
and keeps no record of it: fundingInfo only has the current one. Past settlements reveal more. If two of them are
further apart than their neighbors, one may be missing in between, or the interval was different. Only the exchange
knows; so such hours are doubtful, the exchange is asked about them, and its response is remembered.

Two settlements bound the interval between them from above: by the distance to their own neighbors, and by their hour of
the day, since 20:00 is no multiple of 8 h.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import pairwise

MINUTE_MS = 60_000
HOUR_MS = 3_600_000

INTERVALS_HOURS = (8, 4, 2, 1)
USUAL_INTERVAL_HOURS = 8
"""Interval of a symbol that fundingInfo does not list (docs/binance.md 2), unless settlements show a shorter one."""

CONTEXT_MS = 17 * HOUR_MS
"""How far around the hours in question a store is queried: the settlements found there are the evidence."""

GIVEN_UP_AFTER_MS = HOUR_MS
"""A rate that the exchange does not have this long after its time was never settled: the interval was different."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Hours for which no settlement is known, from `first_ms` to `last_ms`, both inclusive.

    `slots` are those of them at which there probably was one.
    """

    first_ms: int
    last_ms: int
    slots: frozenset[int]

    @property
    def hours(self) -> range:
        """Every hour of it: a settlement is possible at each."""
        return range(self.first_ms, self.last_ms + 1, HOUR_MS)


def slot_ms(funding_time_ms: int) -> int:
    """Return the full minute a funding time belongs to: two times with the same slot are the same settlement."""
    return (funding_time_ms + MINUTE_MS // 2) // MINUTE_MS * MINUTE_MS


def expected(interval_hours: int, listed_ms: int, start_ms: int, end_ms: int) -> range:
    """Return the slots at which a pair settles from `start_ms` to `end_ms`, inclusive, after its listing."""
    interval_ms = interval_hours * HOUR_MS
    first_ms = (max(start_ms - 1, listed_ms) // interval_ms + 1) * interval_ms
    return range(first_ms, end_ms + 1, interval_ms)


def doubtful(
    settled: Iterable[int], *, interval_hours: int | None, listed_ms: int, first_ms: int, last_ms: int
) -> list[Stretch]:
    """Return where from `first_ms` to `last_ms`, inclusive, a settlement may be missing among the known ones.

    `settled` are the known times in UTC ms, preferably with a few on either side of the span: they are the evidence.
    `interval_hours` is the current interval in fundingInfo, None if it does not list the symbol: it decides about the
    time after the newest settlement, and about all of it if no settlement is known. A contract settles only after
    `listed_ms`.
    """
    first_ms = max(first_ms, listed_ms + 1)
    hours = sorted({(at + HOUR_MS // 2) // HOUR_MS for at in settled})
    present = interval_hours or USUAL_INTERVAL_HOURS
    edges = [-(-first_ms // HOUR_MS) - 1, *hours, last_ms // HOUR_MS + 1]
    found = []
    for index, (before, after) in enumerate(pairwise(edges)):
        if after - before < 2 or after * HOUR_MS <= first_ms or before * HOUR_MS >= last_ms:
            continue
        told = not hours or (index == len(hours) and interval_hours)
        step = present if told else _step(hours, index, present)
        if stretch := _stretch(max(before, edges[0]), min(after, edges[-1]), step):
            found.append(stretch)
    return found


def unanswered(stretches: Iterable[Stretch], answered: Collection[int]) -> list[Stretch]:
    """Return the stretches without the slots for which the exchange, when asked, had none; empty ones are dropped."""
    left = (Stretch(one.first_ms, one.last_ms, one.slots.difference(answered)) for one in stretches)
    return [one for one in left if one.slots]


def _step(hours: list[int], index: int, present: int) -> int:
    """The longest interval, in hours, that the known settlements allow before the one at this index."""
    count = len(hours)
    longest = USUAL_INTERVAL_HOURS
    if index > 0:
        longest = min(longest, _divisor(hours[index - 1]))
    if index < count:
        longest = min(longest, _divisor(hours[index]))
    if index > 1:
        longest = min(longest, hours[index - 1] - hours[index - 2])
    longest = min(longest, hours[index + 1] - hours[index] if index + 1 < count else present)
    return next(interval for interval in INTERVALS_HOURS if interval <= longest)


def _divisor(hour: int) -> int:
    """The largest power of two that divides an hour."""
    return hour & -hour or USUAL_INTERVAL_HOURS


def _stretch(before: int, after: int, step: int) -> Stretch | None:
    """The hours between two others, with those at multiples of `step`; None if there is no multiple."""
    slots = frozenset(hour * HOUR_MS for hour in range((before // step + 1) * step, after, step))
    return Stretch((before + 1) * HOUR_MS, (after - 1) * HOUR_MS, slots) if slots else None
