"""Which funding settlements the stores lack, and how to request them with few requests. Pure.

The exchange dates a rate some milliseconds after its hour, and not always by the same amount. So two times in the same
(rounded) minute are one settlement: `slot_ms`. When a pair settles is inferred from past settlements
(`exchange/settlements.py`): a settlement that seems to be missing is requested, with all hours from the settlement
before it to the one after, and if the exchange has none, that is remembered: after a change of the interval, each
process asks once.

Requests of /fapi/v1/fundingRate cost no weight; together with fundingInfo they are limited to 500 per 5 minutes and
address. A share of 30 % is 150, of which a tenth is reserved for urgent requests: 135 remain. One request returns 1,000
rows, for one symbol or for all. On 2026-10-07 about 700 contracts paid funding, most of them every 4 h: 175 rows an
hour. The history of 30 days:

    pairs   by symbol              all symbols at once          chosen
      164   164 requests, 6 min    720 h x 175 / 1000 = 126     126, one window of 5 min
      700   700 requests, 26 min   the same 126                 126

After that, every hour costs one request for all symbols and one of fundingInfo, one more of each for every further look
while a rate is late, and five for a day of the history, a different one every hour (`day_of_turn`): these find losses
that leave no trace in the stores, such as the only settlement of an interval that was changed back at once. If the
exchange stopped responding for all symbols at once, every pair would be requested separately: the 700 requests of an
hour would take 26 minutes of it.
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
"""The maximum number of rows per response."""

JOIN_MS = 6 * HOUR_MS
"""Settlements this close together are one span: the hours between them are in the same request anyway."""

type Slots = Mapping[str, Iterable[int]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to request: `spans` (first and last slot) for all symbols at once, then `pairs` one by one."""

    spans: list[tuple[int, int]]
    pairs: list[str]

    @property
    def requests(self) -> int:
        """The number of requests this takes."""
        return _cost(self.spans) + len(self.pairs)


def range_ms(first_slot_ms: int, last_slot_ms: int) -> tuple[int, int]:
    """Return the first and the last funding time, inclusive, that belong to these slots or to one in between."""
    return first_slot_ms - MINUTE_MS // 2, last_slot_ms + MINUTE_MS // 2 - 1


def day_of_turn(now_ms: int, hours: int) -> tuple[int, int]:
    """Return the first and last slot of the day that is checked in this hour, in a history of this many hours.

    It is a different day each hour. All days move with the hour, so each hour of the history is in a checked day after
    at most twice as many hours as there are days.
    """
    days = -(-hours // 24)
    last_ms = now_ms // HOUR_MS * HOUR_MS - now_ms // HOUR_MS % days * 24 * HOUR_MS
    return last_ms - 23 * HOUR_MS, last_ms


class Book:
    """What the stores lack for each pair; remembers, per process, slots for which the exchange has no settlement."""

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
        """Return what to request from `first_ms` to `last_ms`, inclusive.

        `held` are the slots of each store, ideally including a day before and after; for the other arguments see
        `doubtful`. Slots that one store has and another lacks are included.
        """
        somewhere = frozenset[int]().union(*held)
        found = doubtful(
            somewhere, interval_hours=interval_hours, listed_ms=listed_ms, first_ms=first_ms, last_ms=last_ms
        )
        elsewhere = frozenset[int]().union(*(somewhere.difference(store) for store in held))
        found += _runs(slot for slot in elsewhere if first_ms <= slot <= last_ms)
        return unanswered(found, self._unsettled.get(pair, ()))

    def note_answer(self, pair: str, slots: Iterable[int], now_ms: int) -> None:
        """Note that the exchange has none of these requested slots; those that have just settled may still arrive."""
        old = {slot for slot in slots if slot < now_ms - GIVEN_UP_AFTER_MS}
        if old:
            self._unsettled.setdefault(pair, set()).update(old)

    def forget_before(self, first_ms: int) -> None:
        """Forget slots older than anything that will be requested."""
        self._unsettled = {
            pair: kept for pair, slots in self._unsettled.items() if (kept := {at for at in slots if at >= first_ms})
        }


def count(lacking: Mapping[str, Iterable[Stretch]]) -> int:
    """Return the probable number of settlements."""
    return sum(len(stretch.slots) for stretches in lacking.values() for stretch in stretches)


def hours(lacking: Mapping[str, Iterable[Stretch]]) -> dict[str, frozenset[int]]:
    """Return, by pair, every slot at which one of them may have settled: the input of `plan`."""
    return {
        pair: frozenset(slot for stretch in stretches for slot in stretch.hours) for pair, stretches in lacking.items()
    }


def not_among(lacking: Mapping[str, Iterable[Stretch]], asked: Mapping[str, Set[int]]) -> dict[str, list[Stretch]]:
    """Return the stretches that have a slot not among those already asked."""
    left = {
        pair: [stretch for stretch in stretches if not stretch.slots <= asked.get(pair, frozenset())]
        for pair, stretches in lacking.items()
    }
    return {pair: stretches for pair, stretches in left.items() if stretches}


def plan(missing: Slots) -> Plan:
    """Return the roughly smallest set of requests for the missing slots of all pairs.

    What many pairs lack is requested for all symbols at once, what few lack by symbol: the pairs are sorted by how much
    they lack, and split at the cheapest point.
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
    """Group known settlements into stretches; those no further apart than the usual interval are one."""
    return [Stretch(run[0], run[-1], frozenset(run)) for run in _joined(slots, USUAL_INTERVAL_HOURS * HOUR_MS)]


def _spans(slots: Iterable[int]) -> list[tuple[int, int]]:
    return [(run[0], run[-1]) for run in _joined(slots, JOIN_MS)]


def _joined(slots: Iterable[int], distance_ms: int) -> list[list[int]]:
    """Group sorted slots into lists whose neighbors are at most this far apart."""
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
