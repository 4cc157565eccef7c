"""The lines of GET /stream, one JSON object each: docs/stream.md shows one of every kind. Pure.

``seq`` counts the events of one process; numbers of the exchange keep its own text.
"""

import json
from typing import Any

from collector.publish.recent import Final, RecentPair
from exchange.events import Candle, MarkPrice

PROTOCOL = 1
"""Incremented when a reader written for the previous version would misread a line; new kinds and keys do not count."""

# ASCII, since the text of a frame is the exchange's, and may contain characters that UTF-8 cannot encode.
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def hello(collector: str, exchange: str, boot_id: str, exchange_time_ms: int) -> bytes:
    """The first line of every response."""
    return _line(
        {
            "type": "hello",
            "protocol": PROTOCOL,
            "collector": collector,
            "exchange": exchange,
            "boot_id": boot_id,
            "exchange_time_ms": exchange_time_ms,
        }
    )


def exchange_info(seq: int, answer: dict[str, Any]) -> bytes:
    """exchangeInfo as received."""
    return _line({"type": "exchange_info", "seq": seq, "exchange_info": answer})


def pair(seq: int, name: str, state: RecentPair, since_ms: int = 0) -> bytes:
    """Everything about one pair, sent when a reader joins or the pair is added."""
    return _line(
        {
            "type": "pair",
            "seq": seq,
            "pair": name,
            "next_open_ms": state.next_open_ms,
            "final": [_final(final) for final in state.shown(since_ms)],
            "absent": sorted(state.absent),
            "invalid": sorted(state.invalid),
            "open": state.open and _candle(state.open),
            "mark_price": state.mark_price and _mark_price(state.mark_price),
        }
    )


def left(seq: int, name: str) -> bytes:
    """A pair is no longer collected."""
    return _line({"type": "left", "seq": seq, "pair": name})


def live(seq: int, exchange_time_ms: int) -> bytes:
    """The snapshot is complete: the next event is ``seq`` + 1."""
    return _line({"type": "live", "seq": seq, "exchange_time_ms": exchange_time_ms})


def heartbeat(seq: int, exchange_time_ms: int) -> bytes:
    """``seq`` is the one of the last event."""
    return _line({"type": "heartbeat", "seq": seq, "exchange_time_ms": exchange_time_ms})


def open_candle(seq: int, candle: Candle) -> bytes:
    """A frame of the forming candle."""
    return _line({"type": "open", "seq": seq, "pair": candle.pair, **_candle(candle)})


def final_candle(seq: int, final: Final) -> bytes:
    """A final candle, or new values for one."""
    return _line({"type": "final", "seq": seq, "pair": final.candle.pair, **_final(final)})


def absent(seq: int, name: str, open_time_ms: int, *, invalid: bool) -> bytes:
    """A candle the exchange itself does not have, or, if ``invalid``, only has an impossible row for."""
    return _line({"type": "absent", "seq": seq, "pair": name, "open_time_ms": open_time_ms, "invalid": invalid})


def mark_price(seq: int, event: MarkPrice) -> bytes:
    """A frame of mark price and funding."""
    return _line({"type": "mark_price", "seq": seq, "pair": event.pair, **_mark_price(event)})


def _candle(candle: Candle) -> dict[str, Any]:
    values = candle.values
    return {
        "open_time_ms": candle.open_time_ms,
        "event_time_ms": candle.event_time_ms,
        "open": values.open,
        "high": values.high,
        "low": values.low,
        "close": values.close,
        "volume": values.volume,
        "quote_volume": values.quote_volume,
        "taker_buy_volume": values.taker_buy_volume,
        "taker_buy_quote_volume": values.taker_buy_quote_volume,
        "trades": values.trades,
    }


def _final(final: Final) -> dict[str, Any]:
    return {**_candle(final.candle), "origin": final.candle.origin, "corrected": final.corrected}


def _mark_price(event: MarkPrice) -> dict[str, Any]:
    return {
        "event_time_ms": event.event_time_ms,
        "mark": event.mark,
        "index": event.index,
        "estimated_settle": event.estimated_settle,
        "average_mark": event.average_mark,
        "rate": event.rate,
        "next_funding_time_ms": event.next_funding_time_ms,
    }


def _line(message: dict[str, Any]) -> bytes:
    return _encode(message).encode("ascii") + b"\n"
