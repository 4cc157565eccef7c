"""Final windows of any age: from memory, from the store, and what neither has once from the exchange, for all bots."""

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Coroutine
from typing import Any

from exchange.budget import Priority
from exchange.client import ExchangeClient
from exchange.errors import ExchangeError
from exchange.errors import Refused as ExchangeRefused
from exchange.rows import Kline
from exchange.universe import SymbolInfo
from gateway.answers import Refused, not_now
from gateway.memory import CONFIRMED, FROM_STORE, KEPT, Memory, PairState
from gateway.rows import Row, Values, decode, of_kline
from gateway.series import Series
from gateway.stream_lines import Candle
from gateway.windows import COLUMNS, Digits, Grid, merge, row, stored
from marketdata.errors import MarketDataError
from marketdata.influxql import Query
from marketdata.ohlcv import where
from marketdata.reader import AsyncMarketData
from marketdata.schema import ROLLUP_TIMEFRAMES, bucket_of
from marketdata.timeframes import BASE_MS, BASE_TIMEFRAME, DAY_MS, TIMEFRAME_MS, WEEK_MS, timeframe_ms

log = logging.getLogger(__name__)

FINAL_MS = 4_000
"""A REST row is final so long after its close (design section 5)."""

PATIENCE_SECONDS = 8.0
"""A request is answered within this time: ccxt gives up after 10 s. What it asked for goes on, for the next request."""

CHUNK = 480
"""Windows fetched from the exchange at once: weight 2."""

KEPT_CHUNK_ROWS = 250_000
"""Rows of fetched history in memory, about 50 MB."""

QUIET_MS = 30_000
"""So long the exchange is not asked again for a pair's candles that it did not have or did not tell."""

_EXCHANGE_LENGTHS = frozenset(TIMEFRAME_MS.values())

_FIELDS = ", ".join(f'"{name}"' for name in COLUMNS)


class History:
    """One process's reader of the past. `query` is the stores'; every public method may raise Refused."""

    def __init__(self, memory: Memory, market: AsyncMarketData, client: ExchangeClient) -> None:
        self.windows_total: Counter[str] = Counter()
        """Windows that were read, by where: store or exchange."""
        self.store_failed_total = 0
        self._memory = memory
        self._market = market
        self._client = client
        self._series: dict[tuple[str, str], Series] = {}
        self._tasks: dict[Any, asyncio.Task[Any]] = {}
        self._chunks: OrderedDict[tuple[str, str, int], tuple[int, dict[int, Row]]] = OrderedDict()
        self._chunk_rows = 0
        self._quiet_until_ms: dict[str, int] = {}
        self._halted: set[str] = set()
        memory.changed = self._changed

    async def series(self, state: PairState, info: SymbolInfo, grid: Grid, count: int) -> Series:
        """Return the newest windows of a pair, at least `count` of those that exist."""
        series = self._series.get((state.symbol, grid.interval))
        if series is None or not self._reaches(series, info, count) or not series.extend(state):
            load = self._load_series(state, info, grid, count)
            series = await self._once(("series", state.symbol, grid.interval, count), load)
            series.extend(state)
        return series

    async def rows(
        self, state: PairState | None, info: SymbolInfo, grid: Grid, first_ms: int, stop_ms: int
    ) -> list[tuple[int, Row]]:
        """Return every final window that opens in [first_ms, stop_ms); those are over."""
        first_ms = max(first_ms, grid.open_of(info.onboard_ms))
        opens = grid.opens(first_ms, stop_ms)
        have: dict[int, Row] = {}
        if state is not None and grid.length_ms == BASE_MS:
            have = dict(state.shown(first_ms, stop_ms))
            opens_missing = [at for at in opens if at not in have and at not in state.absent]
        else:
            opens_missing = list(opens)
        for source in (self._stored, self._built, self._fetched):
            if opens_missing:
                have |= await source(state, info, grid, opens_missing)
                opens_missing = [at for at in opens_missing if at not in have]
        return sorted(have.items())

    async def catch_up(self, state: PairState, info: SymbolInfo) -> None:
        """Ask the stores, and then the exchange, for what a pair lacks of the candles that have ended."""
        if self._memory.exchange_time_ms() >= self._quiet_until_ms.get(state.symbol, 0):
            await self._once(("catch up", state.symbol), self._catch_up(state, info))

    def is_quiet(self, symbol: str) -> bool:
        """Whether the exchange was asked just now and had nothing newer, or did not answer."""
        return self._memory.exchange_time_ms() < self._quiet_until_ms.get(symbol, 0)

    def has_ended(self, symbol: str) -> bool:
        """Whether the exchange, asked for newer candles, had none: the symbol is halted."""
        return symbol in self._halted

    async def adopt(self, info: SymbolInfo) -> PairState:
        """Begin to know a pair of which no collector tells."""
        return await self._once(("adopt", info.symbol), self._adopt(info))

    async def close(self) -> None:
        """End what is under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _changed(self, state: PairState, open_ms: int) -> None:
        for (symbol, _), series in self._series.items():
            if symbol == state.symbol:
                series.rewind(open_ms)

    @staticmethod
    def _reaches(series: Series, info: SymbolInfo, count: int) -> bool:
        wanted_ms = series.until_ms - count * series.grid.length_ms
        return series.first_ms <= max(wanted_ms, series.grid.open_of(info.onboard_ms))

    async def _load_series(self, state: PairState, info: SymbolInfo, grid: Grid, count: int) -> Series:
        key = (state.symbol, grid.interval)
        until_ms = grid.open_of(state.next_open_ms)
        known = self._series.get(key)
        if known is not None and self._reaches(known, info, count):
            from_ms = known.until_ms
            rows = await self.rows(state, info, grid, from_ms, until_ms)
            if known.until_ms == from_ms:  # nothing was added or taken back meanwhile
                known.append(rows, until_ms)
            return known
        days = None
        if grid.length_ms == WEEK_MS:
            days = await self.series(state, info, Grid("1d", DAY_MS), 7)
        first_ms = until_ms - count * grid.length_ms
        rows = await self.rows(state, info, grid, first_ms, until_ms)
        series = Series(grid, Digits.of(info), first_ms, until_ms, days=days)
        series.append(rows, until_ms)
        self._series[key] = series
        return series

    async def _stored(self, _state: PairState | None, info: SymbolInfo, grid: Grid, opens: list[int]) -> dict[int, Row]:
        source, source_ms = _source_of(grid)
        candles: dict[int, list[Values]] = {}
        digits = Digits.of(info)
        for at, fields in await self._ask_store(info.pair, source, opens[0], opens[-1] + grid.length_ms):
            values = stored(at, source_ms, fields, digits)
            if values is not None:
                candles.setdefault(grid.open_of(at), []).append(values)
        wanted = set(opens)
        whole = grid.length_ms // source_ms
        found = {
            at: row(merge(parts, at, grid.length_ms) if whole > 1 else parts[0])
            for at, parts in candles.items()
            if len(parts) == whole and at in wanted
        }
        self.windows_total["store"] += len(found)
        return found

    async def _ask_store(self, pair: str, source: str, first_ms: int, stop_ms: int) -> list[tuple[int, list[Any]]]:
        measurement = f"ohlcv_{source}"
        condition, bound = where([pair], first_ms, stop_ms)
        query = Query(bucket_of(measurement), f'SELECT {_FIELDS} FROM "{measurement}" WHERE {condition}', bound)
        try:
            series = await self._market.query(query)
        except MarketDataError as error:
            self.store_failed_total += 1
            log.debug("the store cannot be asked: %s", error)
            return []
        return [(int(values[0] or 0), list(values[1:])) for one in series for values in one.values]

    async def _built(self, state: PairState | None, _info: SymbolInfo, grid: Grid, opens: list[int]) -> dict[int, Row]:
        """Windows that the 3m candles in memory make: those that the tasks have not rolled yet."""
        if state is None or grid.length_ms == BASE_MS:
            return {}
        built = {}
        for at in opens:
            stop_ms = at + grid.length_ms
            if stop_ms <= state.next_open_ms and not state.lacks(at, stop_ms):
                candles = [decode(text) for _, text in state.shown(at, stop_ms)]
                if candles:
                    built[at] = row(merge(candles, at, grid.length_ms))
        return built

    async def _fetched(self, state: PairState | None, info: SymbolInfo, grid: Grid, opens: list[int]) -> dict[int, Row]:
        """Windows from the exchange, in aligned chunks; what it does not answer it does not have."""
        if grid.length_ms not in _EXCHANGE_LENGTHS:
            return await self._merged(state, info, grid, opens)
        found: dict[int, Row] = {}
        chunk_ms = CHUNK * grid.length_ms
        wanted = set(opens)
        last_of = {(at - grid.offset_ms) // chunk_ms * chunk_ms + grid.offset_ms: at for at in sorted(opens)}
        for start_ms, last_ms in last_of.items():
            rows = await self._chunk(info.symbol, grid, start_ms, last_ms)
            found |= {at: text for at, text in rows.items() if at in wanted}
        if state is not None and grid.length_ms == BASE_MS:
            self._memory.learn_rows(state, found.items(), FROM_STORE)
            oldest_ms = state.next_open_ms - KEPT * BASE_MS
            self._memory.learn_absent(state, [at for at in opens if at not in found and at >= oldest_ms])
        return found

    async def _merged(
        self, state: PairState | None, info: SymbolInfo, grid: Grid, opens: list[int]
    ) -> dict[int, Row]:
        """Windows of a length the exchange does not know, from its 3m candles."""
        base = Grid(BASE_TIMEFRAME, BASE_MS)
        windows: dict[int, list[Values]] = {at: [] for at in opens}
        for at, text in await self.rows(state, info, base, opens[0], opens[-1] + grid.length_ms):
            if grid.open_of(at) in windows:
                windows[grid.open_of(at)].append(decode(text))
        return {at: row(merge(parts, at, grid.length_ms)) for at, parts in windows.items() if parts}

    async def _chunk(self, symbol: str, grid: Grid, start_ms: int, last_ms: int) -> dict[int, Row]:
        key = (symbol, grid.interval, start_ms)
        known = self._chunks.get(key)
        if known is not None and known[0] > last_ms:
            self._chunks.move_to_end(key)
            return known[1]
        until_ms, rows = await self._once(("chunk", *key), self._fetch_chunk(symbol, grid, start_ms))
        if until_ms <= last_ms:
            raise not_now("the exchange's candle is not final yet", 5)
        return rows

    async def _fetch_chunk(self, symbol: str, grid: Grid, start_ms: int) -> tuple[int, dict[int, Row]]:
        klines = await self._client.klines(
            symbol,
            grid.interval,
            limit=CHUNK,
            start_ms=start_ms,
            end_ms=start_ms + CHUNK * grid.length_ms - 1,
            priority=Priority.HISTORY,
        )
        final_ms = self._memory.exchange_time_ms() - FINAL_MS
        rows = {kline.open_time_ms: of_kline(kline) for kline in klines if kline.close_time_ms < final_ms}
        until_ms = min(start_ms + CHUNK * grid.length_ms, grid.open_of(final_ms))
        key = (symbol, grid.interval, start_ms)
        before = self._chunks.pop(key, None)
        self._chunk_rows += len(rows) - (len(before[1]) if before else 0)
        self._chunks[key] = (until_ms, rows)
        while self._chunk_rows > KEPT_CHUNK_ROWS:
            self._chunk_rows -= len(self._chunks.popitem(last=False)[1][1])
        self.windows_total["exchange"] += len(rows)
        return until_ms, rows

    async def _adopt(self, info: SymbolInfo) -> PairState:
        ended_ms = (self._memory.exchange_time_ms() - FINAL_MS) // BASE_MS * BASE_MS
        answer = await self._ask_store(info.pair, BASE_TIMEFRAME, ended_ms - CHUNK * BASE_MS, ended_ms)
        candles = [(at, stored(at, BASE_MS, fields, Digits.of(info))) for at, fields in answer]
        newest_ms = max((at for at, values in candles if values), default=ended_ms - BASE_MS)
        state = self._memory.adopt(info.symbol, info.pair, newest_ms + BASE_MS)
        self._memory.learn_rows(state, [(at, row(values)) for at, values in candles if values], FROM_STORE)
        return state

    async def _catch_up(self, state: PairState, info: SymbolInfo) -> None:
        symbol, digits = state.symbol, Digits.of(info)
        now_ms = self._memory.exchange_time_ms()
        ended_ms = now_ms - now_ms % BASE_MS
        first_ms = max(state.next_open_ms, ended_ms - KEPT * BASE_MS)
        answer = await self._ask_store(state.pair, BASE_TIMEFRAME, first_ms, ended_ms)
        candles = [(at, stored(at, BASE_MS, fields, digits)) for at, fields in answer]
        self._memory.learn_rows(state, [(at, row(values)) for at, values in candles if values], FROM_STORE)
        now_ms = self._memory.exchange_time_ms()
        if state.next_open_ms >= ended_ms or now_ms < ended_ms + FINAL_MS:
            return
        first_ms = max(state.next_open_ms, ended_ms - CHUNK * BASE_MS)
        try:
            limit = (ended_ms - first_ms) // BASE_MS + 1
            klines = await self._client.klines(
                symbol, BASE_TIMEFRAME, limit=limit, start_ms=first_ms, priority=Priority.CONFIRM
            )
        except ExchangeError:
            self._halted.discard(symbol)
            self._quiet_until_ms[symbol] = now_ms + QUIET_MS // 3
            raise
        self._learn(state, klines, first_ms)

    def _learn(self, state: PairState, klines: list[Kline], first_ms: int) -> None:
        now_ms = self._memory.exchange_time_ms()
        final = {one.open_time_ms: of_kline(one) for one in klines if one.close_time_ms + FINAL_MS < now_ms}
        self.windows_total["exchange"] += len(final)
        self._memory.learn_rows(state, final.items(), CONFIRMED)
        if final:
            newest_ms = max(final)
            self._memory.learn_absent(state, [at for at in range(first_ms, newest_ms, BASE_MS) if at not in final])
        for one in klines:
            if one.close_time_ms >= now_ms:
                self._memory.learn_frame(state, _frame(one, now_ms))
        if state.next_open_ms < now_ms - now_ms % BASE_MS:
            self._quiet_until_ms[state.symbol] = now_ms + QUIET_MS
            self._halted.add(state.symbol)
        else:
            self._halted.discard(state.symbol)

    async def _once[T](self, key: Any, work: Coroutine[Any, Any, T]) -> T:
        """Do what is being done already but once, and raise Refused if it takes too long or the exchange refuses."""
        task: asyncio.Task[T] | None = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(work)
            task.add_done_callback(lambda done: self._ended(key, done))
        else:
            work.close()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await asyncio.shield(task)
        except TimeoutError:
            raise not_now("the candles are being fetched", 5) from None
        except ExchangeRefused as error:
            raise not_now(f"the exchange refuses ({error.status})", error.retry_after_seconds) from error
        except ExchangeError as error:
            raise not_now("the exchange does not answer, and the candles are nowhere else", 5) from error

    def _ended(self, key: Any, task: asyncio.Task[Any]) -> None:
        del self._tasks[key]
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, ExchangeError | Refused):
            log.error("history failed key=%s", key, exc_info=error)


def _source_of(grid: Grid) -> tuple[str, int]:
    """Return the longest stored interval that divides a window, and its length."""
    if grid.length_ms == WEEK_MS:
        return "1d", DAY_MS
    lengths = {name: timeframe_ms(name) for name in (BASE_TIMEFRAME, *ROLLUP_TIMEFRAMES)}
    name = max((one for one in lengths if grid.length_ms % lengths[one] == 0), key=lengths.__getitem__)
    return name, lengths[name]


def _frame(kline: Kline, now_ms: int) -> Candle:
    return Candle(
        kline.open_time_ms,
        now_ms,
        kline.open,
        kline.high,
        kline.low,
        kline.close,
        kline.volume,
        kline.quote_volume,
        kline.taker_buy_volume,
        kline.taker_buy_quote_volume,
        kline.trades,
    )
