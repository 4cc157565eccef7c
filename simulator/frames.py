"""The WebSocket's wire format: events as sent by Binance USDT-M in October 2026. Pure.

Recorded: tests/data/binance_usdm_2026-10/ws.
Events are built as text because one event goes to many clients. Numbers have as many decimals as at the exchange.
"""

import json
from dataclasses import dataclass
from functools import lru_cache

from simulator.candles import Candle
from simulator.marks import Marks
from simulator.universe import Instrument


def decimal(units: int, digits: int) -> str:
    """Return `units` x 10^-digits in plain notation with all digits: decimal(831, 2) == "8.31"."""
    if digits == 0:
        return str(units)
    if units < 0:
        return "-" + decimal(-units, digits)
    text = str(units).rjust(digits + 1, "0")
    return f"{text[:-digits]}.{text[-digits:]}"


@lru_cache(maxsize=8192)
def quoted(name: str) -> str:
    """Return a name as JSON."""
    return json.dumps(name, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Trade:
    """An aggregate trade in the market's integers."""

    id: int
    first_id: int
    last_id: int
    time_ms: int
    price: int
    quantity: int
    buyer_is_taker: bool


@dataclass(frozen=True, slots=True)
class DayStatistics:
    """The rolling 24 h statistics of a symbol, in the market's integers."""

    open_ms: int
    close_ms: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    quote: int
    trades: int
    first_id: int
    last_id: int
    last_quantity: int

    @property
    def average(self) -> int:
        return self.quote // self.volume if self.volume else self.close

    @property
    def change_millipercent(self) -> int:
        """The price change in thousandths of a percent."""
        return round((self.close - self.open) * 100_000 / self.open)


def kline(
    instrument: Instrument, interval: str, candle: Candle, *, first_id: int, last_id: int, closed: bool, event_ms: int
) -> str:
    """`<symbol>@kline_<interval>`; ids are -1 for a candle without trades."""
    p, q = instrument.price_precision, instrument.quantity_precision
    symbol = quoted(instrument.symbol)
    return (
        f'{{"e":"kline","E":{event_ms},"s":{symbol},"k":{{"t":{candle.open_ms},"T":{candle.close_ms},'
        f'"s":{symbol},"i":"{interval}","f":{first_id},"L":{last_id},"o":"{decimal(candle.open, p)}",'
        f'"c":"{decimal(candle.close, p)}","h":"{decimal(candle.high, p)}","l":"{decimal(candle.low, p)}",'
        f'"v":"{decimal(candle.volume, q)}","n":{candle.trades},"x":{"true" if closed else "false"},'
        f'"q":"{decimal(candle.quote, p + q)}","V":"{decimal(candle.taker_volume, q)}",'
        f'"Q":"{decimal(candle.taker_quote, p + q)}","B":"0"}}}}'
    )


def mark_price(instrument: Instrument, marks: Marks, *, rate: int, next_funding_ms: int, event_ms: int) -> str:
    """`<symbol>@markPrice`, or a row of `!markPrice@arr`. For a delisted contract rate and next_funding_ms are 0."""
    return (
        f'{{"e":"markPriceUpdate","E":{event_ms},"s":{quoted(instrument.symbol)},"p":"{decimal(marks.mark, 8)}",'
        f'"ap":"{decimal(marks.average, 8)}","P":"{decimal(marks.settle, 8)}","i":"{decimal(marks.index, 8)}",'
        f'"r":"{decimal(rate, 8)}","T":{next_funding_ms},"st":{_side(instrument)}}}'
    )


def aggregate_trade(instrument: Instrument, trade: Trade, *, event_ms: int) -> str:
    """`<symbol>@aggTrade`."""
    quantity = decimal(trade.quantity, instrument.quantity_precision)
    return (
        f'{{"e":"aggTrade","E":{event_ms},"a":{trade.id},"s":{quoted(instrument.symbol)},'
        f'"p":"{decimal(trade.price, instrument.price_precision)}","q":"{quantity}","nq":"{quantity}",'
        f'"f":{trade.first_id},"l":{trade.last_id},"T":{trade.time_ms},'
        f'"m":{"false" if trade.buyer_is_taker else "true"},"st":1}}'
    )


@dataclass(frozen=True, slots=True)
class Book:
    """An order book: levels (price, quantity), best first."""

    update_id: int
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]


def book_ticker(instrument: Instrument, book: Book, *, event_ms: int) -> str:
    """`<symbol>@bookTicker`."""
    p, q = instrument.price_precision, instrument.quantity_precision
    (bid, bid_quantity), (ask, ask_quantity) = book.bids[0], book.asks[0]
    return (
        f'{{"e":"bookTicker","u":{book.update_id},"s":{quoted(instrument.symbol)},"ps":{quoted(instrument.pair)},'
        f'"b":"{decimal(bid, p)}","B":"{decimal(bid_quantity, q)}",'
        f'"a":"{decimal(ask, p)}","A":"{decimal(ask_quantity, q)}",'
        f'"T":{event_ms},"E":{event_ms},"st":1}}'
    )


def depth(instrument: Instrument, book: Book, *, previous_id: int, event_ms: int) -> str:
    """`<symbol>@depth<levels>@<speed>`."""
    return (
        f'{{"e":"depthUpdate","E":{event_ms},"T":{event_ms},"s":{quoted(instrument.symbol)},"ps":{quoted(instrument.pair)},'
        f'"U":{previous_id + 1},"u":{book.update_id},"pu":{previous_id},"b":[{_levels(instrument, book.bids)}],'
        f'"a":[{_levels(instrument, book.asks)}],"st":1}}'
    )


def ticker(instrument: Instrument, day: DayStatistics, *, event_ms: int) -> str:
    """`<symbol>@ticker`, or a row of `!ticker@arr`."""
    p, q = instrument.price_precision, instrument.quantity_precision
    average = decimal(day.average * 10 ** (8 - p), 8) if instrument.coin_margined else decimal(day.average, p)
    return (
        f'{{"e":"24hrTicker","E":{event_ms},"s":{quoted(instrument.symbol)},"ps":{quoted(instrument.pair)},'
        f'"p":"{decimal(day.close - day.open, p)}","P":"{decimal(day.change_millipercent, 3)}",'
        f'"w":"{average}","c":"{decimal(day.close, p)}",'
        f'"Q":"{decimal(day.last_quantity, q)}","o":"{decimal(day.open, p)}","h":"{decimal(day.high, p)}",'
        f'"l":"{decimal(day.low, p)}","v":"{decimal(day.volume, q)}","q":"{decimal(day.quote // 10**q, p)}",'
        f'"O":{day.open_ms},"C":{event_ms},"F":{day.first_id},"L":{day.last_id},"n":{day.trades},'
        f'"st":{_side(instrument)}}}'
    )


def combined(stream: str, data: str) -> str:
    """The envelope of `/stream` connections."""
    return f'{{"stream":{quoted(stream)},"data":{data}}}'


def websocket_frame(text: str) -> bytes:
    """An unmasked, unfragmented text frame (RFC 6455 section 5.2)."""
    payload = text.encode()
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2) + payload
    return b"\x81\x7f" + size.to_bytes(8) + payload


def _levels(instrument: Instrument, levels: tuple[tuple[int, int], ...]) -> str:
    p, q = instrument.price_precision, instrument.quantity_precision
    return ",".join(f'["{decimal(price, p)}","{decimal(quantity, q)}"]' for price, quantity in levels)


def _side(instrument: Instrument) -> int:
    """`st`: 1 USDT-margined, 2 coin-margined."""
    return 2 if instrument.coin_margined else 1
