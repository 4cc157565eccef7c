"""An exchange and a store as plain values, for tests of what stands between them, on a `VirtualLoop`.

The truth is a function of the open time. The exchange may be away, refuse, lack rows and have impossible ones; the
store may be away or hang. Both take `LATENCY_SECONDS` to answer.
"""

import asyncio
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Literal

from collector.model.gap import Gap
from collector.store.query import StoreError
from exchange.again import Again
from exchange.budget import Priority
from exchange.errors import BadRequest, ExchangeError, Refused, Unavailable
from exchange.events import CANDLE_MS, Candle
from exchange.facts import Facts
from exchange.known import DEFAULT
from exchange.rows import Kline
from influx.scripts import overlap_ms
from marketdata.schema import GAPS, OHLCV_BASE, ROLLUP_TIMEFRAMES
from marketdata.serializer import candle_line
from marketdata.timeframes import BASE_TIMEFRAME, DAY_MS, timeframe_ms
from tests.support.virtual_time import elapse

LATENCY_SECONDS = 0.1
HANGS_SECONDS = 120.0
"""When `StoreReader` gives up."""

IMPOSSIBLE_TRADES = 1_000_000
"""What the exchange's own candle of a window holds if one of its rows is impossible."""

_NOW = re.compile(r"^option now = \(\) => (\S+)$", re.MULTILINE)
_TASK = re.compile(r'name: "ohlcv_(\w+)"')
_TRADES = re.compile(r"trades=(\d+)i")
_CANDLES = re.compile(r"candles=(\d+)i")


def trades_at(open_ms: int) -> int:
    """The truth: by its number of trades each candle is told from its neighbors."""
    return open_ms // CANDLE_MS % 97 + 1


@cache
def true_row(open_ms: int, length_ms: int = CANDLE_MS, trades: int | None = None) -> Kline:
    """The exchange's row of a candle; of a longer one with the trades of those it is made of."""
    end_ms = open_ms + length_ms - 1
    return Kline(open_ms, "1.0", "2.0", "0.5", "1.5", "9", end_ms, "12", trades or trades_at(open_ms), "5", "6")


@cache
def true_fields(open_ms: int) -> str:
    """The fields of a stored 3m candle."""
    values = true_row(open_ms).values
    return candle_line(OHLCV_BASE, "BTC/USDT:USDT", open_ms, values, now_ms=open_ms + CANDLE_MS).split(" ")[1]


def true_frame(pair: str, open_ms: int) -> Candle:
    """The closing frame of a candle."""
    values = true_row(open_ms).values
    return Candle(pair, open_ms, values, final=True, origin="stream", event_time_ms=open_ms + CANDLE_MS)


@cache
def true_trades(open_ms: int, length_ms: int) -> int:
    """The trades of a whole window."""
    return sum(map(trades_at, range(open_ms, open_ms + length_ms, CANDLE_MS)))


@cache
def numbers_of(fields: str) -> dict[str, float]:
    """Every field of a point as the float that InfluxDB makes of it."""
    return {name: float(text.rstrip("i")) for name, _, text in (field.partition("=") for field in fields.split(","))}


@cache
def trades_of(fields: str) -> int:
    """The trades that stored fields tell."""
    match = _TRADES.search(fields)
    assert match, fields
    return int(match[1])


def candles_of(fields: str) -> int:
    """Of how many candles a stored window is made; 0 for the exchange's own."""
    match = _CANDLES.search(fields)
    assert match, fields
    return int(match[1])


@dataclass
class Exchange:
    """What REST answers. `lacks` and `spoiled` are open times by symbol; `first_ms` is each symbol's first candle."""

    loop: asyncio.AbstractEventLoop
    start_ms: int
    first_ms: dict[str, int]
    lacks: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    spoiled: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    thin: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    rotten: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    """Of these, what its longer candles lack, or hold as it is."""

    mood: Literal["well", "away", "refuses", "denies"] = "well"
    failures: int = 0
    """So many requests more end in a failure."""

    lag: int = 0
    """So many of the newest rows are not there yet."""

    requests: int = 0
    troubled: float = 0.0
    answered: float = 0.0
    """When a request for 3m candles failed, and when one was answered, last: seconds of the event loop."""

    facts: Facts = DEFAULT

    @property
    def now_ms(self) -> int:
        """Exchange time."""
        return self.start_ms + round(self.loop.time() * 1000)

    def forming_ms(self) -> int:
        """Open of the candle that is forming."""
        return self.now_ms // CANDLE_MS * CANDLE_MS

    def be_well(self) -> None:
        """Answer again."""
        self.mood, self.failures = "well", 0

    def hide(self, symbol: str, open_ms: int, *, known: bool) -> None:
        """Have no row any more; longer candles change only while the candle is not `known` by anybody."""
        self.mend(symbol, open_ms)
        self.lacks[symbol].add(open_ms)
        if not known:
            self.thin[symbol].add(open_ms)

    def spoil(self, symbol: str, open_ms: int, *, known: bool) -> None:
        """Have an impossible row."""
        self.mend(symbol, open_ms)
        self.spoiled[symbol].add(open_ms)
        if not known:
            self.rotten[symbol].add(open_ms)

    def mend(self, symbol: str, open_ms: int) -> None:
        """Have the true row."""
        for some in (self.lacks, self.spoiled, self.thin, self.rotten):
            some[symbol].discard(open_ms)

    async def klines_range(
        self, symbol: str, interval: str, start_ms: int, end_ms: int, *, priority: Priority
    ) -> list[Kline]:
        return await self._answer(symbol, interval, start_ms, end_ms)

    async def klines(self, symbol: str, interval: str, *, limit: int, start_ms: int, priority: Priority) -> list[Kline]:
        return (await self._answer(symbol, interval, start_ms, self.now_ms))[:limit]

    async def _answer(self, symbol: str, interval: str, start_ms: int, end_ms: int) -> list[Kline]:
        self.requests += 1
        await elapse(LATENCY_SECONDS)
        error = self._trouble()
        if isinstance(error, Unavailable | Refused):
            self.troubled = self.loop.time()
        elif interval == BASE_TIMEFRAME:
            self.answered = self.loop.time()
        if error:
            raise error
        length_ms = timeframe_ms(interval)
        first_ms = -(-max(start_ms, self.first_ms[symbol] // length_ms * length_ms) // length_ms) * length_ms
        newest_ms = self.forming_ms() - self.lag * CANDLE_MS
        opens = range(first_ms, min(end_ms, newest_ms) + 1, length_ms)
        if interval == BASE_TIMEFRAME:
            return [self._row(symbol, open_ms) for open_ms in opens if open_ms not in self.lacks[symbol]]
        return list(self._windows(symbol, opens, newest_ms))

    def _trouble(self) -> ExchangeError | None:
        if self.failures or self.mood == "away":
            self.failures = max(self.failures - 1, 0)
            return Unavailable("503", "wait")
        if self.mood == "refuses":
            return Refused(418, 60, "banned", "wait")
        return BadRequest(-1121, "Invalid symbol", "correct it") if self.mood == "denies" else None

    def _row(self, symbol: str, open_ms: int) -> Kline:
        row = true_row(open_ms)
        return row._replace(trades=0) if open_ms in self.spoiled[symbol] else row

    def _windows(self, symbol: str, opens: range, newest_ms: int) -> Iterator[Kline]:
        for open_ms in opens:
            if self.lag and newest_ms < open_ms + opens.step - CANDLE_MS:
                return  # those that are late come whole
            members = range(max(open_ms, self.first_ms[symbol]), min(open_ms + opens.step, newest_ms + 1), CANDLE_MS)
            there = [member for member in members if member not in self.thin[symbol]]
            impossible = IMPOSSIBLE_TRADES * any(member in self.rotten[symbol] for member in there)
            if there:
                yield true_row(open_ms, opens.step, sum(map(trades_at, there)) + impossible)


class Store:
    """Points by measurement, pair, day and time, as the text of their fields; so a day is counted at once."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.mood: Literal["well", "away", "hangs"] = "well"
        self.checked: list[float] = []
        """When it was asked whether it answers, seconds of the event loop: at the begin of a pass."""

        self._points: dict[tuple[str, str], dict[int, dict[int, str]]] = {}

    def be_well(self) -> None:
        """Answer again."""
        self.mood = "well"

    def put(self, line: str) -> None:
        """Take a line of line protocol."""
        head, fields, time = line.split(" ")
        measurement, *tags = head.split(",")
        pair = next(tag.removeprefix("pair=") for tag in tags if tag.startswith("pair="))
        self.put_all(measurement, pair, {int(time): fields})

    def put_all(self, measurement: str, pair: str, points: dict[int, str]) -> None:
        """Take points, from whomever."""
        days = self._points.setdefault((measurement, pair), {})
        for time_ms, fields in points.items():
            days.setdefault(time_ms // DAY_MS, {})[time_ms] = fields

    def delete(self, measurement: str, pair: str, start_ms: int, end_ms: int) -> None:
        """Delete the points of [start, end)."""
        for day in self._points.get((measurement, pair), {}).values():
            for time_ms in [time_ms for time_ms in day if start_ms <= time_ms < end_ms]:
                del day[time_ms]

    def get(self, measurement: str, pair: str, time_ms: int) -> str | None:
        """The fields of one point."""
        return self._points.get((measurement, pair), {}).get(time_ms // DAY_MS, {}).get(time_ms)

    def items(self, measurement: str, pair: str, start_ms: int, end_ms: int) -> Iterator[tuple[int, str]]:
        """The points of [start, end)."""
        for number, day in self._points.get((measurement, pair), {}).items():
            if number * DAY_MS < end_ms and start_ms < (number + 1) * DAY_MS:
                yield from ((time_ms, fields) for time_ms, fields in day.items() if start_ms <= time_ms < end_ms)

    def pairs(self, measurement: str) -> list[str]:
        """The pairs that have points."""
        return [pair for some, pair in self._points if some == measurement]

    def roll(self, timeframe: str, now_ms: int, overlap: int | None = None) -> None:
        """What influx/tasks/ohlcv_<timeframe>.flux does at `now_ms`."""
        length_ms = timeframe_ms(timeframe)
        stop_ms = now_ms // length_ms * length_ms
        opens = range(stop_ms - (overlap or _overlap_ms(timeframe)), stop_ms, length_ms)
        for pair in self.pairs(OHLCV_BASE):
            days = self._points[OHLCV_BASE, pair]
            whole = {
                open_ms: _rolled(open_ms, length_ms)
                for open_ms in opens
                if (day := days.get(open_ms // DAY_MS))
                and all(map(day.__contains__, range(open_ms, open_ms + length_ms, CANDLE_MS)))
            }
            self.put_all(f"ohlcv_{timeframe}", pair, whole)

    async def scheduled(self, exchange: Exchange) -> None:
        """The tasks as they run by themselves, 40 s after each quarter of an hour, until cancelled."""
        quarter_ms = 900_000
        while True:
            await elapse((quarter_ms - (exchange.now_ms - 40_000) % quarter_ms) / 1000)
            if self.mood == "well":
                for timeframe in ROLLUP_TIMEFRAMES:
                    self.roll(timeframe, exchange.now_ms)

    async def check(self) -> None:
        self.checked.append(asyncio.get_running_loop().time())
        await self._answer()

    async def counts_by_time(
        self, bucket: str, measurement: str, field: str, start_ms: int, end_ms: int, every_ms: int
    ) -> dict[str, dict[int, int]]:
        await self._answer()
        found: dict[str, dict[int, int]] = {}
        length_ms = timeframe_ms(measurement.removeprefix("ohlcv_"))
        for pair in self.pairs(measurement):
            for number, day in self._points[measurement, pair].items():
                first_ms, stop_ms = number * DAY_MS, (number + 1) * DAY_MS
                inside = start_ms <= first_ms and stop_ms <= end_ms
                part = range(max(first_ms, -(-start_ms // length_ms) * length_ms), min(stop_ms, end_ms), length_ms)
                count = len(day) if inside else sum(map(day.__contains__, part))
                if count:
                    counts, bucket_ms = found.setdefault(pair, {}), first_ms // every_ms * every_ms
                    counts[bucket_ms] = counts.get(bucket_ms, 0) + count
        return found

    async def times_ms(
        self, bucket: str, measurement: str, field: str, pair: str, start_ms: int, end_ms: int
    ) -> set[int]:
        await self._answer()
        return {time_ms for time_ms, _ in self.items(measurement, pair, start_ms, end_ms)}

    async def rows(
        self, bucket: str, measurement: str, fields: Sequence[str], pair: str, start_ms: int, end_ms: int
    ) -> dict[int, dict[str, float | None]]:
        await self._answer()
        return {
            time_ms: {name: numbers_of(text).get(name) for name in fields}
            for time_ms, text in self.items(measurement, pair, start_ms, end_ms)
        }

    async def gaps(self, channel: str, start_ms: int, end_ms: int) -> list[Gap]:
        await self._answer()
        return [gap for gap in self.noted(start_ms, end_ms) if gap.state != "repaired"]

    def noted(self, start_ms: int, end_ms: int) -> list[Gap]:
        """Every gap point of [start, end)."""
        return [
            gap_of(pair, time_ms, fields)
            for pair in self.pairs(GAPS)
            for time_ms, fields in self.items(GAPS, pair, start_ms, end_ms)
        ]

    async def flux(self, script: str) -> None:
        await self._answer()
        task, now = _TASK.search(script), _NOW.search(script)
        assert task
        assert now
        self.roll(task[1], round(datetime.fromisoformat(now[1]).timestamp() * 1000))

    async def _answer(self) -> None:
        await elapse(HANGS_SECONDS if self.mood == "hangs" else LATENCY_SECONDS)
        if self.mood != "well":
            raise StoreError(f"{self.name} is {self.mood}")


@cache
def _rolled(open_ms: int, length_ms: int) -> str:
    """A window as the script writes it: of the stored candles, which are the true ones."""
    return f"close=1.5,trades={true_trades(open_ms, length_ms)}i,candles={length_ms // CANDLE_MS}i"


@cache
def _overlap_ms(timeframe: str) -> int:
    return overlap_ms(timeframe)


@cache
def gap_of(pair: str, time_ms: int, fields: str) -> Gap:
    """A gap as its point tells it."""
    found = dict(re.findall(r'(\w+)="?([^",]+)', fields))
    again = Again(int(found["since_ms"].rstrip("i")), int(found["asked"].rstrip("i"))) if "asked" in found else None
    return Gap(pair, time_ms, found["state"], found["reason"], again)
