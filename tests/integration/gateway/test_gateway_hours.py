"""Mark prices of an hour and settlements are served as soon as they are over, long before the store has them."""

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.closes import lead_seconds
from tests.integration.collector_process import collector_process, write_config
from tests.integration.gateway_process import gateway_process, write_gateway_config
from tests.integration.servers import InfluxStack, Simulator
from tests.support import REQUEST_SECONDS, eventually

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
LONG_SECONDS = 360
"""From the exchange's start to the settlement where the usual lead was not enough for the servers to be up."""


@dataclass(frozen=True)
class Platform:
    gateway: str
    simulator: Simulator
    settlement_ms: int

    def now_ms(self) -> int:
        return self.simulator.now_ms()

    def ask(self, path: str) -> tuple[Any, str]:
        """A gateway's response, and its state."""
        with urllib.request.urlopen(self.gateway + path, timeout=REQUEST_SECONDS) as answer:
            return json.load(answer), answer.headers["X-Data-State"]

    def requests(self, route: str) -> float:
        """How many requests the gateway has sent to the exchange."""
        with urllib.request.urlopen(f"{self.gateway}/metrics", timeout=REQUEST_SECONDS) as answer:
            text = answer.read().decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "marketdata_gateway_exchange_requests_total" and sample.labels["route"] == route
        )


@pytest.fixture
def platform(
    start_simulator: Callable[..., Simulator], fresh_influx: InfluxStack, tmp_path: Path
) -> Iterator[Platform]:
    """A gateway that is ready a while before 08:00 UTC, when every contract settles, if need be on the next day."""
    midnight_ms = time.time_ns() // 1_000_000 // DAY_MS * DAY_MS
    for days_ago, lead in ((2, lead_seconds()), (1, LONG_SECONDS)):
        settlement_ms = midnight_ms - days_ago * DAY_MS + 8 * HOUR_MS
        simulator = start_simulator("--pairs", "4", "--start-ms", str(settlement_ms - lead * 1000))
        config, url = write_config(tmp_path, simulator, fresh_influx, exchange={"weight_share_percent": 40})
        with collector_process(config, url, tmp_path) as collector:
            collector.wait_until_filled()
            config, gateway_url = write_gateway_config(tmp_path, simulator, fresh_influx, {"collector-1": url})
            with gateway_process(config, gateway_url, tmp_path) as gateway:
                gateway.wait_until_ready()
                if simulator.now_ms() < settlement_ms - 5_000:
                    yield Platform(gateway_url, simulator, settlement_ms)
                    return
    pytest.fail("the servers are not up minutes after their start")


def test_the_hour_and_the_settlement_that_just_ended_are_answered_at_once(platform: Platform) -> None:
    symbols = platform.simulator.fetch("/_control/state")["pairs"]
    for symbol in symbols:  # the requests of a bot that has just opened a trade
        assert platform.ask(f"/fapi/v1/fundingRate?symbol={symbol}&startTime={platform.now_ms() - 5_000}")[0] == []
    assert platform.requests("/fapi/v1/fundingRate") == 0
    eventually(lambda: platform.now_ms() > platform.settlement_ms + 6_000, 400, what="the settlement")
    since = platform.settlement_ms - 24 * HOUR_MS
    for symbol in symbols:
        path = f"/fapi/v1/fundingRate?symbol={symbol}&startTime={since}&limit=1000"
        rows, state = platform.ask(path)
        assert (rows, state) == (platform.simulator.fetch(path), "live")
        assert rows[-1]["fundingTime"] - platform.settlement_ms in range(10)
        path = f"/fapi/v1/markPriceKlines?symbol={symbol}&interval=1h&limit=5"
        rows, state = platform.ask(path)
        real = platform.simulator.fetch(path)
        assert [row[0] for row in rows] == [row[0] for row in real]
        assert rows[:-1] == real[:-1]
        assert rows[-2][0] == platform.settlement_ms - HOUR_MS
        assert state == "live"
    assert platform.requests("/fapi/v1/fundingRate") <= 1, "one request for all symbols"
    assert platform.requests("/fapi/v1/markPriceKlines") <= len(symbols)
