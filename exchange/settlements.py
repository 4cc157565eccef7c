"""When contracts settle their funding, judged by what settled: which settlements are there to be missed. Pure.

A contract settles at the multiples of its interval, 1, 2, 4 or 8 h of UTC. The exchange changes the interval whenever
it likes, and nothing says later what it was: fundingInfo has the present one. What settled has more to say. Between two
settlements that are further apart than their neighbors there may be one that is missing, or the interval was another.
Only the exchange's answer tells; so such hours are doubtful, are asked about, and the answer is remembered.

Two settlements bound the interval between them from above: by the distance to their own neighbors, and by the hour of
the day they are at, since 20:00 is no multiple of 8 h.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import pairwise

MINUTE_MS = 60_000
HOUR_MS = 3_600_000

INTERVALS_HOURS = (8, 4, 2, 1)
USUAL_INTERVAL_HOURS = 8
"""The interval of every symbol that fundingInfo does not list (docs/binance.md 2), unless what settled says less."""

CONTEXT_MS = 17 * HOUR_MS
"""So far around the hours in question a store is asked as well: what settled there is what these are judged by."""

GIVEN_UP_AFTER_MS = HOUR_MS
"""A rate the exchange does not have this long after its time was never settled: the interval was another."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Hours of which nothing is known to have settled, from `first_ms` to `last_ms`, both inclusive.

    `slots` are those of them at which something probably did.
    """

    first_ms: int
    last_ms: int
    slots: frozenset[int]

    @property
    def hours(self) -> range:
        """Every hour of it: at each a settlement is possible."""
        return range(self.first_ms, self.last_ms + 1, HOUR_MS)


def slot_ms(funding_time_ms: int) -> int:
    """Return the full minute a funding time belongs to: two times with the same slot are the same settlement."""
    return (funding_time_ms + MINUTE_MS // 2) // MINUTE_MS * MINUTE_MS


def expected(interval_hours: int, listed_ms: int, start_ms: int, end_ms: int) -> range:
    """Return the slots at which a pair settles from `start_ms` to `end_ms`, inclusive, after it was listed."""
    interval_ms = interval_hours * HOUR_MS
    first_ms = (max(start_ms - 1, listed_ms) // interval_ms + 1) * interval_ms
    return range(first_ms, end_ms + 1, interval_ms)


def doubtful(
    settled: Iterable[int], *, interval_hours: int | None, listed_ms: int, first_ms: int, last_ms: int
) -> list[Stretch]:
    """Return where from `first_ms` to `last_ms`, inclusive, a settlement may be missing among those that are known.

    `settled` are the known times in UTC ms, best with a few on either side of the span: they are what is judged by.
    `interval_hours` is what fundingInfo says at present, None if it does not list the symbol: it decides of the time
    after the newest settlement, and of all if none is known. A contract settles only after `listed_ms`.
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
    """Return the stretches without the slots about which the exchange was asked and had none; empty ones are gone."""
    left = (Stretch(one.first_ms, one.last_ms, one.slots.difference(answered)) for one in stretches)
    return [one for one in left if one.slots]


def _step(hours: list[int], index: int, present: int) -> int:
    """The longest interval that what is known allows before the settlement of this index, in hours."""
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
    """The hours between two others, with those at the multiples of `step`; None if there is no multiple."""
    slots = frozenset(hour * HOUR_MS for hour in range((before // step + 1) * step, after, step))
    return Stretch((before + 1) * HOUR_MS, (after - 1) * HOUR_MS, slots) if slots else None
