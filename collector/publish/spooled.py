"""Final candles that an earlier process left in the spool: no store has them yet, so /stream must tell them."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator

from collector.delivery.spool import Damaged, Spool
from exchange.events import Candle, CandleValues
from marketdata.schema import BUCKET_RAW, OHLCV_BASE

log = logging.getLogger(__name__)

LONGEST_SECONDS = 90_000.0
"""25 h: readers are told 24 h of candles (collector/publish/recent.py), and a candle is spooled after its close."""

# marketdata/serializer.py writes it so: a tag's special characters behind a backslash, fields without.
_LINE = re.compile(rf"{OHLCV_BASE},exchange=[^ ]+?,pair=((?:\\.|[^\\, ])+) ([^ ]+) ([0-9]+)")
_ALWAYS = {"close", "volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume", "trades"}
_ESCAPED = re.compile(r"\\(.)")


def candle_of(line: str) -> Candle | None:
    """Read a candle back from its line; None for another measurement and for a line that is not whole. Pure.

    The exchange's text is the same but for a candle without trades: its open, high and low are its close.
    """
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    fields = {name: value for name, _, value in (field.partition("=") for field in match[2].split(","))}
    if not fields.keys() >= _ALWAYS or not (trades := fields["trades"].removesuffix("i")).isdecimal():
        return None  # another version's line, or a hand's: it is delivered as it is, and told to no reader
    close, open_ms = fields["close"], int(match[3])
    values = CandleValues(
        open=fields.get("open", close),
        high=fields.get("high", close),
        low=fields.get("low", close),
        close=close,
        volume=fields["volume"],
        quote_volume=fields["quote_volume"],
        taker_buy_volume=fields["taker_buy_volume"],
        taker_buy_quote_volume=fields["taker_buy_quote_volume"],
        trades=int(trades),
    )
    return Candle(_ESCAPED.sub(r"\1", match[1]), open_ms, values, final=True, origin="spool", event_time_ms=open_ms)


async def spooled_candles(spool: Spool, now_seconds: float) -> AsyncIterator[list[tuple[Candle, str]]]:
    """Yield what waits for every store, file by file, oldest first, each candle with its line.

    To be read before anything is delivered. ``now_seconds`` is the wall clock's, as the files' times are.
    """
    for file in spool.waiting_for_all(BUCKET_RAW):
        if file.written_seconds < now_seconds - LONGEST_SECONDS:
            continue
        try:
            body = await asyncio.to_thread(spool.read, file)
        except (Damaged, OSError) as error:  # the deliverer will say what becomes of it
            log.warning("spool file cannot be told to readers file=%s: %s", file.name, error)
            continue
        yield [(candle, line) for line in body.lines if (candle := candle_of(line)) is not None]
