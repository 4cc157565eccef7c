"""Faults on request: the available kinds, and the active faults.

A new kind is an entry in `KINDS` and a check where it takes effect.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from simulator.candles import Candle
from simulator.impossible import IMPOSSIBLE, over
from simulator.noise import key_of, share_at


class BadFault(ValueError):
    """The request is invalid; the message says what is allowed."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A fault's parameter: the default, and a check that returns the value or raises ValueError or TypeError."""

    check: Callable[[Any], Any]
    default: Any = None
    required: bool = False


@dataclass(slots=True)
class Fault:
    """An active fault. `acted` counts how often it has taken effect."""

    id: int
    kind: str
    parameters: Mapping[str, Any]
    since_ms: int
    next_ms: int
    acted: int = 0

    def as_json(self) -> dict[str, Any]:
        return {"id": self.id, "kind": self.kind, "since_ms": self.since_ms, "acted": self.acted, **self.parameters}


def _one_of(*allowed: Any) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if value not in allowed:
            raise ValueError(f"one of {', '.join(map(str, allowed))}")
        return value

    return check


def _number(low: float, high: float, kind: type = float) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError(f"a number from {low} to {high}")
        return kind(value)

    return check


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("a text")
    return value


def _symbols(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("a list of symbols")
    return [item.upper() for item in value]


_ROUTE = Parameter(_one_of("market", "public", "unrouted", "all"), "all")
_EVERY = Parameter(_number(0.05, 86_400))  # omitted: once
_AT_MS = Parameter(_number(0, 10**13, int))  # on the exchange's clock; omitted: now
_STATUS = Parameter(_number(200, 599, int), required=True)
_RETRY_AFTER = Parameter(_number(0, 300_000, int))
_CLOSES = {
    "symbols": Parameter(_symbols),
    "interval": Parameter(_text),
    "share": Parameter(_number(0, 1), 1.0),
}

KINDS: dict[str, dict[str, Parameter]] = {
    # acknowledge every subscription but send nothing, including on open connections
    "silent_route": {"route": Parameter(_one_of("market", "public", "unrouted", "all"), "market")},
    # one symbol's streams are silent; `stream` limits it to one of them, for example kline_3m
    "silent_symbol": {"symbol": Parameter(_text, required=True), "stream": Parameter(_text)},
    "late_close": {**_CLOSES, "delay_ms": Parameter(_number(0, 3_600_000, int), 10_000)},
    "missing_close": _CLOSES,
    "double_close": {**_CLOSES, "delay_ms": Parameter(_number(0, 3_600_000, int), 500)},
    # the closing frame lacks the last trade; with `delay_ms`, one with the true values follows that much later
    "corrected_close": {**_CLOSES, "delay_ms": Parameter(_number(0, 3_600_000, int))},
    # 1006 aborts the TCP connection without a close frame
    "close_connections": {
        "code": Parameter(_one_of(1000, 1001, 1006, 1008, 1011, 1012), 1001),
        "every_seconds": _EVERY,
        "route": _ROUTE,
    },
    "refuse_handshake": {"status": _STATUS, "retry_after_seconds": _RETRY_AFTER},
    "rest_status": {
        "status": _STATUS,
        "path": Parameter(_text),
        "retry_after_seconds": _RETRY_AFTER,
        "share": Parameter(_number(0, 1), 1.0),
    },
    "rest_hang": {"path": Parameter(_text)},
    # REST is frozen for one symbol: its klines end before the candle that is forming now, premiumIndex does not change
    "rest_frozen": {"symbol": Parameter(_text, required=True)},
    "malformed_frame": {"every_seconds": _EVERY, "route": _ROUTE},
    "unknown_symbol_frame": {"every_seconds": _EVERY, "route": _ROUTE},
    "unknown_event_frame": {"every_seconds": _EVERY, "route": _ROUTE},
    # the exchange has no candles of these symbols that open in [start_ms, end_ms), in REST, stream and truth
    "exchange_hole": {
        "symbols": Parameter(_symbols),
        "interval": Parameter(_text, "3m"),
        "start_ms": Parameter(_number(0, 10**13, int), required=True),
        "end_ms": Parameter(_number(0, 10**13, int), required=True),
    },
    # a 3m candle gets an impossible row: in its closing frame, in REST, or both; longer ones in REST include its data
    "impossible_row": {
        "symbols": Parameter(_symbols),
        "start_ms": Parameter(_number(0, 10**13, int), required=True),
        "end_ms": Parameter(_number(0, 10**13, int), required=True),
        "what": Parameter(_one_of(*IMPOSSIBLE), "volume_without_trade"),
        "by": Parameter(_one_of("stream", "rest", "both"), "both"),
    },
    # an instrument permanently starts or stops trading; NEWBORNUSDT is the only one that is PENDING_TRADING
    "listing": {"symbol": Parameter(_text, "NEWBORNUSDT"), "at_ms": _AT_MS},
    "delisting": {
        "symbol": Parameter(_text, required=True),
        "status": Parameter(_one_of("SETTLING", "CLOSE", "DELIVERING", "TRADING_HALT"), "SETTLING"),
        "at_ms": _AT_MS,
    },
    # from at_ms on a symbol permanently settles every `hours`: history, fundingInfo, next funding time, premiumIndex
    "funding_interval": {
        "symbol": Parameter(_text, required=True),
        "hours": Parameter(_one_of(1, 2, 4, 8), required=True),
        "at_ms": _AT_MS,
    },
    # exchangeInfo gives a symbol this status, and its streams are silent; its candles continue in REST and truth
    "halt": {
        "symbol": Parameter(_text, required=True),
        "status": Parameter(_one_of("TRADING_HALT", "PENDING_TRADING", "BREAK"), "TRADING_HALT"),
    },
    # a symbol's onboardDate in exchangeInfo is this much too late, or too early
    "onboard_date": {
        "symbol": Parameter(_text, required=True),
        "shift_ms": Parameter(_number(-(10**12), 10**12, int), required=True),
    },
    # exchangeInfo omits a share of its symbols, or these
    "short_exchange_info": {"symbols": Parameter(_symbols), "share": Parameter(_number(0, 1), 1.0)},
    # a symbol's row in exchangeInfo lacks a field; it keeps trading
    "unreadable_row": {"symbol": Parameter(_text, required=True), "field": Parameter(_text, "underlyingType")},
    # the network is down: every connection is aborted, and new ones get no response
    "connection_cut": {},
}
_TIMED = (
    "close_connections",
    "malformed_frame",
    "unknown_symbol_frame",
    "unknown_event_frame",
    "listing",
    "delisting",
    "funding_interval",
)


@dataclass(slots=True)
class Faults:
    """The active faults, in the order of their requests."""

    _active: dict[int, Fault] = field(default_factory=dict)
    _next_id: int = 1

    def add(self, order: Any, now_ms: int) -> Fault:
        """Activate a fault from its JSON; raises BadFault."""
        if not isinstance(order, dict) or order.get("kind") not in KINDS:
            raise BadFault(f"kind: must be one of {', '.join(KINDS)}")
        kind = order["kind"]
        allowed = KINDS[kind]
        unknown = set(order) - set(allowed) - {"kind"}
        if unknown:
            raise BadFault(f"{min(unknown)}: not a parameter of {kind}; it takes {', '.join(allowed) or 'none'}")
        values = {}
        for name, parameter in allowed.items():
            value = order.get(name, parameter.default)
            if value is None:
                if parameter.required:
                    raise BadFault(f"{name}: {kind} needs it")
            else:
                try:
                    value = parameter.check(value)
                except ValueError as error:
                    raise BadFault(f"{name}: must be {error}, not {value!r}") from None
            values[name] = value
        fault = Fault(self._next_id, kind, values, now_ms, values.get("at_ms") or now_ms)
        self._active[fault.id] = fault
        self._next_id += 1
        return fault

    def remove(self, fault_id: int) -> bool:
        return self._active.pop(fault_id, None) is not None

    def clear(self) -> int:
        count = len(self._active)
        self._active.clear()
        return count

    def as_json(self) -> list[dict[str, Any]]:
        return [fault.as_json() for fault in self._active.values()]

    def of(self, *kinds: str) -> Iterator[Fault]:
        """Return the active faults of these kinds."""
        return (fault for fault in list(self._active.values()) if fault.kind in kinds)

    def first(self, kind: str) -> Fault | None:
        """Return the oldest active fault of the kind, and count it as having acted."""
        return _acting(next(self.of(kind), None))

    def silences_route(self, route: str) -> bool:
        for fault in self.of("silent_route"):
            if fault.parameters["route"] in (route, "all"):
                fault.acted += 1
                return True
        return False

    def silences_stream(self, stream: str) -> bool:
        for fault in self.of("silent_symbol", "halt"):
            symbol, _, rest = stream.partition("@")
            chosen = fault.parameters
            if symbol.upper() == chosen["symbol"].upper() and chosen.get("stream") in (None, rest):
                fault.acted += 1
                return True
        return False

    def rest(self, kind: str, path: str, request_number: int) -> Fault | None:
        """Return the fault of this kind that affects a REST request; its `path` is matched with the end of the path."""
        for fault in self.of(kind):
            wanted = fault.parameters["path"]
            share = fault.parameters.get("share", 1.0)
            if (wanted is None or path.endswith(wanted)) and share_at(key_of("rest", fault.id), request_number) < share:
                return _acting(fault)
        return None

    def frozen_ms(self, symbol: str) -> int | None:
        """Return since when REST has been frozen for a symbol; None if it is not."""
        for fault in self.of("rest_frozen"):
            if fault.parameters["symbol"].upper() == symbol:
                fault.acted += 1
                return fault.since_ms
        return None

    def holes(self, symbol: str, interval: str) -> list[tuple[int, int]]:
        """Return the ranges [start, end) of open times in which the exchange has no candles of this interval."""
        return [
            (fault.parameters["start_ms"], fault.parameters["end_ms"])
            for fault in self.of("exchange_hole")
            if (fault.parameters["symbols"] is None or symbol in fault.parameters["symbols"])
            and fault.parameters["interval"] == interval
        ]

    def lacks(self, symbol: str, interval: str, open_ms: int) -> bool:
        """Return whether the exchange lacks this candle."""
        return any(start <= open_ms < end for start, end in self.holes(symbol, interval))

    def as_told(self, symbol: str, interval: str, candle: Candle, by: str) -> Candle:
        """Return the candle as sent by `rest` or `stream`, which may be impossible or include an impossible one."""
        for fault in self.of("impossible_row"):
            chosen = fault.parameters
            if (chosen["symbols"] is not None and symbol not in chosen["symbols"]) or chosen["by"] not in (by, "both"):
                continue
            if interval == "3m" and chosen["start_ms"] <= candle.open_ms < chosen["end_ms"]:
                fault.acted += 1
                return IMPOSSIBLE[chosen["what"]](candle)
            if interval != "3m" and candle.open_ms < chosen["end_ms"] and chosen["start_ms"] <= candle.close_ms:
                return over(candle)
        return candle

    def alter_closing(self, symbol: str, interval: str, open_ms: int, delays_ms: list[int]) -> list[int]:
        """Return the delays of a candle's closing frames after the close, as modified by the faults."""
        if self.lacks(symbol, interval, open_ms):
            return []
        for fault in self._at_close(symbol, interval, open_ms, "missing_close", "late_close", "double_close"):
            chosen = fault.parameters
            if fault.kind == "missing_close":
                return []
            if fault.kind == "late_close":
                delays_ms = [chosen["delay_ms"]]
            elif delays_ms:
                delays_ms = [*delays_ms, delays_ms[-1] + chosen["delay_ms"]]
        return delays_ms

    def wrong_closing(self, symbol: str, interval: str, open_ms: int) -> Fault | None:
        """Return the fault that makes the candle's first closing frame wrong."""
        return next(self._at_close(symbol, interval, open_ms, "corrected_close"), None)

    def date_shift_ms(self, symbol: str) -> int:
        """Return how much later than its first candle a symbol's listing date in exchangeInfo is."""
        for fault in self.of("onboard_date"):
            if fault.parameters["symbol"].upper() == symbol:
                fault.acted += 1
                return int(fault.parameters["shift_ms"])
        return 0

    def hides(self, symbol: str) -> bool:
        """Return whether exchangeInfo omits a symbol."""
        for fault in self.of("short_exchange_info"):
            symbols = fault.parameters["symbols"]
            if symbols is None and share_at(key_of("short", fault.id, symbol), 0) < fault.parameters["share"]:
                return True
            if symbols is not None and symbol in symbols:
                return True
        return False

    def status(self, symbol: str) -> str | None:
        """Return the status that a halt gives a symbol, if any."""
        halted = (fault for fault in self.of("halt") if fault.parameters["symbol"].upper() == symbol)
        return next((str(fault.parameters["status"]) for fault in halted), None)

    def lacking(self, symbol: str) -> frozenset[str]:
        """Return the fields missing from a symbol's row in exchangeInfo."""
        faults = [fault.parameters for fault in self.of("unreadable_row")]
        return frozenset(fault["field"] for fault in faults if fault["symbol"].upper() == symbol)

    def _at_close(self, symbol: str, interval: str, open_ms: int, *kinds: str) -> Iterator[Fault]:
        """Yield the faults that affect the close of a candle, and count them as having acted."""
        for fault in self.of(*kinds):
            chosen = fault.parameters
            if (
                (chosen["symbols"] is None or symbol in chosen["symbols"])
                and chosen["interval"] in (None, interval)
                and share_at(key_of("close", fault.id, symbol, interval), open_ms) < chosen["share"]
            ):
                fault.acted += 1
                yield fault

    def due(self, now_ms: int) -> list[Fault]:
        """Return the timed faults that act now; one without `every_seconds` acts once and is removed."""
        due = [fault for fault in self.of(*_TIMED) if fault.next_ms <= now_ms]
        for fault in due:
            fault.acted += 1
            every_seconds = fault.parameters.get("every_seconds")
            if every_seconds is None:
                self.remove(fault.id)
            else:
                fault.next_ms = now_ms + int(every_seconds * 1000)
        return due


def _acting(fault: Fault | None) -> Fault | None:
    if fault is not None:
        fault.acted += 1
    return fault
