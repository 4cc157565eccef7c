"""GET /stream and candles the exchange lacks: impossible frames and rows reach no reader and stop nothing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exchange.events import CANDLE_MS
from marketdata.schema import OHLCV_BASE
from tests.contract.collector.test_stream import BTC, START, candle, collecting, reading

IMPOSSIBLE: dict[str, Any] = {"trades": 0, "high": "83070.60", "close": "83143.10", "volume": "-1", "open": "nan"}


@pytest.mark.parametrize("column", IMPOSSIBLE)
async def test_a_frame_that_cannot_be_a_candle_is_counted_and_sent_to_no_reader(tmp_path: Path, column: str) -> None:
    async with collecting(tmp_path) as collector:
        for final in (False, True):
            good = candle(0, final=final)
            collector.candle(replace(good, values=good.values._replace(**{column: IMPOSSIBLE[column]})))
        counts = collector.ingest.frames["candles_3m"]
        assert counts.invalid == {"implausible": 2}
        assert collector.stream.recent.pairs[BTC].open is None
        due_ms = START + CANDLE_MS + 4_000
        assert collector.ingest.finality.overdue(due_ms) == {BTC: [START]}, "it is requested from REST"


async def test_an_impossible_row_holds_nothing_back_and_a_late_candle_is_sent(tmp_path: Path) -> None:
    async with collecting(tmp_path) as collector, reading(collector.url) as reader:
        await reader.until("live")
        collector.candle(candle(1))
        collector.ingest.absent(BTC, START, invalid=True)
        absent, final = await reader.line(), await reader.line()
        assert (absent["type"], absent["open_time_ms"], absent["invalid"]) == ("absent", START, True)
        assert (final["type"], final["open_time_ms"]) == ("final", START + CANDLE_MS)
        async with reading(collector.url) as other:
            pair = (await other.until("pair"))[-1]
        assert (pair["absent"], pair["invalid"]) == ([START], [START])
        collector.ingest.on_history(candle(0, origin="rest"), OHLCV_BASE)
        late = await reader.line()
        assert (late["type"], late["open_time_ms"]) == ("final", START)
        assert collector.stream.recent.pairs[BTC].invalid == set()
