"""Which funding settlements there are, which of them are missing, and in how few requests to ask for them. Pure.

A pair settles at every multiple of its interval (1, 4 or 8 h) of UTC; the exchange dates the rate some milliseconds
later, and not always the same. So two times of one minute (rounded) are one settlement: `slot_ms`.

Requests of /fapi/v1/fundingRate cost no weight; they and fundingInfo may be 500 per 5 minutes and address. A share of
30 % is 150, of which a tenth is kept for what is urgent: 135. One request brings 1,000 rows, of one symbol or of all.
On 2026-10-07 about 700 contracts paid funding, most of them each 4 h: 175 rows an hour. The history of 30 days:

    pairs   by symbol              of all symbols               chosen
      164   164 requests, 6 min    720 h x 175 / 1000 = 126     126, one window of 5 min
      700   700 requests, 26 min   the same 126                 126

After it every hour costs one request of all symbols and one of fundingInfo, and again one each for every look more
while a rate is late. Were the exchange to stop answering for all symbols at once, every pair would be asked for by
itself: the 700 requests of an hour would take 26 minutes of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
USUAL_INTERVAL_HOURS = 8
"""The interval of every symbol that fundingInfo does not list."""

MARKET_ROWS_AN_HOUR = 175
ROWS = 1000
"""The most rows one request brings."""

JOIN_MS = 6 * HOUR_MS
"""Settlements this near to each other are one span: the hours between them are in the same request anyway."""

type Slots = Mapping[str, Iterable[int]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to ask for: `spans` (first and last slot) of all symbols at once, then `pairs` each by itself."""

    spans: list[tuple[int, int]]
    pairs: list[str]

    @property
    def requests(self) -> int:
        """How many requests that will be."""
        return _cost(self.spans) + len(self.pairs)


def slot_ms(funding_time_ms: int) -> int:
    """Return the full minute a funding time belongs to: two times with the same slot are the same settlement."""
    return (funding_time_ms + MINUTE_MS // 2) // MINUTE_MS * MINUTE_MS


def range_ms(first_slot_ms: int, last_slot_ms: int) -> tuple[int, int]:
    """Return the first and the last funding time, inclusive, that belong to these slots or to one between them."""
    return first_slot_ms - MINUTE_MS // 2, last_slot_ms + MINUTE_MS // 2 - 1


def expected(interval_hours: int, listed_ms: int, start_ms: int, end_ms: int) -> range:
    """Return the slots at which a pair settles from `start_ms` to `end_ms`, inclusive, after it was listed."""
    interval_ms = interval_hours * HOUR_MS
    first_ms = (max(start_ms - 1, listed_ms) // interval_ms + 1) * interval_ms
    return range(first_ms, end_ms + 1, interval_ms)


def plan(missing: Slots) -> Plan:
    """Return the fewest requests, roughly, that bring the missing slots of all pairs.

    What many pairs lack is asked for of all symbols at once, and what few lack by symbol: the pairs are taken in order
    of how much they lack, and the cut between the two is put where it costs least.
    """
    wanted = {pair: frozenset(slots) for pair, slots in missing.items()}
    pairs = sorted((pair for pair in wanted if wanted[pair]), key=lambda pair: (len(wanted[pair]), pair))
    best = Plan([], pairs)
    slots: frozenset[int] = frozenset()
    spans: list[tuple[int, int]] = []
    for count, pair in enumerate(pairs, 1):
        if not wanted[pair] <= slots:
            slots |= wanted[pair]
            spans = _spans(slots)
        if _cost(spans) + len(pairs) - count <= best.requests:
            best = Plan(spans, pairs[count:])
    return best


def _spans(slots: Iterable[int]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for slot in sorted(slots):
        if joined and slot - joined[-1][1] <= JOIN_MS:
            joined[-1] = (joined[-1][0], slot)
        else:
            joined.append((slot, slot))
    return joined


def _cost(spans: Iterable[tuple[int, int]]) -> int:
    hours = ((last - first) // HOUR_MS + 1 for first, last in spans)
    return sum(-(-some * MARKET_ROWS_AN_HOUR // ROWS) for some in hours)
