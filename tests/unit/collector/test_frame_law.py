"""The frame law: received = invalid + filtered + used, whatever a connection delivers."""

import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from collector.delivery.batch import Batcher
from collector.delivery.points import PointCounters
from collector.delivery.spool import Spool
from collector.delivery.writer import Writer
from collector.feed.connection import ConnectionState
from collector.feed.connections import Feeds
from collector.ingest.ingest import Ingest
from collector.model.clock import ExchangeClock
from exchange.adapters import ADAPTERS
from exchange.binance.feed import ChannelFeed
from exchange.events import CANDLES, MARK_PRICE
from exchange.universe import Instrument
from marketdata.schema import EXCHANGE

START_MS = 1_791_383_580_000
SYMBOLS = ("BTCUSDT", "ETHUSDT", "NOTOURSUSDT")

KLINE = json.loads(
    '{"stream":"btcusdt@kline_3m","data":{"e":"kline","E":1791383685913,"s":"BTCUSDT","k":{"t":1791383580000,'
    '"T":1791383759999,"s":"BTCUSDT","i":"3m","f":1,"L":9,"o":"2.0","c":"2.0","h":"3.0","l":"1.0","v":"10","n":9,'
    '"x":true,"q":"20","V":"5","Q":"10","B":"0"}}}'
)
MARK = json.loads(
    '{"stream":"btcusdt@markPrice@1s","data":{"e":"markPriceUpdate","E":1791383686000,"s":"BTCUSDT","p":"2.0",'
    '"ap":"2.0","P":"2.0","i":"2.0","r":"0.0001","T":1791388800000,"st":1}}'
)


def kline(symbol: str, index: int, close: str, *, final: bool, interval: str) -> str:
    frame: dict[str, Any] = json.loads(json.dumps(KLINE))
    frame["data"]["s"] = symbol
    frame["data"]["k"].update(t=START_MS + index * 180_000, c=close, x=final, i=interval)
    return json.dumps(frame)


def mark(symbol: str, second: int, rate: str, next_funding_time_ms: int, margin: int) -> str:
    frame: dict[str, Any] = json.loads(json.dumps(MARK))
    frame["data"].update(s=symbol, E=START_MS + second * 1000, r=rate, T=next_funding_time_ms, st=margin)
    return json.dumps(frame)


FRAMES = st.one_of(
    st.builds(
        kline,
        st.sampled_from(SYMBOLS),
        st.integers(-3, 30),
        st.sampled_from(("2.0", "2.5", "9.0", "nan", "")),
        final=st.booleans(),
        interval=st.sampled_from(("3m", "1m")),
    ),
    st.builds(
        mark,
        st.sampled_from(SYMBOLS),
        st.integers(0, 100),
        st.sampled_from(("0.0001", "")),
        st.sampled_from((0, 1_791_388_800_000)),
        st.sampled_from((1, 2)),
    ),
    st.sampled_from(
        ('{"result":null,"id":1}', '{"stream":"x@y","data":{"e":"new"}}', '{"stream":1}', "[1]", "", "null")
    ),
    st.text(max_size=20),
)


@given(st.lists(st.tuples(st.sampled_from((CANDLES, MARK_PRICE)), FRAMES), max_size=60), st.integers(1, 20))
def test_every_frame_is_used_filtered_or_invalid_and_none_is_a_bug(
    frames: Sequence[tuple[str, str]], queue_points_max: int
) -> None:
    with TemporaryDirectory() as folder:
        points = PointCounters()
        writer = Writer(
            Batcher(),
            Spool(Path(folder), {"main": points}, max_bytes=1_000_000, max_files=10),
            {"main": points},
            wake=lambda _bucket: None,
            queue_points_max=queue_points_max,
        )
        ingest = Ingest(
            ExchangeClock(time.monotonic_ns), writer, wall_seconds=time.time, observe_latency=lambda *_: None
        )
        asyncio.run(_deliver(ingest, frames))
    received = 0
    for counts in ingest.frames.values():
        assert counts.received == counts.used + counts.filtered.total() + counts.invalid.total()
        assert counts.invalid["bug"] == 0
        received += counts.received
    assert received == len(frames)
    assert points.snapshot().unaccounted == 0


async def _deliver(ingest: Ingest, frames: Sequence[tuple[str, str]]) -> None:
    symbols = [
        Instrument(name, f"{name[:3]}/USDT:USDT", name[:3], "USDT", "coin", "trading", "TRADING", "", 2, 3, 0, 0)
        for name in SYMBOLS[:2]
    ]
    for info in symbols:
        ingest.watch(info.pair, START_MS)
    feeds = Feeds(ADAPTERS[EXCHANGE], ingest, symbols, "wss://localhost:1")
    edges = {channel: feeds.feed(channel, SYMBOLS[:2], ConnectionState(channel, 2)) for channel in ingest.frames}
    for channel, frame in frames:
        edge = edges[channel]
        assert isinstance(edge, ChannelFeed)
        await edge.message_handler(frame, None, 1_791_383_690.0)
