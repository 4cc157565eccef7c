"""The sentinel as an operator runs it, against real InfluxDBs: ages, holes, a store that goes and comes, tokens."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from marketdata.candle_values import CandleValues
from marketdata.schema import BUCKET_RAW, BUCKET_ROLLUP, EXCHANGE
from marketdata.serializer import candle_line, gap_line
from marketdata.timeframes import timeframe_ms
from sentinel.__main__ import main
from tests.integration.reader_truth import write
from tests.integration.servers import InfluxStack
from tests.support import REQUEST_SECONDS, end, eventually, free_port, tail

BTC, ETH, OLD = "BTC/USDT:USDT", "ETH/USDT:USDT", "OLD/USDT:USDT"
HOUR, DAY = 3_600_000, 86_400_000
WINDOWS = ("15m", "1h", "4h", "1d")


@dataclass
class Sentinel:
    """A running `python -m sentinel run`."""

    url: str
    log: Path
    process: subprocess.Popen[bytes]

    def fetch(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=REQUEST_SECONDS) as answer:
            return str(answer.read().decode())

    def values(self, name: str, **labels: str) -> dict[frozenset[tuple[str, str]], float]:
        """The samples of a metric that carry these labels, by the rest of their labels; {} before it listens."""
        try:
            text = self.fetch("/metrics")
        except (urllib.error.URLError, OSError):
            return {}
        return {
            frozenset(sample.labels.items() - labels.items()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        }

    def value(self, name: str, **labels: str) -> float:
        """The one sample with these labels; 0 if there is none."""
        return sum(self.values(name, **labels).values())

    def answered(self, store: str, after: float = 0.0) -> bool:
        return self.value("marketdata_sentinel_last_success_timestamp_seconds", store=store) > after

    def answers_now(self, store: str) -> None:
        """Return when a round that began after this call has succeeded."""
        for _ in range(2):
            now = time.time()
            eventually(lambda: self.answered(store, now), 20, what=f"a round of store {store}")  # noqa: B023


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Sentinel]]:
    with ExitStack() as running:
        yield lambda stores: running.enter_context(_running(tmp_path, stores))


@contextmanager
def _running(folder: Path, stores: Mapping[str, tuple[str, Path]]) -> Iterator[Sentinel]:
    listen = f"127.0.0.1:{free_port()}"
    config = write_config(folder, stores, f'listen = "{listen}"\nevery_seconds = 1\ntimeout_seconds = 15')
    log = folder / "sentinel.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "sentinel", "run", "--config", str(config)],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out,
        )  # fmt: skip
    sentinel = Sentinel(f"http://{listen}", log, process)
    try:
        for store in stores:
            name = "marketdata_sentinel_failures_total"
            eventually(lambda: sentinel.values(name, store=store), 20, what="listening")  # noqa: B023
        yield sentinel
    except AssertionError as error:
        error.add_note(tail(log))
        raise
    finally:
        if process.poll() is None:
            end(process)


def write_config(folder: Path, stores: Mapping[str, tuple[str, Path]], sentinel: str = "") -> Path:
    lines = ["[sentinel]", sentinel]
    for name, (url, token_file) in stores.items():
        lines += ["[[store]]", f'name = "{name}"', f'url = "{url}"', f"token_file = {json.dumps(str(token_file))}"]
    path = folder / "sentinel.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def reader(stack: InfluxStack) -> tuple[str, Path]:
    return stack.url, stack.token_file("reader", "sentinel")


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def candle(pair: str, interval: str, open_ms: int) -> str:
    candles = None if interval == "3m" else timeframe_ms(interval) // timeframe_ms("3m")
    quiet = interval == "3m" and open_ms % HOUR == 0  # a candle without trades is a candle
    prices = ("2", "2", "2", "2") if quiet else ("2", "3", "1", "2")
    amounts = ("0", "0", "0", "0") if quiet else ("9", "18", "4", "8")
    values = CandleValues(*prices, *amounts, 0 if quiet else 7)
    return candle_line(f"ohlcv_{interval}", pair, open_ms, values, now_ms=now_ms(), candles=candles)


def fill(stack: InfluxStack, pair: str, *, until_ms: int, without: Mapping[str, int] | None = None) -> dict[str, int]:
    """Write a pair's last candles and windows up to a time, but for one of an interval; return their newest ends."""
    ends = {}
    for interval in ("3m", *WINDOWS):
        step = timeframe_ms(interval)
        last = until_ms // step * step - step
        count = 80 if interval == "3m" else 8
        times = [last - index * step for index in range(count) if (without or {}).get(interval) != last - index * step]
        bucket = BUCKET_RAW if interval == "3m" else BUCKET_ROLLUP
        write(stack, bucket, [candle(pair, interval, time_ms) for time_ms in times])
        ends[interval] = max(times) + step
    return ends


def test_the_newest_end_of_each_pair_and_interval_and_what_is_missing_between(
    fresh_influx: InfluxStack, start: Callable[..., Sentinel]
) -> None:
    now = now_ms()
    hole = now // 180_000 * 180_000 - 10 * 180_000
    window = (now - 1_000_000) // HOUR * HOUR - 2 * HOUR  # in the last three that are due
    expected = {
        BTC: fill(fresh_influx, BTC, until_ms=now),
        ETH: fill(fresh_influx, ETH, until_ms=now - 180_000, without={"3m": hole, "1h": window}),
    }
    fill(fresh_influx, OLD, until_ms=now - 3 * HOUR)  # delisted three hours ago
    sentinel = start({"main": reader(fresh_influx)})
    eventually(lambda: sentinel.answered("main"), 20, what="a round")
    ends = sentinel.values("marketdata_stored_candle_timestamp_seconds", store="main", exchange=EXCHANGE)
    assert ends == {
        frozenset({("pair", pair), ("interval", interval)}): end_ms / 1000
        for pair, by_interval in expected.items()
        for interval, end_ms in by_interval.items()
    }

    def missing(interval: str) -> float:
        name = "marketdata_stored_candles_missing"
        return sentinel.values(name, store="main", exchange=EXCHANGE)[frozenset({("interval", interval)})]

    assert {interval: missing(interval) for interval in expected[BTC]} == {"3m": 1, "15m": 0, "1h": 1, "4h": 0, "1d": 0}
    # The exchange has no such candle: nothing is missing. The window is written: neither.
    line = gap_line(ETH, hole, "exchange_hole", "not_at_exchange", "candles_3m", now_ms=now)
    write(fresh_influx, BUCKET_RAW, [line])
    write(fresh_influx, BUCKET_ROLLUP, [candle(ETH, "1h", window)])
    sentinel.answers_now("main")
    assert (missing("3m"), missing("1h")) == (0, 0)
    lengths = sentinel.values("marketdata_stored_candle_interval_seconds")
    assert sorted(lengths.values()) == [180, 900, 3600, 14400, 86400]
    names = {dict(labels)["name"] for labels in sentinel.values("marketdata_bucket_info", store="main")}
    assert names == {"market_data", "market_data_rollup", "market_data_samples"}
    assert sentinel.fetch("/healthz") == "ok\n"


def test_a_store_that_stops_or_hangs_is_counted_and_recovers_while_another_is_watched_on(
    influx: InfluxStack, fresh_influx: InfluxStack, start: Callable[..., Sentinel]
) -> None:
    ends = fill(fresh_influx, BTC, until_ms=now_ms())
    sentinel = start({"main": reader(fresh_influx), "second": reader(influx)})
    eventually(lambda: sentinel.answered("main"), 20, what="a round")
    server = fresh_influx.server

    def failed() -> float:
        return sentinel.value("marketdata_sentinel_failures_total", store="main", reason="unavailable")

    for away, back in ((server.stop, server.start), (server.pause, server.unpause)):
        before = failed()
        away()
        eventually(lambda: failed() > before, 20, what="the failure is counted")  # noqa: B023
        sentinel.answers_now("second")
        newest = sentinel.value("marketdata_stored_candle_timestamp_seconds", store="main", pair=BTC, interval="3m")
        assert newest == ends["3m"] / 1000  # what was seen last grows old and does not vanish
        back()
        sentinel.answers_now("main")
    assert sentinel.value("marketdata_sentinel_failures_total", store="second") == 0
    assert end(sentinel.process) == 0
    assert "Traceback" not in sentinel.log.read_text(encoding="utf-8")


def test_a_token_that_is_replaced_is_read_again(
    influx: InfluxStack, tmp_path: Path, start: Callable[..., Sentinel]
) -> None:
    token_file = tmp_path / "reader.token"
    token_file.write_text("of-another-server\n", encoding="utf-8")
    sentinel = start({"main": (influx.url, token_file)})

    def refused() -> float:
        return sentinel.value("marketdata_sentinel_failures_total", store="main", reason="unauthorized")

    eventually(lambda: refused() > 0, 20, what="the refusal is counted")
    assert sentinel.value("marketdata_sentinel_last_success_timestamp_seconds", store="main") == 0
    token_file.write_text(influx.token("reader", "sentinel"), encoding="utf-8")
    eventually(lambda: sentinel.answered("main"), 20, what="the new token is read")


def check(config: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    code = main(["check", "--config", str(config)])
    return code, capsys.readouterr().err.splitlines()


def test_check_says_each_wrong_thing_in_a_line_of_its_own(
    influx: InfluxStack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "wrong.token"
    wrong.write_text("of-another-server\n", encoding="utf-8")
    url, right = reader(influx)
    assert check(write_config(tmp_path, {"main": (url, right)}), capsys) == (0, [])
    cases = {
        "rejected the token (401)": (url, wrong),
        "cannot be read": (url, tmp_path / "none.token"),
        "bucket market_data is missing or the token may not read it": (url, influx.token_file("ingest", "collector-1")),
        "is InfluxDB running?": (f"http://127.0.0.1:{free_port()}", right),
    }
    for expected, store in cases.items():
        code, lines = check(write_config(tmp_path, {"main": (url, right), "second": store}), capsys)
        assert code == 2
        assert len(lines) == 1, lines
        assert lines[0].startswith("sentinel: store second: ")
        assert expected in lines[0]
        assert "of-another-server" not in lines[0]


def test_an_address_that_is_taken_is_told_in_one_line(
    influx: InfluxStack, tmp_path: Path, start: Callable[..., Sentinel], capsys: pytest.CaptureFixture[str]
) -> None:
    running = start({"main": reader(influx)})
    config = write_config(tmp_path, {"main": reader(influx)}, f'listen = "{running.url.removeprefix("http://")}"')
    assert main(["run", "--config", str(config)]) == 2
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("sentinel: ")]
    assert len(told) == 1
    assert "cannot listen" in told[0]
