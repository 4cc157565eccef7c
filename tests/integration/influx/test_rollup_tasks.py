"""The rollup scripts on a real InfluxDB against a plain-Python truth: every window is right or absent.

Each test has a pair and a day of its own, in the past: the scheduled tasks never reach it.
"""

import itertools
import json
import random
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from influx.scripts import overlap_ms, script_at, task_script
from tests.integration.servers import InfluxStack
from tests.support import eventually

MINUTE_MS = 60_000
CANDLE_MS = 3 * MINUTE_MS
DAY_MS = 24 * 60 * MINUTE_MS
WINDOW_MS = {"15m": 15 * MINUTE_MS, "1h": 60 * MINUTE_MS, "4h": 240 * MINUTE_MS, "1d": DAY_MS}
FIRST_DAY_MS = 1_759_968_000_000  # 2025-10-09
PRICES = ("open", "high", "low", "close")
SUMS = ("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume", "trades")

Row = dict[str, float]
"""A candle by field name; without open, high and low if it has no trades."""


@dataclass(frozen=True)
class Market:
    """One pair of the store and a day that is its own."""

    stack: InfluxStack
    pair: str
    day_ms: int

    def write(self, candles: dict[int, Row]) -> None:
        """Store 3m candles by open time."""
        lines = (f"ohlcv_3m,exchange=BINANCE_FUTURES,pair={self.pair} {fields(row)} {t}" for t, row in candles.items())
        params = {"org": self.stack.org, "bucket": "market_data", "precision": "ms"}
        self._post("/api/v2/write", params, "ingest", "collector-1", "\n".join(lines))

    def roll(self, timeframe: str, now_ms: int) -> None:
        """Run the task's script as it would run at now_ms, with the collector's repair token."""
        script = script_at(task_script(timeframe), now_ms)
        params = {"org": self.stack.org}
        self._post("/api/v2/query", params, "repair", "collector-1", script, "application/vnd.flux")

    def windows(self, timeframe: str) -> dict[int, Row]:
        """What is stored of the pair, by window open."""
        query = f'SELECT * FROM "ohlcv_{timeframe}" WHERE "pair" = $pair'
        params = {"db": "market_data_rollup", "epoch": "ms", "q": query, "params": json.dumps({"pair": self.pair})}
        answer = json.loads(self._post("/query", params, "reader", "probe", ""))
        rows = {}
        for series in answer["results"][0].get("series", []):
            for values in series["values"]:
                row = dict(zip(series["columns"], values, strict=True))
                assert row.pop("exchange") == "BINANCE_FUTURES"
                assert row.pop("pair") == self.pair
                rows[row.pop("time")] = row
        return rows

    def _post(
        self, path: str, params: dict[str, str], kind: str, consumer: str, body: str, content: str = "text/plain"
    ) -> bytes:
        headers = {"Authorization": f"Token {self.stack.token(kind, consumer)}", "Content-Type": content}
        url = f"{self.stack.url}{path}?{urllib.parse.urlencode(params)}"
        with urllib.request.urlopen(urllib.request.Request(url, body.encode(), headers), timeout=30) as answer:
            return bytes(answer.read())


@pytest.fixture(scope="module")
def numbers() -> Iterator[int]:
    return itertools.count()


@pytest.fixture
def market(influx: InfluxStack, numbers: Iterator[int]) -> Market:
    number = next(numbers)
    return Market(influx, f"ROLL{number}/USDT:USDT", FIRST_DAY_MS + 10 * number * DAY_MS)


def fields(row: Row) -> str:
    return ",".join(f"{name}={value}{'i' if name == 'trades' else ''}" for name, value in row.items())


def traded(rng: random.Random) -> Row:
    low, first, last, high = sorted(round(rng.uniform(90, 110), 4) for _ in range(4))
    volume = round(rng.uniform(1, 900), 3)
    row = {"open": first, "high": high, "low": low, "close": last, "volume": volume}
    quote = {"quote_volume": round(volume * first, 7), "taker_buy_volume": round(volume / 3, 3)}
    return row | quote | {"taker_buy_quote_volume": round(volume * first / 3, 7), "trades": rng.randint(1, 500)}


def empty(close: float) -> Row:
    return {"close": close, **dict.fromkeys(SUMS, 0)}


def candles(start_ms: int, count: int, *, seed: int = 1, empty_share: float = 0.2) -> dict[int, Row]:
    """Consecutive 3m candles; one without trades keeps the last close."""
    rng = random.Random(seed)
    rows: dict[int, Row] = {}
    close = 100.0
    for index in range(count):
        row = empty(close) if rng.random() < empty_share else traded(rng)
        close = row["close"]
        rows[start_ms + index * CANDLE_MS] = row
    return rows


def truth(source: dict[int, Row], timeframe: str) -> dict[int, Row]:
    """The complete windows of the candles, computed the plain way."""
    window_ms = WINDOW_MS[timeframe]
    windows: dict[int, list[Row]] = {}
    for open_ms in sorted(source):
        windows.setdefault(open_ms - open_ms % window_ms, []).append(source[open_ms])
    return {t: merged(rows) for t, rows in windows.items() if len(rows) == window_ms // CANDLE_MS}


def merged(rows: list[Row]) -> Row:
    busy = [row for row in rows if row["trades"]]
    close = rows[-1]["close"]
    return {
        "open": busy[0]["open"] if busy else close,
        "high": max((row["high"] for row in busy), default=close),
        "low": min((row["low"] for row in busy), default=close),
        "close": close,
        **{name: sum(row[name] for row in rows) for name in SUMS},
        "candles": len(rows),
    }


def assert_equal(stored: dict[int, Row], expected: dict[int, Row]) -> None:
    """Prices and counts exactly, sums up to the last digits of a float."""
    assert sorted(stored) == sorted(expected)
    for open_ms, row in expected.items():
        assert sorted(stored[open_ms]) == sorted(row)
        assert {name: stored[open_ms][name] for name in (*PRICES, "candles", "trades")} == {
            name: row[name] for name in (*PRICES, "candles", "trades")
        }
        assert [stored[open_ms][name] for name in SUMS] == pytest.approx([row[name] for name in SUMS], rel=1e-12)


def without(source: dict[int, Row], holes: Iterable[int]) -> dict[int, Row]:
    return {open_ms: row for open_ms, row in source.items() if open_ms not in set(holes)}


def rolled_span(timeframe: str, now_ms: int) -> tuple[int, int]:
    stop = now_ms - now_ms % WINDOW_MS[timeframe]
    return stop - overlap_ms(timeframe), stop


@pytest.mark.parametrize("timeframe", WINDOW_MS)
def test_every_complete_window_equals_the_plain_truth(market: Market, timeframe: str) -> None:
    start, stop = rolled_span(timeframe, market.day_ms)
    source = candles(start, (stop - start) // CANDLE_MS)
    market.write(source)
    market.roll(timeframe, market.day_ms)
    assert len(market.windows(timeframe)) == overlap_ms(timeframe) // WINDOW_MS[timeframe]
    assert_equal(market.windows(timeframe), truth(source, timeframe))


@pytest.mark.parametrize("timeframe", WINDOW_MS)
def test_a_window_with_a_hole_is_absent_until_the_run_after_its_repair(market: Market, timeframe: str) -> None:
    start, stop = rolled_span(timeframe, market.day_ms)
    source = candles(start, (stop - start) // CANDLE_MS, seed=2)
    holes = [start, stop - CANDLE_MS]  # the first candle of the first window, the last of the last
    market.write(without(source, holes))
    market.roll(timeframe, market.day_ms)
    expected = truth(source, timeframe)
    absent = {start, stop - WINDOW_MS[timeframe]}
    assert_equal(market.windows(timeframe), without(expected, absent))

    market.write({open_ms: source[open_ms] for open_ms in holes})
    market.roll(timeframe, market.day_ms)
    assert_equal(market.windows(timeframe), expected)


def test_the_window_that_is_still_forming_is_absent(market: Market) -> None:
    source = candles(market.day_ms, 9)  # one window and four of five candles of the next
    market.write(source)
    market.roll("15m", market.day_ms + 9 * CANDLE_MS)
    assert_equal(market.windows("15m"), truth(source, "15m"))
    assert list(market.windows("15m")) == [market.day_ms]


def test_a_window_at_the_edge_of_the_overlap_is_whole_or_not_touched(market: Market) -> None:
    """A range that begins inside a window would write a clipped candle over the right one."""
    source = candles(market.day_ms, 40)
    market.write(source)
    now_ms = market.day_ms + 30 * MINUTE_MS + overlap_ms("1h")
    market.roll("1h", now_ms)
    assert_equal(market.windows("1h"), truth(source, "1h"))


def test_windows_on_both_sides_of_midnight_keep_their_own_candles(market: Market) -> None:
    source = candles(market.day_ms - DAY_MS, 2 * 480, seed=3)
    market.write(source)
    for timeframe, window_ms in WINDOW_MS.items():
        market.roll(timeframe, market.day_ms + window_ms)
        sides = (market.day_ms - window_ms, market.day_ms)
        stored, expected = market.windows(timeframe), truth(source, timeframe)
        assert_equal({t: stored[t] for t in sides}, {t: expected[t] for t in sides})


def test_a_second_run_changes_nothing(market: Market) -> None:
    market.write(candles(market.day_ms, 40, seed=4))
    now_ms = market.day_ms + 2 * 60 * MINUTE_MS
    market.roll("15m", now_ms)
    first = market.windows("15m")
    market.roll("15m", now_ms)
    market.roll("15m", now_ms + 37_000)
    assert market.windows("15m") == first
    assert len(first) == 8


def test_a_corrected_candle_corrects_its_window(market: Market) -> None:
    source = candles(market.day_ms, 5, empty_share=0)
    market.write(source)
    market.roll("15m", market.day_ms + WINDOW_MS["15m"])
    source[market.day_ms] = source[market.day_ms] | {"high": 250.5, "volume": 0.001}
    market.write(source)
    market.roll("15m", market.day_ms + WINDOW_MS["15m"])
    assert_equal(market.windows("15m"), truth(source, "15m"))
    assert market.windows("15m")[market.day_ms]["high"] == 250.5


def test_candles_without_trades_leave_open_high_and_low_to_the_traded_ones(market: Market) -> None:
    busy = traded(random.Random(5))
    rows = [empty(50.0), empty(50.0), busy, empty(busy["close"]), empty(busy["close"])]
    market.write({market.day_ms + index * CANDLE_MS: row for index, row in enumerate(rows)})
    market.roll("15m", market.day_ms + WINDOW_MS["15m"])
    stored = market.windows("15m")[market.day_ms]
    assert {name: stored[name] for name in PRICES} == {name: busy[name] for name in PRICES}
    assert (stored["trades"], stored["candles"]) == (busy["trades"], 5)


@pytest.mark.parametrize("beside_a_traded_window", [True, False])
def test_a_window_without_any_trade_is_flat_at_the_last_close(market: Market, beside_a_traded_window: bool) -> None:
    """Alone in its range, the pair has no open, high and low at all: after the pivot there is not even a column."""
    rows = [empty(49.5) for _ in range(5)]
    rows += [traded(random.Random(6)) for _ in range(5 if beside_a_traded_window else 0)]
    source = {market.day_ms + index * CANDLE_MS: row for index, row in enumerate(rows)}
    market.write(source)
    market.roll("15m", market.day_ms + 2 * WINDOW_MS["15m"])
    assert_equal(market.windows("15m"), truth(source, "15m"))
    flat = market.windows("15m")[market.day_ms]
    assert {flat[name] for name in PRICES} == {49.5}
    assert {flat[name] for name in SUMS} == {0}


def test_counts_are_stored_as_integers_and_the_rest_as_floats(market: Market) -> None:
    market.write(candles(market.day_ms, 5, empty_share=0))
    market.roll("15m", market.day_ms + WINDOW_MS["15m"])
    params = {"db": "market_data_rollup", "q": 'SHOW FIELD KEYS FROM "ohlcv_15m"'}
    answer = json.loads(market._post("/query", params, "reader", "probe", ""))
    types = dict(answer["results"][0]["series"][0]["values"])
    floats = dict.fromkeys((*PRICES, *SUMS[:-1]), "float")
    assert types == floats | {"trades": "integer", "candles": "integer"}


def test_the_answer_is_the_number_of_windows_written(market: Market) -> None:
    market.write(candles(market.day_ms, 17))
    script = script_at(task_script("15m"), market.day_ms + DAY_MS // 12)
    params = {"org": market.stack.org}
    answer = market._post("/api/v2/query", params, "repair", "collector-1", script, "application/vnd.flux").decode()
    assert answer.split() == [",result,table,candles", f",{answer.split(',')[4]},0,3"]


def runs(market: Market, timeframe: str, now_ms: int) -> Iterator[str]:
    """The states of one run of the deployed task, as if it had been scheduled for now_ms."""
    headers = {"Authorization": f"Token {market.stack.operator_token}", "Content-Type": "application/json"}
    url = f"{market.stack.url}/api/v2/tasks"

    def call(path: str, body: dict[str, str] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(url + path, data, headers), timeout=30) as answer:
            return json.load(answer)

    (task,) = call(f"?name=ohlcv_{timeframe}")["tasks"]
    scheduled = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    run = call(f"/{task['id']}/runs", {"scheduledFor": scheduled})
    while True:
        try:
            status: str = call(f"/{task['id']}/runs/{run['id']}")["status"]
        except urllib.error.HTTPError as error:
            # InfluxDB takes a run that ends off one list before it writes it to the other: for a moment it has none.
            if error.code != 404:
                raise
            status = "ending"
        yield status


@pytest.mark.parametrize("timeframe", WINDOW_MS)
def test_the_deployed_task_writes_the_same_windows_as_its_script(market: Market, timeframe: str) -> None:
    start, stop = rolled_span(timeframe, market.day_ms)
    source = candles(start, (stop - start) // CANDLE_MS, seed=7)
    market.write(without(source, [start + CANDLE_MS]))
    states = runs(market, timeframe, market.day_ms)
    eventually(lambda: next(states) == "success", 30, what=f"a run of ohlcv_{timeframe}")
    by_task = market.windows(timeframe)
    assert_equal(by_task, truth(without(source, [start + CANDLE_MS]), timeframe))
    market.roll(timeframe, market.day_ms)
    assert market.windows(timeframe) == by_task
