"""Every query of every dashboard is asked of the real Prometheus or InfluxDB of a running demo, and tells the truth.

There is no Grafana in this: tests/support/asking.py does what Grafana does.
"""

import asyncio
import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from marketdata.reader import MarketData
from marketdata.stores import Store
from tests.integration.demo_process import demo, live
from tests.support import eventually
from tests.support.asking import EMPTY_IN_HEALTH, PAIR, Asking, every_query_answers
from tests.support.dashboards import UIDS, queries
from tools.demo.run import Run
from tools.demo.store_truth import Store as StoredTruth

PAIRS = 164
SYMBOL = "BTCUSDT"
SILENCED, SILENCED_SYMBOL = "ETH/USDT:USDT", "ETHUSDT"
LIVE_SECONDS = 600
"""Filling 164 pairs takes three UTC minutes of the exchange's weight, and a quiet pair may miss two closes in a row."""

ROWS_SECONDS = 240
"""Rates, averages and the sentinel's minute need some scrapes; a candle closes within 180 s."""

STALE_SECONDS = 120
"""A mark price is stale after 60 s; scrapes and rules are 15 s apart each."""


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Asking, Run, httpx.Client]]:
    """A live demo with every pair: who asks it, and its exchange's control API."""
    folder = tmp_path / "demo"
    with demo(folder, DEMO_PAIRS=str(PAIRS)) as process, httpx.Client(timeout=30, trust_env=False) as http:
        run = live(process, folder, LIVE_SECONDS)
        assert run.ca_file is not None
        assert run.prometheus_url is not None
        trusted = ssl.create_default_context(cafile=run.ca_file)
        with httpx.Client(base_url=f"{run.rest_url}/_control", verify=trusted, trust_env=False) as control:
            token_file = Path(run.reader_token_file)
            yield Asking(http, run.prometheus_url, run.influx_url, token_file, run.org, "demo"), run, control


def test_every_query_of_every_dashboard_returns_rows_and_the_truth(
    running: tuple[Asking, Run, httpx.Client],
) -> None:
    """One running demo for all of it: it takes a minute and two gigabytes to start one with 164 pairs."""
    asking, run, control = running

    def ask_the_gateway() -> None:
        for route in ("klines?interval=3m&", "depth?"):
            asking.http.get(f"{run.gateway_url}/fapi/v1/{route}symbol={SYMBOL}").raise_for_status()

    every_query_answers(asking, ROWS_SECONDS, ask_the_gateway)

    overview_is_true(asking)
    pair_is_true(asking, run)
    funding_is_true(asking, run)
    exchange_is_true(asking, control)
    gateway_is_true(asking)
    pipeline_is_true(asking, run)
    hosts_are_true(asking, run)

    for kind in ("silent_symbol", "rest_frozen"):
        control.post("/faults", json={"kind": kind, "symbol": SILENCED_SYMBOL}).raise_for_status()
    one_pair_is_stale(asking)


def overview_is_true(asking: Asking) -> None:
    """All pairs are fresh, and the demo's one collector watches them."""
    assert asking.value("marketdata-overview", "Is everything fresh?") == 1
    assert asking.value("marketdata-overview", "Stale pairs") == 0
    (pairs,) = asking.panel("marketdata-overview", "Collectors", "B")
    assert float(pairs["value"]) == PAIRS


def pair_is_true(asking: Asking, run: Run) -> None:
    """The last close is the reader's, and every candle drawn is one that can be."""
    with MarketData(Store(run.influx_url, token_file=run.reader_token_file)) as reader:

        def same_close() -> bool:
            """A candle may close between the two questions."""
            last = reader.get_ohlcv(PAIR, "3m", limit=1)["close"].iloc[-1]
            return asking.value("marketdata-pair", "Last close") == float(last)

        eventually(same_close, 30, what="the last close is the reader's")
        candles = asking.panel("marketdata-pair", "Candles of $pair, $interval")
        known = reader.get_ohlcv(PAIR, "3m", limit=200).set_index("date")
    times = [row["_time"] for row in candles]
    assert times == sorted(set(times))
    assert len(candles) >= 119
    for row in candles:
        drawn = {name: float(row[name]) for name in ("open", "high", "low", "close", "volume")}
        assert drawn["low"] <= min(drawn["open"], drawn["close"])
        assert drawn["high"] >= max(drawn["open"], drawn["close"])
        assert drawn == known.loc[row["_time"], list(drawn)].to_dict()
    hours = asking.panel("marketdata-pair", "Do 3m and 1h agree?")
    assert all(float(row["close"]) == 0 and abs(float(row["volume"])) < 1e-6 for row in hours)


def funding_is_true(asking: Asking, run: Run) -> None:
    """A row for each pair, equal to what the reader says."""
    with MarketData(Store(run.influx_url, token_file=run.reader_token_file)) as reader:

        def equal() -> bool:
            """A sample may come between the two questions."""
            shown = {
                row["pair"]: (float(row["rate"]), int(row["next_funding_time"]))
                for row in asking.panel("marketdata-funding", "Rates of all pairs")
            }
            read = {
                pair: (rate.rate, round(rate.next_funding_time.timestamp() * 1000))
                for pair, rate in reader.get_all_pairs_funding_rates().items()
            }
            assert len(shown) == PAIRS
            return shown == read

        eventually(equal, 10, what="the table equal to get_all_pairs_funding_rates")
    eventually(
        lambda: len(asking.panel("marketdata-funding", "Rates of all pairs", "B")) >= PAIRS - 1,
        ROWS_SECONDS,
        what="a settled rate of every pair",  # the newcomer, listed hours ago, may not have settled yet
    )


def exchange_is_true(asking: Asking, control: httpx.Client) -> None:
    """As many connections are open as the exchange itself has, and every frame is used, filtered or invalid."""

    def as_many() -> bool:
        """Scrapes are 15 s apart."""
        there = len(control.get("/state").json()["connections"])
        return sum(float(row["value"]) for row in asking.panel("marketdata-exchange", "Connections")) == there

    eventually(as_many, 30, what="the connections that the exchange has")
    per_second = [
        sum(float(row["value"]) for row in asking.panel("marketdata-exchange", "What happens to frames?", ref))
        for ref in "ABC"
    ]
    received = sum(float(row["value"]) for row in asking.panel("marketdata-exchange", "Frames per second"))
    assert sum(per_second) == pytest.approx(received, rel=0.2)


def gateway_is_true(asking: Asking) -> None:
    """It is ready with every pair, refuses nothing, and what it was asked for cost the exchange next to nothing."""
    assert asking.value("marketdata-gateway", "All ready?") == 1
    assert asking.value("marketdata-gateway", "Refused") == 0
    assert asking.value("marketdata-gateway", "Requests per second") > 0
    (pairs,) = asking.panel("marketdata-gateway", "Pairs in memory, and behind")
    assert float(pairs["value"]) == PAIRS


def pipeline_is_true(asking: Asking, run: Run) -> None:
    """The buckets go by their names, and the roll-ups hold as many series as the store lists: four a pair.

    But for the newcomer of the simulator, which was listed hours ago: it has no window of a day yet.
    """
    rolled = asyncio.run(rollup_series(run))
    assert 4 * PAIRS - 1 <= rolled <= 4 * PAIRS

    def named() -> bool:
        """InfluxDB counts anew every ten seconds."""
        series = {row["name"]: float(row["value"]) for row in asking.panel("marketdata-pipeline", "Series by bucket")}
        assert set(series) == {"market_data", "market_data_rollup", "market_data_samples"}
        return series["market_data_rollup"] == rolled

    eventually(named, 60, what="the number of roll-up series")
    assert asking.value("marketdata-pipeline", "Points lost in 24 h") == 0


async def rollup_series(run: Run) -> int:
    """How many series of roll-ups the store lists."""
    async with StoredTruth(run.influx_url, run.reader_token_file) as store:
        return sum([len(await store.series(interval)) for interval in ("15m", "1h", "4h", "1d")])


def hosts_are_true(asking: Asking, run: Run) -> None:
    """Disks are as full as the system says, and every program that was started is up."""
    for row in asking.panel("marketdata-hosts", "Disk"):
        there = os.statvfs(row["mountpoint"])
        assert float(row["value"]) == pytest.approx(1 - there.f_bavail / there.f_blocks, abs=0.02)
    up = {row["job"] for row in asking.panel("marketdata-hosts", "Programs") if float(row["value"]) == 1}
    urls = {
        "alertmanager": run.alertmanager_url,
        "blackbox": run.blackbox_url,
        "collector": run.collector_url,
        "gateway": run.gateway_url,
        "grafana": run.grafana_url,
        "influxdb": run.influx_url,
        "node": run.node_url,
        "prometheus": run.prometheus_url,
        "sentinel": run.sentinel_url,
    }
    assert up == {job for job, url in urls.items() if url}


def one_pair_is_stale(asking: Asking) -> None:
    """163 of 164, and Freshness says which."""

    def shown() -> bool:
        return asking.value("marketdata-overview", "Stale pairs") == 1

    eventually(shown, STALE_SECONDS, what="one stale pair")
    assert asking.value("marketdata-overview", "Is everything fresh?") == pytest.approx((PAIRS - 1) / PAIRS)
    stale = asking.panel("marketdata-freshness", "Which pairs were stale, and when?")
    assert {row["pair"] for row in stale} == {SILENCED}
    worst = max(asking.panel("marketdata-freshness", "Worst 50"), key=lambda row: float(row["value"]))
    assert worst["pair"] == SILENCED
    asking.pair = SILENCED
    fresh = {row["channel"]: float(row["value"]) for row in asking.panel("marketdata-pair", "Is it fresh?")}
    assert fresh["mark_price"] == fresh["funding"] == 1


def test_a_query_that_may_be_empty_exists_and_has_a_reason() -> None:
    known = {str(query) for uid in UIDS for query in queries(uid)}
    assert EMPTY_IN_HEALTH.keys() <= known
    assert all(EMPTY_IN_HEALTH.values())
