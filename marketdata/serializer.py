"""The only writer of line protocol; time precision is ms. `exchange` is the tag: the exchange a point is from.

Numbers are written as the exchange's own decimal text, so the stored values are exactly what the exchange sent.
InfluxDB silently accepts wrong time units and types, and rejects a whole batch for one malformed line, so everything is
checked here. Line protocol: https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal, get_args

from marketdata.candle_values import CandleValues
from marketdata.pairs import InvalidPair, parse_pair
from marketdata.schema import (
    CHANNELS,
    CONTRACTS,
    EARLIEST_MS,
    EXCHANGE,
    FUNDING_RATE,
    FUNDING_SETTLED,
    GAP_STATES,
    GAPS,
    MARK_OHLCV_1H,
    MARK_PRICE,
    OHLCV_BASE,
    ROLLUP_TIMEFRAMES,
)
from marketdata.timeframes import BASE_MS, DAY_MS, TIMEFRAME_MS

Reason = Literal["measurement", "pair", "tag", "time", "off_grid", "number", "count", "inconsistent", "text"]
REASONS: frozenset[str] = frozenset(get_args(Reason))


_CANDLE_MS = {OHLCV_BASE: BASE_MS} | {f"ohlcv_{timeframe}": TIMEFRAME_MS[timeframe] for timeframe in ROLLUP_TIMEFRAMES}
_HOUR_MS = TIMEFRAME_MS["1h"]

# Plain decimals only. 30 digits on each side are far more than any price has and far less than what overflows a float.
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,29})(?:\.[0-9]{1,30})?")
_TAG_SPECIAL = re.compile(r"([,= ])")
_INT64_MAX = 2**63 - 1

# What `candle_line` writes: a tag's special characters behind a backslash, fields without.
_LINE = re.compile(r"(\w+),exchange=[^ ]+?,pair=((?:\\.|[^\\, ])+) ([^ ]+) ([0-9]+)")
_ALWAYS = set(CandleValues._fields) - {"open", "high", "low"}
_ESCAPED = re.compile(r"\\(.)")


class Unserializable(ValueError):
    """A point that must not be written. `reason` is one of REASONS, suitable as a metric label."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(reason, message)  # all arguments, so that it can be pickled
        self.reason: Reason = reason

    def __str__(self) -> str:
        return str(self.args[1])


def check_candle(values: CandleValues) -> None:
    """Raise Unserializable if no candle can have these numbers: the only check for frames, REST rows and stored points.

    Plain decimals; 0 < low <= open, close <= high; no negative volume; takers bought no more than was traded; no volume
    without a trade.
    """
    _check_prices(values.open, values.high, values.low, values.close)
    traded = _count("trades", values.trades) > 0
    _check_volumes(
        values.volume,
        values.quote_volume,
        values.taker_buy_volume,
        values.taker_buy_quote_volume,
        traded=traded,
    )


def candle_line(
    measurement: str,
    pair: str,
    open_time_ms: int,
    values: CandleValues,
    *,
    now_ms: int,
    candles: int | None = None,
    exchange: str = EXCHANGE,
) -> str:
    """Return the line for a final candle of `ohlcv_3m` or a roll-up (`ohlcv_15m 1h 4h 1d`).

    Prices are in the quote currency, `volume` and `taker_buy_volume` in the base currency, all as decimal text.
    `candles` is the number of 3m candles in a roll-up window, 0 if it is the exchange's own; None for `ohlcv_3m`.
    A candle without trades is written without open, high and low, so that first, max and min of a roll-up are right.
    Raises Unserializable.
    """
    length_ms = _CANDLE_MS.get(measurement)
    if length_ms is None:
        raise Unserializable("measurement", f"{measurement!r} is not a measurement of candles: {' '.join(_CANDLE_MS)}")
    tags = _tags(exchange, pair)
    _check_grid(open_time_ms, length_ms, now_ms)
    check_candle(values)
    open_, high, low, close, volume, quote_volume, taker_buy_volume, taker_buy_quote_volume, trades = values
    prices = f"open={open_},high={high},low={low},close={close}" if trades else f"close={close}"
    return (
        f"{measurement},{tags} {prices},volume={volume},quote_volume={quote_volume},taker_buy_volume={taker_buy_volume}"
        f",taker_buy_quote_volume={taker_buy_quote_volume},trades={trades}i{_candles(measurement, candles, length_ms)}"
        f" {open_time_ms}"
    )


def candle_times_ms(lines: Iterable[str], measurement: str = OHLCV_BASE) -> list[int]:
    """Return the open times of a measurement's candles among the lines of this module."""
    prefix = f"{measurement},"
    return [int(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(prefix)]


def read_candle(line: str, measurement: str = OHLCV_BASE) -> tuple[str, int, CandleValues] | None:
    """Read pair, open time and numbers back from a line of `candle_line`.

    None for another measurement and for a line that is not whole. A candle without trades was written without open,
    high and low: they are its close.
    """
    match = _LINE.fullmatch(line)
    if match is None or match[1] != measurement:
        return None
    fields = {name: value for name, _, value in (field.partition("=") for field in match[3].split(","))}
    if not fields.keys() >= _ALWAYS or not (trades := fields["trades"].removesuffix("i")).isdecimal():
        return None
    close = fields["close"]
    values = CandleValues(
        fields.get("open", close),
        fields.get("high", close),
        fields.get("low", close),
        close,
        fields["volume"],
        fields["quote_volume"],
        fields["taker_buy_volume"],
        fields["taker_buy_quote_volume"],
        int(trades),
    )
    return _ESCAPED.sub(r"\1", match[2]), int(match[4]), values


def mark_price_line(
    pair: str, event_time_ms: int, mark: str, index: str, *, now_ms: int, exchange: str = EXCHANGE
) -> str:
    """Return the line for a sampled mark price and index price (quote currency). Raises Unserializable."""
    tags = _tags(exchange, pair)
    _check_time(event_time_ms, now_ms)
    if _number("mark", mark) <= 0 or _number("index", index) < 0:
        raise Unserializable("number", f"mark {mark} must be above zero and index {index} not below")
    return f"{MARK_PRICE},{tags} mark={mark},index={index} {event_time_ms}"


def funding_rate_line(
    pair: str, event_time_ms: int, rate: str, next_funding_time_ms: int, *, now_ms: int, exchange: str = EXCHANGE
) -> str:
    """Return the line for a sampled funding rate, the estimate for the current period. Raises Unserializable."""
    tags = _tags(exchange, pair)
    _check_time(event_time_ms, now_ms)
    _check_time(next_funding_time_ms, now_ms)
    _number("rate", rate)
    return f"{FUNDING_RATE},{tags} rate={rate},next_funding_time={next_funding_time_ms}i {event_time_ms}"


def funding_settled_line(
    pair: str, funding_time_ms: int, rate: str, mark_price: str | None, *, now_ms: int, exchange: str = EXCHANGE
) -> str:
    """Return the line for a settled funding rate. `mark_price` is None for early rates: the exchange has none for them.

    Raises Unserializable.
    """
    tags = _tags(exchange, pair)
    _check_time(funding_time_ms, now_ms)
    _number("rate", rate)
    if mark_price is None:
        return f"{FUNDING_SETTLED},{tags} rate={rate} {funding_time_ms}"
    if _number("mark_price", mark_price) <= 0:
        raise Unserializable("number", f"mark_price {mark_price} is not above zero")
    return f"{FUNDING_SETTLED},{tags} rate={rate},mark_price={mark_price} {funding_time_ms}"


def mark_ohlcv_line(
    pair: str,
    open_time_ms: int,
    open: str,  # noqa: A002 - a candle's open
    high: str,
    low: str,
    close: str,
    *,
    now_ms: int,
    exchange: str = EXCHANGE,
) -> str:
    """Return the line for one hour of mark prices (quote currency, decimal text). Raises Unserializable."""
    tags = _tags(exchange, pair)
    _check_grid(open_time_ms, _HOUR_MS, now_ms)
    _check_prices(open, high, low, close)
    return f"{MARK_OHLCV_1H},{tags} open={open},high={high},low={low},close={close} {open_time_ms}"


def gap_line(
    pair: str,
    open_time_ms: int,
    state: str,
    reason: str,
    channel: str,
    *,
    now_ms: int,
    since_ms: int | None = None,
    asked: int | None = None,
    exchange: str = EXCHANGE,
) -> str:
    """Return the line for a missing candle; `state` is one of GAP_STATES, `channel` one of CHANNELS.

    `since_ms` and `asked`, for a candle that the exchange does not have: when this was detected, and how often the
    exchange has been asked again. Raises Unserializable.
    """
    if channel not in CHANNELS:
        raise Unserializable("tag", f"channel {channel!r} is not one of {' '.join(CHANNELS)}")
    if state not in GAP_STATES:
        raise Unserializable("text", f"state {state!r} is not one of {' '.join(GAP_STATES)}")
    if not reason or not reason.isprintable():
        raise Unserializable("text", f"reason {reason!r} is empty or not one line of printable text")
    tags = _tags(exchange, pair)
    _check_grid(open_time_ms, BASE_MS, now_ms)
    escaped = reason.replace("\\", "\\\\").replace('"', '\\"')
    counts = ((name, value) for name, value in (("since_ms", since_ms), ("asked", asked)) if value is not None)
    more = "".join(f",{name}={_count(name, value)}i" for name, value in counts)
    return f'{GAPS},{tags},channel={channel} state="{state}",reason="{escaped}"{more} {open_time_ms}'


def contract_line(pair: str, first_open_ms: int, onboard_ms: int, *, now_ms: int, exchange: str = EXCHANGE) -> str:
    """Return the line for a contract that has traded since the candle that opens at `first_open_ms`.

    Raises Unserializable.
    """
    tags = _tags(exchange, pair)
    _check_grid(first_open_ms, BASE_MS, now_ms)
    return f"{CONTRACTS},{tags} onboard_date={_count('onboard_date', onboard_ms)}i {first_open_ms}"


@lru_cache(maxsize=8192)
def _tags(exchange: str, pair: str) -> str:
    if not exchange or not exchange.isprintable() or "\\" in exchange:
        raise Unserializable("tag", f"exchange {exchange!r} is empty, or not printable, or has a backslash")
    try:
        parse_pair(pair)
    except InvalidPair as e:
        raise Unserializable("pair", str(e)) from e
    return f"exchange={_escape_tag(exchange)},pair={_escape_tag(pair)}"


def _escape_tag(text: str) -> str:
    return _TAG_SPECIAL.sub(r"\\\1", text)


def _check_time(time_ms: int, now_ms: int) -> None:
    # Times must not be float or bool: InfluxDB rejects a whole batch for a float and stores 1970 for a bool.
    if type(time_ms) is not int or not EARLIEST_MS <= time_ms <= now_ms + DAY_MS:
        raise Unserializable("time", f"{time_ms!r} is not a time in ms between 2019 and a day from now ({now_ms})")


def _check_grid(open_time_ms: int, length_ms: int, now_ms: int) -> None:
    _check_time(open_time_ms, now_ms)
    if open_time_ms % length_ms:
        raise Unserializable("off_grid", f"{open_time_ms} is not the open of a window of {length_ms} ms")


def _number(name: str, text: str) -> float:
    if type(text) is not str or not _DECIMAL.fullmatch(text):
        raise Unserializable("number", f"{name} {text!r} is not a plain decimal text")
    return float(text)


def _check_prices(open_: str, high: str, low: str, close: str) -> None:
    # Conversion to float preserves order, so these comparisons never refuse a valid decimal.
    first, highest, lowest, last = (
        _number("open", open_),
        _number("high", high),
        _number("low", low),
        _number("close", close),
    )
    if lowest <= 0:
        raise Unserializable("number", f"low {low} is not above zero")
    if not lowest <= min(first, last) <= max(first, last) <= highest:
        raise Unserializable("inconsistent", f"open {open_} high {high} low {low} close {close} cannot be one candle")


def _check_volumes(volume: str, quote: str, taker_buy: str, taker_buy_quote: str, *, traded: bool) -> None:
    amounts = (
        _number("volume", volume),
        _number("quote_volume", quote),
        _number("taker_buy_volume", taker_buy),
        _number("taker_buy_quote_volume", taker_buy_quote),
    )
    if min(amounts) < 0:
        raise Unserializable("number", f"volumes {volume} {quote} {taker_buy} {taker_buy_quote} are below zero")
    if amounts[2] > amounts[0] or amounts[3] > amounts[1]:
        raise Unserializable("inconsistent", f"takers bought {taker_buy} of {volume}, {taker_buy_quote} of {quote}")
    if not traded and max(amounts) > 0:
        raise Unserializable("inconsistent", f"volume {volume} without a trade")


def _count(name: str, value: int) -> int:
    if type(value) is not int or not 0 <= value <= _INT64_MAX:
        raise Unserializable("count", f"{name} {value!r} is not a count")
    return value


def _candles(measurement: str, candles: int | None, length_ms: int) -> str:
    if measurement == OHLCV_BASE:
        if candles is not None:
            raise Unserializable("count", f"{OHLCV_BASE} has no field candles")
        return ""
    if candles is None or _count("candles", candles) not in (0, length_ms // BASE_MS):
        raise Unserializable("count", f"candles {candles!r} of {measurement} is neither 0 nor {length_ms // BASE_MS}")
    return f",candles={candles}i"
