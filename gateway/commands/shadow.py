"""Compares our responses to the same requests with the exchange's, row by row. Pure; `gateway compare` fetches both."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from marketdata.thresholds import CLOSE_DEADLINE_MS

#: Settled funding may reach the store some minutes after the exchange publishes it.
SETTLED_MS = 10 * 60_000

_KLINE = (
    "open time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "close time",
    "quote volume",
    "trades",
    "taker buy volume",
    "taker buy quote volume",
)
#: By how much an exchange's premium index may move between two responses, as a fraction.
_MOVED = Decimal("0.02")

type Row = Mapping[str, Any]
type Both = tuple[dict[int, Row], dict[int, Row]]
"""Our rows and the exchange's, by time."""


@dataclass(slots=True)
class Tally:
    """Results for one kind of request. `written`: equal numbers in different text."""

    questions: int = 0
    refused: int = 0
    rows: int = 0
    equal: int = 0
    written: int = 0
    different: int = 0
    missing: int = 0
    extra: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def right(self) -> bool:
        """Whether nothing was wrong; numbers in different text are right."""
        return not (self.refused or self.different or self.missing or self.extra)

    def refuse(self, what: str) -> None:
        """Record that one of the two sides gave no response."""
        self.refused += 1
        self.examples.append(what)

    def compare(self, name: str, ours: Mapping[Any, Row], theirs: Mapping[Any, Row], same: "Same") -> None:
        """Compare rows by their keys; `same` compares one field."""
        self.questions += 1
        for key in sorted(ours.keys() | theirs.keys(), key=str):
            self.rows += 1
            if key not in ours:
                self.missing += 1
                self.examples.append(f"{name} {key}: missing here")
            elif key not in theirs:
                self.extra += 1
                self.examples.append(f"{name} {key}: the exchange does not have it")
            else:
                self._row(f"{name} {key}", ours[key], theirs[key], same)

    def _row(self, name: str, ours: Row, theirs: Row, same: "Same") -> None:
        if ours == theirs:
            self.equal += 1
            return
        fields = [each for each in theirs if not same(each, ours.get(each), theirs[each])]
        if fields:
            self.different += 1
            said = ", ".join(f"{each} {ours.get(each)} is {theirs[each]} there" for each in fields)
            self.examples.append(f"{name}: {said}")
        else:
            self.written += 1


type Same = Callable[[str, Any, Any], bool]


def same_number(_field: str, ours: Any, theirs: Any) -> bool:
    """Whether two values are the same number, however written."""
    if ours == theirs:
        return True
    try:
        return Decimal(str(ours)) == Decimal(str(theirs))
    except InvalidOperation:
        return False


def near(name: str, ours: Any, theirs: Any) -> bool:
    """Whether prices, requested one after the other, are close; times and rates move on and are not compared."""
    if name in ("time", "lastFundingRate", "estimatedSettlePrice"):
        return True
    if name not in ("markPrice", "indexPrice"):
        return same_number(name, ours, theirs)
    one, other = Decimal(str(ours)), Decimal(str(theirs))
    return abs(one - other) <= _MOVED * abs(other)


def candles(ours: Sequence[Sequence[Any]], theirs: Sequence[Sequence[Any]], now_ms: int) -> Both:
    """Return both sides' final candles, in the span covered by both, by open time.

    The forming one and the one that has just ended are left out: a later request sees other values.
    """
    if not ours or not theirs:
        return _by_open(ours, 0, now_ms), _by_open(theirs, 0, now_ms)
    first_ms = max(ours[0][0], theirs[0][0])
    return _by_open(ours, first_ms, now_ms), _by_open(theirs, first_ms, now_ms)


def settlements(ours: Sequence[Row], theirs: Sequence[Row], now_ms: int) -> Both:
    """Return both sides' settled funding, in the span covered by both, by time."""
    first_ms = max((rows[0]["fundingTime"] for rows in (ours, theirs) if rows), default=0)
    return _settled(ours, first_ms, now_ms), _settled(theirs, first_ms, now_ms)


def of_symbols(rows: Sequence[Row], symbols: frozenset[str]) -> dict[str, Row]:
    """Return the rows of these symbols, by symbol."""
    return {row["symbol"]: row for row in rows if row.get("symbol") in symbols}


def _by_open(rows: Sequence[Sequence[Any]], first_ms: int, now_ms: int) -> dict[int, Row]:
    return {
        row[0]: dict(zip(_KLINE, row, strict=False))
        for row in rows
        if row[0] >= first_ms and row[6] + CLOSE_DEADLINE_MS < now_ms
    }


def _settled(rows: Sequence[Row], first_ms: int, now_ms: int) -> dict[int, Row]:
    return {row["fundingTime"]: row for row in rows if first_ms <= row["fundingTime"] < now_ms - SETTLED_MS}
