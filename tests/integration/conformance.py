"""The conformance table: questions to the gateway and to the simulated exchange, and what may differ in their answers.

A row is a route with parameters. Each is asked of both; the answers are equal, or differ in a way that
docs/freqtrade.md names, or the gateway is wrong.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
INTERVAL_MS = {
    "1m": MINUTE_MS,
    "3m": 3 * MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": HOUR_MS,
    "2h": 2 * HOUR_MS,
    "4h": 4 * HOUR_MS,
    "6h": 6 * HOUR_MS,
    "8h": 8 * HOUR_MS,
    "12h": 12 * HOUR_MS,
    "1d": 24 * HOUR_MS,
    "3d": 72 * HOUR_MS,
    "1w": 168 * HOUR_MS,
    "1M": 720 * HOUR_MS,
}

#: What docs/freqtrade.md says of each stands there under the same name.
DIFFERENCES = {
    "forming": "the forming candle is a frame older or newer",
    "intervals": "other multiples of 3m up to 1d are answered, too",
    "moment": "prices of another moment: order books, tickers, the premium index, times",
    "sums": "volumes of a window that the store rolled, in the last digits",
    "written": "the same numbers in other text, where only the store has the candle",
}

_LIMITS = (None, "", "0", "1", "2", "99", "100", "499", "500", "1000", "1500", "1501", "abc", "-1", "1.5", "1" * 21)
_STRANGE_INTERVALS = (None, "", "1s", "7m", "3M", "1H", "9m", "45m", "3m ")

_VOLUMES = (5, 7, 9, 10)

type Params = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Row:
    """One question."""

    route: str
    params: Params

    def __str__(self) -> str:
        return f"{self.route} {' '.join(f'{name}={value}' for name, value in self.params.items())}".strip()


@dataclass(frozen=True, slots=True)
class Symbols:
    """Symbols of every kind that the exchange lists: collected ones, and those that are not."""

    collected: str
    odd: tuple[str, ...]
    """Collected, too, on coins with names of other scripts and characters."""
    others: tuple[str, ...]

    def cases(self) -> list[str | None]:
        """Every way to say a symbol; None: not at all."""
        known = [self.collected, self.collected.lower(), *self.odd, *self.others]
        return [*known, None, "", "NOSUCHUSDT", "BTC/USDT", " "]


def rows(symbols: Symbols, now_ms: int) -> list[Row]:
    """Return the table's questions; times are around `now_ms`."""
    return [
        *_klines(symbols, now_ms),
        *_mark_klines(symbols, now_ms),
        *_funding(symbols, now_ms),
        *_books(symbols),
        *_general(),
    ]


def verdict(row: Row, ours: tuple[int, bytes], theirs: tuple[int, bytes], now_ms: int) -> str:
    """Return "equal", the name of a documented difference, or a sentence that begins with WRONG."""
    if row.params.get("interval") in ("9m", "45m") and row.route.endswith("/klines") and b"-1120" in theirs[1]:
        return "intervals"
    if ours[0] != theirs[0]:
        return f"WRONG: status {ours[0]} {ours[1][:120]!r} instead of {theirs[0]} {theirs[1][:120]!r}"
    if ours[1] == theirs[1]:
        return "equal"
    if theirs[0] != 200:
        return f"WRONG: {ours[1]!r} instead of {theirs[1]!r}"
    mine, real = json.loads(ours[1]), json.loads(theirs[1])
    if row.route.endswith("lines"):
        return _candles(mine, real, now_ms)
    if row.route.endswith(("fundingRate", "fundingInfo")):
        return _list(mine, real)
    return _moment(mine, real)


def _klines(symbols: Symbols, now_ms: int) -> Iterator[Row]:
    route = "/fapi/v1/klines"
    for symbol in symbols.cases():
        yield _row(route, symbol=symbol, interval="3m", limit="5")
        yield _row(route, symbol=symbol, interval="1h", limit="5")
    for interval in (*INTERVAL_MS, *_STRANGE_INTERVALS):
        yield _row(route, symbol=symbols.collected, interval=interval, limit="3")
    for interval in ("3m", "1h", "1d", "1m"):
        for limit in _LIMITS:
            yield _row(route, symbol=symbols.collected, interval=interval, limit=limit)
    for interval in ("3m", "15m", "4h", "1w", "5m", "9m"):
        for span in spans(INTERVAL_MS.get(interval, 9 * MINUTE_MS), now_ms):
            yield _row(route, symbol=symbols.collected, interval=interval, limit="20", **span)


def _mark_klines(symbols: Symbols, now_ms: int) -> Iterator[Row]:
    route = "/fapi/v1/markPriceKlines"
    for symbol in symbols.cases():
        yield _row(route, symbol=symbol, interval="1h", limit="5")
    for interval in (*INTERVAL_MS, *_STRANGE_INTERVALS):
        yield _row(route, symbol=symbols.collected, interval=interval, limit="3")
    for limit in _LIMITS:
        yield _row(route, symbol=symbols.collected, interval="1h", limit=limit)
    for interval in ("1h", "4h"):
        for span in spans(INTERVAL_MS[interval], now_ms):
            yield _row(route, symbol=symbols.collected, interval=interval, limit="20", **span)


def _funding(symbols: Symbols, now_ms: int) -> Iterator[Row]:
    route = "/fapi/v1/fundingRate"
    for symbol in symbols.cases():
        yield _row(route, symbol=symbol, limit="5")
    for limit in _LIMITS:
        yield _row(route, symbol=symbols.collected, limit=limit)
        yield _row(route, limit=limit)
    for span in spans(8 * HOUR_MS, now_ms):
        yield _row(route, symbol=symbols.collected, limit="20", **span)
        yield _row(route, limit="20", **span)
    yield _row("/fapi/v1/fundingInfo")


def _books(symbols: Symbols) -> Iterator[Row]:
    for symbol in symbols.cases():
        yield _row("/fapi/v1/depth", symbol=symbol, limit="5")
        for route in ("premiumIndex", "ticker/24hr", "ticker/price", "ticker/bookTicker"):
            yield _row(f"/fapi/v1/{route}", symbol=symbol)
    for limit in (*_LIMITS, "5", "10", "20", "50", "7"):
        yield _row("/fapi/v1/depth", symbol=symbols.collected, limit=limit)


def _general() -> Iterator[Row]:
    for route in ("ping", "time", "exchangeInfo"):
        yield _row(f"/fapi/v1/{route}")
        yield _row(f"/fapi/v1/{route}", symbol="NOSUCHUSDT", limit="abc")


def spans(step_ms: int, now_ms: int) -> list[dict[str, str]]:
    """Return startTime and endTime in every relation to each other, to the windows, to now and to the listing."""
    opened = now_ms // step_ms * step_ms
    pairs: list[tuple[int | str | None, int | str | None]] = [
        (opened - 10 * step_ms, None),
        (opened - 40 * step_ms, None),
        (None, opened - 10 * step_ms),
        (None, opened - 10 * step_ms - 1),
        (opened - 10 * step_ms, opened - 5 * step_ms),
        (opened - 10 * step_ms, opened - 10 * step_ms),
        (opened - 10 * step_ms + 1, opened - 5 * step_ms - 1),
        (opened - 10 * step_ms + 1, opened - 10 * step_ms + 2),
        (opened, None),
        (opened - 5 * step_ms, now_ms + 10 * step_ms),
        (now_ms + 10 * step_ms, None),
        (opened, opened - step_ms),
        (0, None),
        (None, 0),
        (0, 1_000),
        ("", None),
        (None, "abc"),
        ("-5", None),
        ("1" * 21, None),
    ]
    found = []
    for start, end in pairs:
        named = {"startTime": start, "endTime": end}
        found.append({name: str(value) for name, value in named.items() if value is not None})
    return found


def _row(route: str, **params: str | None) -> Row:
    return Row(route, {name: value for name, value in params.items() if value is not None})


def _candles(mine: list[list[Any]], real: list[list[Any]], now_ms: int) -> str:
    if [row[0] for row in mine] != [row[0] for row in real]:
        return f"WRONG: {len(mine)} rows {_ends(mine)} instead of {len(real)} {_ends(real)}"
    found = "equal"
    for ours, theirs in zip(mine, real, strict=True):
        if ours == theirs:
            continue
        if len(ours) != len(theirs) or [type(value) for value in ours] != [type(value) for value in theirs]:
            return f"WRONG: {ours} instead of {theirs}"
        if theirs[6] >= now_ms:
            found = "forming" if found == "equal" else found
        elif not _same_but_sums(ours, theirs):
            return f"WRONG: {ours} instead of {theirs}"
        else:
            same = all(float(one) == float(other) for one, other in zip(ours, theirs, strict=True))
            found = "written" if same else "sums"
    return found


def _same_but_sums(ours: list[Any], theirs: list[Any]) -> bool:
    """Whether two candles are the same, but for the last of the 15 digits that a stored number has, in its volumes."""
    return all(
        float(one) == float(other) or (column in _VOLUMES and math.isclose(float(one), float(other), rel_tol=1e-14))
        for column, (one, other) in enumerate(zip(ours, theirs, strict=True))
    )


def _ends(rows: list[list[Any]]) -> str:
    return f"({rows[0][0]} to {rows[-1][0]})" if rows else "(none)"


def _list(mine: list[Any], real: list[Any]) -> str:
    wrong = [f"{one} instead of {other}" for one, other in zip(mine, real, strict=False) if one != other]
    return f"WRONG: {len(mine)} rows instead of {len(real)}: {'; '.join(wrong[:2])}"


def _moment(mine: Any, real: Any) -> str:
    """The same keys, symbols, texts and lengths; only numbers and times may be of another moment."""
    if _shape(mine) == _shape(real):
        return "moment"
    return f"WRONG: {str(mine)[:300]} instead of {str(real)[:300]}"


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: item if key == "symbol" else _shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shape(item) for item in value]
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return value
        return "text of decimals", len(value.partition(".")[2])
    return type(value).__name__
