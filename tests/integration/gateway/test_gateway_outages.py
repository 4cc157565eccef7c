"""What bots see of the gateway while exchange, collector or store are in trouble (docs/design.md 2 and 5.4).

Every test starts its own servers, shortly before a close on the exchange's clock, and looks at that close.
"""

import gzip
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.closes import CLOSE_SECONDS, lead_seconds
from tests.integration.collector_process import CollectorProcess, collector_process, write_config
from tests.integration.gateway_process import GatewayProcess, gateway_process, write_gateway_config
from tests.integration.servers import InfluxStack, Simulator
from tests.support import eventually

CANDLE_MS = 180_000
MIDDAY_MS = 1_791_374_400_000  # 2026-10-07 12:00 UTC
BOTS_PATIENCE_SECONDS = 10.0
"""After this time ccxt gives up a request."""


@dataclass
class Answered:
    """What a bot got."""

    status: int
    headers: dict[str, str]
    body: Any
    seconds: float


@dataclass
class Platform:
    """The servers of one test."""

    simulator: Simulator
    influx: InfluxStack
    collector: CollectorProcess
    gateway: GatewayProcess

    def now_ms(self) -> int:
        """The exchange's time."""
        return self.simulator.now_ms()

    def ask(self, path: str) -> Answered:
        """Send the gateway a request like a bot's."""
        began = time.monotonic()
        request = urllib.request.Request(f"{self.gateway.url}{path}", headers={"Accept-Encoding": "gzip"})
        try:
            answer = urllib.request.urlopen(request, timeout=BOTS_PATIENCE_SECONDS)
        except urllib.error.HTTPError as refused:
            answer = refused
        with answer:
            body = answer.read()
        if answer.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        return Answered(answer.status, dict(answer.headers), json.loads(body), time.monotonic() - began)

    def klines(self, symbol: str = "BTCUSDT", query: str = "interval=3m&limit=499") -> Answered:
        """Request candles."""
        return self.ask(f"/fapi/v1/klines?symbol={symbol}&{query}")

    def truth(self, symbol: str, first_ms: int, last_ms: int) -> list[Any]:
        """The exchange's own 3m candles that open in [first_ms, last_ms]."""
        query = f"symbol={symbol}&interval=3m&start={first_ms}&end={last_ms}"
        rows: list[Any] = self.simulator.fetch(f"/_control/truth?{query}")
        return rows

    def fault(self, **order: object) -> None:
        """Make the exchange misbehave."""
        self.simulator.fetch("/_control/faults", order)

    def after_next_close(self) -> int:
        """Return the next close once it is over; the exchange's time."""
        close_ms = self.now_ms() // CANDLE_MS * CANDLE_MS + CANDLE_MS
        eventually(lambda: self.now_ms() > close_ms, CLOSE_SECONDS, what="the close")
        return close_ms

    def weight(self) -> dict[str, float]:
        """What the gateway itself has spent at the exchange, by route."""
        with urllib.request.urlopen(f"{self.gateway.url}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        head = 'marketdata_gateway_exchange_weight_total{route="'
        return {
            line.removeprefix(head).partition('"')[0]: float(line.rpartition(" ")[2])
            for line in lines
            if line.startswith(head)
        }


@pytest.fixture
def platform(
    fresh_influx: InfluxStack, start_simulator: Callable[..., Simulator], tmp_path: Path
) -> Iterator[Platform]:
    simulator = start_simulator("--pairs", "6", "--seed", "5", "--start-ms", str(MIDDAY_MS - lead_seconds() * 1000))
    with ExitStack() as running:
        few = ["[fill]", "hours = 26", "rollup_windows = 4"]
        config, url = write_config(tmp_path, simulator, fresh_influx, extra=few)
        collector = running.enter_context(collector_process(config, url, tmp_path))
        collector.wait_until_filled()
        config, gateway_url = write_gateway_config(tmp_path, simulator, fresh_influx, {"collector-1": url})
        gateway = running.enter_context(gateway_process(config, gateway_url, tmp_path))
        gateway.wait_until_ready()
        yield Platform(simulator, fresh_influx, collector, gateway)


def assert_final(platform: Platform, symbol: str, rows: list[Any], last_final_ms: int) -> None:
    """Every row except the forming one is the exchange's, text for text, up to the candle that has just closed."""
    final = [row for row in rows if row[0] <= last_final_ms]
    assert len(rows) - len(final) <= 1
    assert final == platform.truth(symbol, final[0][0], last_final_ms)
    assert final[-1][0] == last_final_ms


def settled(platform: Platform, symbol: str, close_ms: int) -> Answered:
    """Repeat the request until the closed candle is there, as bots do; they must be able to live with each response."""

    def asked() -> list[Answered]:
        answer = platform.klines(symbol)
        assert answer.status == 200, answer
        assert answer.body, answer
        assert answer.seconds < BOTS_PATIENCE_SECONDS
        return [answer] if any(row[0] == close_ms - CANDLE_MS for row in answer.body) else []

    return eventually(asked, 60, what=f"the candle of {symbol} that closed")[0]


def test_while_the_exchange_bans_us_candles_come_and_books_grow_old_until_429(platform: Platform) -> None:
    book = platform.ask("/fapi/v1/depth?symbol=BTCUSDT&limit=5")
    assert book.status == 200
    platform.fault(kind="rest_status", status=418, retry_after_seconds=120)
    close_ms = platform.after_next_close()
    answer = settled(platform, "BTCUSDT", close_ms)
    assert answer.headers["X-Data-State"] == "live"
    assert_final(platform, "BTCUSDT", answer.body, close_ms - CANDLE_MS)
    assert platform.ask("/fapi/v1/exchangeInfo").status == 200

    def refused() -> list[Answered]:
        late = platform.ask("/fapi/v1/depth?symbol=BTCUSDT&limit=5")
        assert late.status in (200, 429), late
        return [late] if late.status == 429 else []

    late = eventually(refused, 60, what="an order book that is too old to be served")[0]
    assert int(late.headers["Retry-After"]) >= 1
    assert late.body["code"] == -1003


def test_while_the_exchange_is_down_a_response_ends_before_the_candle_nobody_has(platform: Platform) -> None:
    eventually(lambda: platform.now_ms() % CANDLE_MS < CANDLE_MS - 5_000, 20, what="a moment away from a close")
    before = platform.klines()
    platform.fault(kind="connection_cut")
    close_ms = before.body[-1][0] + CANDLE_MS

    def behind() -> list[Answered]:
        answer = platform.klines()
        assert answer.status == 200
        assert answer.seconds < BOTS_PATIENCE_SECONDS
        return [answer] if answer.headers["X-Data-State"] == "behind" else []

    answer = eventually(behind, CLOSE_SECONDS, what="an answer that says that it is behind")[0]
    assert answer.body[-1][0] == close_ms - 2 * CANDLE_MS, "no row that is neither final nor the one now forming"
    assert (
        answer.body == before.body[len(before.body) - len(answer.body) - 1 : -1]
        or answer.body[-498:] == (before.body[:-1][-498:])
    )
    assert platform.ask("/fapi/v1/exchangeInfo").status == 200


def test_while_the_exchange_is_silent_the_candle_comes_by_rest(platform: Platform) -> None:
    platform.fault(kind="silent_route", route="market")
    close_ms = platform.after_next_close()
    answer = settled(platform, "ETHUSDT", close_ms)
    assert_final(platform, "ETHUSDT", answer.body, close_ms - CANDLE_MS)


def test_without_a_collector_the_gateway_asks_the_exchange_itself(platform: Platform) -> None:
    platform.collector.kill()
    spent = platform.weight().get("/fapi/v1/klines", 0)
    close_ms = platform.after_next_close()
    for symbol in ("BTCUSDT", "ETHUSDT"):
        answer = settled(platform, symbol, close_ms)
        assert_final(platform, symbol, answer.body, close_ms - CANDLE_MS)
    assert 1 <= platform.weight()["/fapi/v1/klines"] - spent <= 4, "one cheap request per pair and candle"
    platform.gateway.wait_until_ready()  # its data is fresh


def test_without_any_collector_the_store_is_polled_and_the_forming_candle_requested(
    platform: Platform, tmp_path: Path
) -> None:
    platform.gateway.stop()
    folder = tmp_path / "polling"
    folder.mkdir()
    config, url = write_gateway_config(folder, platform.simulator, platform.influx, {})
    with gateway_process(config, url, folder) as platform.gateway:
        platform.gateway.wait_until_ready()
        close_ms = platform.after_next_close()
        answer = settled(platform, "BTCUSDT", close_ms)
        assert_final(platform, "BTCUSDT", answer.body, close_ms - CANDLE_MS)
        assert answer.body[-1][0] == close_ms, "bots take the last row for the forming one"


def test_while_influxdb_is_down_new_candles_come_and_older_ones_are_fetched_once(platform: Platform) -> None:
    assert platform.klines().status == 200
    spent = platform.weight().get("/fapi/v1/klines", 0)
    platform.influx.server.stop()
    close_ms = platform.after_next_close()
    answer = settled(platform, "BTCUSDT", close_ms)
    assert_final(platform, "BTCUSDT", answer.body, close_ms - CANDLE_MS)
    assert platform.weight().get("/fapi/v1/klines", 0) == spent, "nothing that is in memory was requested"

    first_ms = close_ms - 3_000 * CANDLE_MS
    old = [platform.klines("BTCUSDT", f"interval=3m&limit=499&startTime={first_ms}") for _ in range(3)]
    assert [one.status for one in old] == [200] * 3
    assert old[0].body == platform.truth("BTCUSDT", first_ms, first_ms + 498 * CANDLE_MS)
    assert 2 <= platform.weight()["/fapi/v1/klines"] - spent <= 5, (
        "fetched once for all bots, and where the pair begins"
    )


def test_a_gateway_that_starts_while_influxdb_is_down_serves_anyway(platform: Platform) -> None:
    platform.gateway.stop()
    platform.influx.server.stop()
    platform.gateway.start()
    platform.gateway.wait_until_ready()
    answer = eventually(lambda: _if_served(platform.klines()), 30, what="candles")[0]
    assert len(answer.body) == 499
    newest_final_ms = answer.body[-2][0]
    assert answer.body[:-1] == platform.truth("BTCUSDT", answer.body[0][0], newest_final_ms)
    assert platform.weight()["/fapi/v1/klines"] <= 5, "the candles, and once where the pair begins"


def _if_served(answer: Answered) -> list[Answered]:
    assert answer.status in (200, 429), answer
    return [answer] if answer.status == 200 else []
