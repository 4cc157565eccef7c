"""Which funding settlements the stores lack, and in how few requests to ask for them. Pure.

The exchange dates a rate some milliseconds after its hour, and not always the same. So two times of one minute
(rounded) are one settlement: `slot_ms`. When a pair settles is judged by what settled (`exchange/settlements.py`): what
looks as if it were missing is asked about, all the hours from the settlement before to the one after, and where the
exchange has none that is remembered: about a change of the interval each process asks once.

Requests of /fapi/v1/fundingRate cost no weight; they and fundingInfo may be 500 per 5 minutes and address. A share of
30 % is 150, of which a tenth is kept for what is urgent: 135. One request brings 1,000 rows, of one symbol or of all.
On 2026-10-07 about 700 contracts paid funding, most of them each 4 h: 175 rows an hour. The history of 30 days:

    pairs   by symbol              of all symbols               chosen
      164   164 requests, 6 min    720 h x 175 / 1000 = 126     126, one window of 5 min
      700   700 requests, 26 min   the same 126                 126

After it every hour costs one request of all symbols and one of fundingInfo, again one each for every look more while a
rate is late, and five for a day of the history, each hour another one (`day_of_turn`): what nothing in the stores
betrays, as the only settlement of an interval that was changed back at once, is found by these. Were the exchange to
stop answering for all symbols at once, every pair would be asked for by itself: the 700 requests of an hour would take
26 minutes of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from exchange.settlements import (
    GIVEN_UP_AFTER_MS,
    HOUR_MS,
    MINUTE_MS,
    USUAL_INTERVAL_HOURS,
    Stretch,
    doubtful,
    unanswered,
)

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


def range_ms(first_slot_ms: int, last_slot_ms: int) -> tuple[int, int]:
    """Return the first and the last funding time, inclusive, that belong to these slots or to one between them."""
    return first_slot_ms - MINUTE_MS // 2, last_slot_ms + MINUTE_MS // 2 - 1


def day_of_turn(now_ms: int, hours: int) -> tuple[int, int]:
    """Return the first and last slot of the day that is looked at in this hour, of a history of so many hours.

    Each hour it is another one. All days move with the hour: each hour of the history is in one that is looked at after
    twice as many hours as there are days.
    """
    days = -(-hours // 24)
    last_ms = now_ms // HOUR_MS * HOUR_MS - now_ms // HOUR_MS % days * 24 * HOUR_MS
    return last_ms - 23 * HOUR_MS, last_ms


class Book:
    """What the stores lack of each pair; remembers for one process at which slots the exchange has no settlement."""

    def __init__(self) -> None:
        self._unsettled: dict[str, set[int]] = {}

    def lacking(
        self,
        pair: str,
        held: Sequence[Set[int]],
        *,
        interval_hours: int | None,
        listed_ms: int,
        first_ms: int,
        last_ms: int,
    ) -> list[Stretch]:
        """Return what has to be asked about from `first_ms` to `last_ms`, inclusive.

        `held` has the slots of each store, best with those of a day before and after; for the other arguments see
        `doubtful`. What one store has and another lacks is asked about as well.
        """
        somewhere = frozenset[int]().union(*held)
        found = doubtful(
            somewhere, interval_hours=interval_hours, listed_ms=listed_ms, first_ms=first_ms, last_ms=last_ms
        )
        elsewhere = frozenset[int]().union(*(somewhere.difference(store) for store in held))
        found += _runs(slot for slot in elsewhere if first_ms <= slot <= last_ms)
        return unanswered(found, self._unsettled.get(pair, ()))

    def note_answer(self, pair: str, slots: Iterable[int], now_ms: int) -> None:
        """The exchange was asked about these slots and has none; those that settled a moment ago may still come."""
        old = {slot for slot in slots if slot < now_ms - GIVEN_UP_AFTER_MS}
        if old:
            self._unsettled.setdefault(pair, set()).update(old)

    def forget_before(self, first_ms: int) -> None:
        """Drop what is older than all that will be asked about."""
        self._unsettled = {
            pair: kept for pair, slots in self._unsettled.items() if (kept := {at for at in slots if at >= first_ms})
        }


def count(lacking: Mapping[str, Iterable[Stretch]]) -> int:
    """Return how many settlements that probably is."""
    return sum(len(stretch.slots) for stretches in lacking.values() for stretch in stretches)


def hours(lacking: Mapping[str, Iterable[Stretch]]) -> dict[str, frozenset[int]]:
    """Return every slot at which something of it can have settled, by pair: what `plan` is made for."""
    return {
        pair: frozenset(slot for stretch in stretches for slot in stretch.hours) for pair, stretches in lacking.items()
    }


def not_among(lacking: Mapping[str, Iterable[Stretch]], asked: Mapping[str, Set[int]]) -> dict[str, list[Stretch]]:
    """Return what of it has a slot that is not among these."""
    left = {
        pair: [stretch for stretch in stretches if not stretch.slots <= asked.get(pair, frozenset())]
        for pair, stretches in lacking.items()
    }
    return {pair: stretches for pair, stretches in left.items() if stretches}


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


def _runs(slots: Iterable[int]) -> list[Stretch]:
    """Known settlements as stretches; those of a usual interval's distance are one."""
    return [Stretch(run[0], run[-1], frozenset(run)) for run in _joined(slots, USUAL_INTERVAL_HOURS * HOUR_MS)]


def _spans(slots: Iterable[int]) -> list[tuple[int, int]]:
    return [(run[0], run[-1]) for run in _joined(slots, JOIN_MS)]


def _joined(slots: Iterable[int], distance_ms: int) -> list[list[int]]:
    """Slots in order, those no further apart than this in one list."""
    runs: list[list[int]] = []
    for slot in sorted(slots):
        if runs and slot - runs[-1][-1] <= distance_ms:
            runs[-1].append(slot)
        else:
            runs.append([slot])
    return runs


def _cost(spans: Iterable[tuple[int, int]]) -> int:
    hours = ((last - first) // HOUR_MS + 1 for first, last in spans)
    return sum(-(-some * MARKET_ROWS_AN_HOUR // ROWS) for some in hours)
