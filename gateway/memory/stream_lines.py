"""The lines of a collector's GET /stream (docs/stream.md), typed. Pure.

Unknown keys and types are ignored; numbers remain the exchange's text.
"""

from typing import Any

import msgspec

PROTOCOL = 1


class MalformedLine(ValueError):
    """A line that is not what docs/stream.md promises."""


class _Line(msgspec.Struct, frozen=True, gc=False):
    pass


class Candle(_Line, frozen=True, gc=False):
    """A frame of a 3m candle."""

    open_time_ms: int
    event_time_ms: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    quote_volume: str
    taker_buy_volume: str
    taker_buy_quote_volume: str
    trades: int


class FinalCandle(Candle, frozen=True, gc=False):
    """A final candle. `origin`: stream, rest or spool."""

    origin: str
    corrected: bool = False


class Mark(_Line, frozen=True, gc=False):
    """A markPrice frame; `estimated_settle` and `average_mark` are None if the frame lacks them."""

    event_time_ms: int
    mark: str
    index: str
    estimated_settle: str | None
    average_mark: str | None
    rate: str
    next_funding_time_ms: int


class Hello(_Line, frozen=True, gc=False, tag_field="type", tag="hello"):
    """The first line."""

    protocol: int
    collector: str
    exchange: str
    boot_id: str
    exchange_time_ms: int


class ExchangeInfo(msgspec.Struct, frozen=True, tag_field="type", tag="exchange_info"):
    """exchangeInfo as received."""

    seq: int
    exchange_info: dict[str, Any]


class PairTold(_Line, frozen=True, gc=False, tag_field="type", tag="pair"):
    """Everything about a pair at the beginning."""

    seq: int
    pair: str
    next_open_ms: int
    final: list[FinalCandle]
    absent: list[int]
    open: Candle | None
    mark_price: Mark | None
    invalid: tuple[int, ...] = ()


class Live(_Line, frozen=True, gc=False, tag_field="type", tag="live"):
    """The snapshot is complete."""

    seq: int
    exchange_time_ms: int


class OpenEvent(Candle, frozen=True, gc=False, tag_field="type", tag="open"):
    """A frame of the forming candle."""

    seq: int
    pair: str


class FinalEvent(FinalCandle, frozen=True, gc=False, tag_field="type", tag="final", kw_only=True):
    """A candle became final, or was corrected."""

    seq: int
    pair: str


class AbsentEvent(_Line, frozen=True, gc=False, tag_field="type", tag="absent"):
    """The exchange has no such candle; `invalid`: it has a row that cannot be a candle."""

    seq: int
    pair: str
    open_time_ms: int
    invalid: bool = False


class LeftEvent(_Line, frozen=True, gc=False, tag_field="type", tag="left"):
    """A pair is no longer collected."""

    seq: int
    pair: str


class MarkEvent(Mark, frozen=True, gc=False, tag_field="type", tag="mark_price"):
    """A mark price frame."""

    seq: int
    pair: str


class Heartbeat(_Line, frozen=True, gc=False, tag_field="type", tag="heartbeat"):
    """Sent every second; `seq` is that of the last event."""

    seq: int
    exchange_time_ms: int


type Event = ExchangeInfo | PairTold | OpenEvent | FinalEvent | AbsentEvent | LeftEvent | MarkEvent
type Line = Hello | Live | Heartbeat | Event


class _Kind(msgspec.Struct):
    type: str


_LINES: msgspec.json.Decoder[Line] = msgspec.json.Decoder(
    Hello | Live | Heartbeat | ExchangeInfo | PairTold | OpenEvent | FinalEvent | AbsentEvent | LeftEvent | MarkEvent
)
_KIND = msgspec.json.Decoder(_Kind)
_KNOWN = frozenset(
    {"hello", "live", "heartbeat", "exchange_info", "pair", "open", "final", "absent", "left", "mark_price"}
)


def parse(line: bytes) -> Line | None:
    """Return the content of a line, None for an unknown type. Raises MalformedLine."""
    try:
        return _LINES.decode(line)
    except msgspec.DecodeError as error:
        try:
            kind = _KIND.decode(line).type
        except msgspec.DecodeError:
            raise MalformedLine(f"not a line of /stream: {line[:120]!r}") from error
        if kind in _KNOWN:
            raise MalformedLine(f"a {kind} line is not as documented: {error}") from error
        return None
