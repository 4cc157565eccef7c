"""The series of candles that are kept complete: their name, where they are stored, how long a candle is."""

from dataclasses import dataclass

from marketdata.schema import MARK_OHLCV_1H, OHLCV_BASE, ROLLUP_TIMEFRAMES, bucket_of
from marketdata.timeframes import BASE_TIMEFRAME, timeframe_ms


@dataclass(frozen=True, slots=True)
class Series:
    """Candles of one timeframe in one measurement, one at each multiple of its length since the epoch."""

    timeframe: str
    measurement: str

    @property
    def bucket(self) -> str:
        """The bucket of the measurement."""
        return bucket_of(self.measurement)

    @property
    def length_ms(self) -> int:
        """The length of a candle."""
        return timeframe_ms(self.timeframe)


BASE = Series(BASE_TIMEFRAME, OHLCV_BASE)
ROLLUPS = tuple(Series(timeframe, f"ohlcv_{timeframe}") for timeframe in ROLLUP_TIMEFRAMES)
MARKS = Series("1h", MARK_OHLCV_1H)
