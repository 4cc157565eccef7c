"""Final windows from the stores, built from whichever stored interval fits."""

import logging
from collections.abc import Mapping, Sequence
from typing import cast

from exchange.universe import Instrument
from gateway.memory.rows import Row, Values
from gateway.memory.windows import COLUMNS, Digits, Grid, merge, row, stored
from marketdata.errors import MarketDataError
from marketdata.influxql import Query, Series, Value
from marketdata.ohlcv import where
from marketdata.reader import AsyncMarketData
from marketdata.schema import GAPS, ROLLUP_TIMEFRAMES, bucket_of
from marketdata.timeframes import BASE_TIMEFRAME, WEEK_MS, timeframe_ms

log = logging.getLogger(__name__)

_FIELDS = ", ".join(f'"{name}"' for name in COLUMNS)
_ROLLED_FIELDS = f'{_FIELDS}, "candles"'


class Stored:
    """Reads candles from the stores. `answered`: whether one responded to the last query."""

    def __init__(self, market: AsyncMarketData) -> None:
        self.windows_total = 0
        self.failed_total = 0
        self.answered = False
        self._market = market

    async def windows(self, info: Instrument, grid: Grid, first_ms: int, stop_ms: int) -> dict[int, Row]:
        """Return the windows that open in [first_ms, stop_ms) and are complete in a store; none if none responds."""
        try:
            found = await self.candles({info.pair: info}, _source_of(grid), first_ms, stop_ms)
        except MarketDataError:
            return {}
        source_ms = timeframe_ms(_source_of(grid))
        parts: dict[int, list[Values]] = {}
        for values in found.get(info.pair, ()):
            parts.setdefault(grid.open_of(values.open_time_ms), []).append(values)
        whole = grid.length_ms // source_ms
        rows = {
            at: row(merge(candles, at, grid.length_ms) if whole > 1 else candles[0])
            for at, candles in parts.items()
            if len(candles) == whole and first_ms <= at < stop_ms
        }
        self.windows_total += len(rows)
        return rows

    async def candles(
        self, infos: Mapping[str, Instrument], timeframe: str, first_ms: int, stop_ms: int, *, every_pair: bool = False
    ) -> dict[str, list[Values]]:
        """Return the stored candles of these pairs, oldest first.

        `every_pair`: query those of all pairs, which is faster than a condition that names hundreds.
        Raises MarketDataError.
        """
        measurement = f"ohlcv_{timeframe}"
        condition, bound = where(() if every_pair else list(infos), first_ms, stop_ms)
        fields = _FIELDS if timeframe == BASE_TIMEFRAME else _ROLLED_FIELDS
        text = f'SELECT {fields} FROM "{measurement}" WHERE {condition} GROUP BY "pair"'
        length_ms = timeframe_ms(timeframe)
        found: dict[str, list[Values]] = {}
        for series in await self.ask(measurement, text, bound):
            info = infos.get(series.tags["pair"])
            if info is not None:
                digits = Digits.of(info)
                candles = (_candle(values, length_ms, digits) for values in series.values)
                found[info.pair] = [candle for candle in candles if candle is not None]
        return found

    async def invalid(self, info: Instrument, first_ms: int, stop_ms: int) -> list[int]:
        """Return the open times in [first_ms, stop_ms) for which a store records a row that cannot be a candle.

        None of a store that does not respond.
        """
        condition, bound = where((info.pair,), first_ms, stop_ms)
        of_candles = "\"channel\" = 'candles_3m' AND \"state\" = 'invalid'"
        try:
            found = await self.ask(GAPS, f'SELECT "state" FROM "{GAPS}" WHERE {condition} AND {of_candles}', bound)
        except MarketDataError:
            return []
        return [int(row[0] or 0) for series in found for row in series.values]

    async def ask(self, measurement: str, text: str, bound: Mapping[str, str]) -> Sequence[Series]:
        """Return the result of a query. Raises MarketDataError."""
        try:
            series = await self._market.query(Query(bucket_of(measurement), text, bound))
        except MarketDataError as error:
            self.failed_total += 1
            if self.answered:
                log.warning('stores do not respond error="%s"', error)
            self.answered = False
            raise
        self.answered = True
        return series


def _candle(values: Sequence[Value], length_ms: int, digits: Digits) -> Values | None:
    time_ms, *fields = values
    candles = cast("float | None", fields[len(COLUMNS)]) if len(fields) > len(COLUMNS) else 0
    return stored(int(time_ms or 0), length_ms, fields[: len(COLUMNS)], digits, candles)


def _source_of(grid: Grid) -> str:
    """Return the longest stored interval that divides a window."""
    if grid.length_ms == WEEK_MS:
        return "1d"
    lengths = {name: timeframe_ms(name) for name in (BASE_TIMEFRAME, *ROLLUP_TIMEFRAMES)}
    return max((one for one in lengths if grid.length_ms % lengths[one] == 0), key=lengths.__getitem__)
