"""What an earlier process left in the spool is read back unchanged, but only what no store has."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from collector.delivery.batch import Batch
from collector.delivery.points import PointCounters
from collector.delivery.spool import Spool
from collector.publish.spooled import LONGEST_SECONDS, candle_of, spooled_candles
from exchange.events import CANDLE_MS, Candle
from marketdata.candle_values import CandleValues
from marketdata.schema import BUCKET_RAW, OHLCV_BASE
from marketdata.serializer import candle_line, mark_ohlcv_line

START = 1_780_000_200_000 // CANDLE_MS * CANDLE_MS


def line(pair: str, open_ms: int, values: CandleValues) -> str:
    return candle_line(
        OHLCV_BASE,
        pair,
        open_ms,
        values,
        now_ms=open_ms,
    )


def number(index: int) -> CandleValues:
    return CandleValues("1.0", "2.0", "0.5", f"1.{index}", "10", "12", "5", "6", 3)


PRICES = st.decimals("0.001", "99999", places=4).map(str)
BASES = st.one_of(
    st.sampled_from(("BTC", "1000PEPE", "币安人生", "龙虾", "T$")), st.text("ABCxyz09$ ,=\"'+#", min_size=1, max_size=8)
)


@given(BASES, st.integers(0, 10_000), st.lists(PRICES, min_size=4, max_size=4), st.integers(0, 5))
def test_a_candle_is_read_back_from_its_line_with_the_exchanges_text(
    base: str, index: int, prices: list[str], trades: int
) -> None:
    low, open_, close, high = sorted(prices, key=float)
    values = (
        CandleValues(open_, high, low, close, "10.5", "12.25", "5", "6", trades)
        if trades
        else CandleValues(close, close, close, close, "0", "0.000", "0", "0", 0)
    )
    pair, open_ms = f"{base}/USDT:USDT", START + index * CANDLE_MS
    assert candle_of(line(pair, open_ms, values)) == Candle(pair, open_ms, values, True, "spool", open_ms)


def test_a_line_of_another_measurement_is_not_a_candle() -> None:
    hour_ms = START // 3_600_000 * 3_600_000
    assert candle_of(mark_ohlcv_line("BTC/USDT:USDT", hour_ms, "1", "2", "1", "2", now_ms=START)) is None
    assert candle_of("ohlcv_3m,pair=x") is None


async def test_only_files_of_the_last_day_that_wait_for_every_store_are_read_back_oldest_first(tmp_path: Path) -> None:
    spool = Spool(tmp_path, {"one": PointCounters(), "two": PointCounters()}, max_bytes=1_000_000, max_files=100)
    spool.recover()
    lines = [line("BTC/USDT:USDT", START + index * CANDLE_MS, number(index)) for index in range(4)]
    for some in lines:
        spool.put(Batch(BUCKET_RAW, (some,)))
    first = spool.claim("two", BUCKET_RAW)
    assert first is not None
    spool.acknowledge(first)
    (tmp_path / "one" / BUCKET_RAW / spool.waiting_for_all(BUCKET_RAW)[1].name).write_bytes(b"damaged")
    now_seconds = first.written_seconds + 1
    found = [pair for file in [item async for item in spooled_candles(spool, now_seconds)] for pair in file]
    assert [text for _, text in found] == [lines[1], lines[3]]
    assert [candle.values for candle, _ in found] == [number(1), number(3)]
    assert [item async for item in spooled_candles(spool, now_seconds + LONGEST_SECONDS + 60)] == []
    spool.close()


@given(st.text(alphabet="closevum=,. 10i", max_size=40))
def test_an_incomplete_line_is_sent_to_no_reader_and_does_not_raise(fields: str) -> None:
    assert candle_of(f"{OHLCV_BASE},exchange=BINANCE_FUTURES,pair=BTC/USDT:USDT {fields} {START}") is None
