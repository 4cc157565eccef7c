"""A freqtrade strategy that records which candles it gets, and when, and trades a little. Runs in freqtrade.

After each refresh of the candles, before anything is decided on them, it appends one line of JSON for each pair whose
last two rows differ from those of the previous loop:

    {"seen_ms": 1791383943120, "pair": "BTC/USDT:USDT", "timeframe": "3m",
     "rows": [[1791383580000, open, high, low, close, volume], [1791383760000, ...]]}

and one line per loop: {"loop_ms": 1791383943120}. `seen_ms` is this machine's clock. The configuration sets the file,
and timeframes to request as informative pairs: "witness": {"file": "/...", "timeframes": ["1h"]}.
"""

import json
import time
import zlib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from freqtrade.persistence import Trade
from freqtrade.strategy import IStrategy
from pandas import DataFrame

COLUMNS = ["open", "high", "low", "close", "volume"]


class Witness(IStrategy):
    """Enters a quarter of the pairs at each candle, as slots allow, and exits after four minutes."""

    INTERFACE_VERSION = 3
    timeframe = "3m"
    can_short = True
    minimal_roi = {"0": 10.0}  # noqa: RUF012 - freqtrade's interface
    stoploss = -0.9
    startup_candle_count = 400

    def bot_start(self, **kwargs: Any) -> None:
        """Open the file."""
        self._timeframes = list(self.config["witness"]["timeframes"])
        self._file = Path(self.config["witness"]["file"]).open("a", encoding="utf-8", buffering=1)  # noqa: SIM115
        self._last: dict[tuple[str, str], list[list[float]]] = {}

    def informative_pairs(self) -> list[tuple[str, str]]:
        """The whitelist in every additional timeframe."""
        pairs = self.dp.current_whitelist()
        return [(pair, timeframe) for timeframe in self.config["witness"]["timeframes"] for pair in pairs]

    def bot_loop_start(self, current_time: datetime, **kwargs: Any) -> None:
        """Record what this loop will decide on."""
        seen_ms = time.time_ns() // 1_000_000
        lines = [json.dumps({"loop_ms": seen_ms})]
        for pair in self.dp.current_whitelist():
            for timeframe in (self.timeframe, *self._timeframes):
                rows = _rows(self.dp.ohlcv(pair, timeframe, copy=False))
                if rows and rows != self._last.get((pair, timeframe)):
                    self._last[pair, timeframe] = rows
                    lines.append(
                        json.dumps({"seen_ms": seen_ms, "pair": pair, "timeframe": timeframe, "rows": rows}),
                    )
        self._file.write("\n".join(lines) + "\n")

    def populate_indicators(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        """None."""
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        """A different quarter of the pairs for each candle, half of them short."""
        number = zlib.crc32(metadata["pair"].encode()) % 1000
        turn = (dataframe["date"].dt.minute // 3 + number) % 4 == 0
        dataframe.loc[turn, "enter_short" if number % 8 > 3 else "enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        """By time only."""
        return dataframe

    def custom_exit(
        self,
        pair: str,
        trade: Trade,
        current_time: datetime,
        current_rate: float,
        current_profit: float,
        **kwargs: Any,
    ) -> str | None:
        """After four minutes."""
        return "time" if current_time - trade.open_date_utc > timedelta(minutes=4) else None


def _rows(frame: DataFrame) -> list[list[float]]:
    last = frame.iloc[-2:]
    if last.empty:
        return []
    times = [int(date.timestamp() * 1000) for date in last["date"]]
    return [[at, *values] for at, values in zip(times, last[COLUMNS].to_numpy().tolist(), strict=True)]
