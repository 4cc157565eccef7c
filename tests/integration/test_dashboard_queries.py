"""Every query of every dashboard is asked of the real Prometheus or InfluxDB of a running demo, and tells the truth.

There is no Grafana in this: tests/grafana_expansion.py does to a query what Grafana does before it sends it.
"""

import asyncio
import csv
import io
import math
import os
import re
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from marketdata.reader import MarketData
from marketdata.stores import Store
from tests import grafana_expansion as grafana
from tests.dashboards import UIDS, WIDTH_PIXELS, Query, all_queries, queries
from tests.integration.demo_process import demo, live
from tests.support import eventually
from tools.demo.run import Run
from tools.demo.store_truth import Store as StoredTruth

PAIRS = 164
EXCHANGE = "BINANCE_FUTURES"
PAIR, SYMBOL = "BTC/USDT:USDT", "BTCUSDT"
SILENCED, SILENCED_SYMBOL = "ETH/USDT:USDT", "ETHUSDT"
SHOWN_MS = 6 * grafana.HOUR_MS
LIVE_SECONDS = 600
"""Filling 164 pairs takes three UTC minutes of the exchange's weight, and a quiet pair may miss two closes in a row."""

ROWS_SECONDS = 240
"""Rates, averages and the sentinel's minute need some scrapes; a candle closes within 180 s."""

STALE_SECONDS = 120
"""A mark price is stale after 60 s; scrapes and rules are 15 s apart each."""

EMPTY_IN_HEALTH = {
    "overview: Firing alerts": "no alert fires",
    "overview: Alerts": "no alert fires",
    "freshness: Alerts": "no alert fires",
    "pair: Alerts": "no alert fires",
    "exchange: Alerts": "no alert fires",
    "pipeline: Alerts": "no alert fires",
    "gateway: Alerts": "no alert fires",
    "hosts: Alerts": "no alert fires",
    "freshness: Which pairs were stale, and when?": "no pair was stale",
    "freshness: Which streams are silent?": "no stream is silent",
    "pair: Gaps": "no candle is missing",
    "pair: Reconnects": "no connection ended",
    "pipeline: Ledger D": "no late candle has touched a window yet",
    "hosts: Units failed": "a machine without systemd has no units",
}
"""Queries that may have no rows in a healthy demo, and why."""


@dataclass
class Asking:
    """Sends expanded queries to the servers of a run, as Grafana would send them."""

    run: Run
    http: httpx.Client
    pair: str = PAIR

    def rows(self, query: Query) -> list[dict[str, Any]]:
        """The rows a query returns now: labels or columns, and `value`; rows without a number are left out."""
        if query.source == "influxdb":
            return self._flux(query)
        if query.kind == "variable":
            return self._label_values(query)
        return self._instant(query) if query.instant else self._over_time(query)

    def value(self, uid: str, title: str) -> float:
        """What a panel of one number shows."""
        (row,) = self.panel(uid, title)
        return float(row["value"])

    def panel(self, uid: str, title: str, ref: str = "A") -> list[dict[str, Any]]:
        """The rows of a panel's query."""
        (query,) = (item for item in queries(uid) if item.title == title and item.target.get("refId") == ref)
        return self.rows(query)

    def _shown(self, query: Query) -> grafana.Shown:
        now_ms = time.time_ns() // 1_000_000
        width = query.panel.get("gridPos", {"w": 24})["w"] * WIDTH_PIXELS // 24
        minimum = {"3m": 3 * grafana.MINUTE_MS}.get(query.panel.get("interval", ""), 0)
        return grafana.Shown(
            now_ms - SHOWN_MS,
            now_ms,
            {
                "exchange": grafana.Variable((EXCHANGE,)),
                "pair": grafana.Variable((self.pair,)),
                "interval": grafana.Variable(("3m",)),
                "host": grafana.Variable(("demo",), many=True, all_value=".*"),
            },
            points=query.panel.get("maxDataPoints", width),
            least_ms=max(minimum, 10_000 if query.source == "influxdb" else 15_000),
        )

    def _prometheus(self, route: str, parameters: dict[str, str]) -> Any:
        answer = self.http.post(f"{self.run.prometheus_url}/api/v1/{route}", data=parameters)
        assert answer.status_code == 200, f"{parameters.get('query')}: {answer.text}"
        return answer.json()["data"]

    def _instant(self, query: Query) -> list[dict[str, Any]]:
        shown = self._shown(query)
        at = {"query": grafana.promql(query.text, shown), "time": f"{shown.end_ms / 1000}"}
        found = self._prometheus("query", at)["result"]
        return [{**item["metric"], "value": item["value"][1]} for item in found if _is_number(item["value"][1])]

    def _over_time(self, query: Query) -> list[dict[str, Any]]:
        shown = self._shown(query)
        step = 60 if query.kind == "annotation" else shown.interval_ms // 1000
        given = {"query": grafana.promql(query.text, shown), "step": str(step)}
        given |= {"start": f"{shown.start_ms / 1000}", "end": f"{shown.end_ms / 1000}"}
        found = self._prometheus("query_range", given)["result"]
        numbers = [(item["metric"], [text for _, text in item["values"] if _is_number(text)]) for item in found]
        return [{**labels, "value": values[-1]} for labels, values in numbers if values]

    def _label_values(self, query: Query) -> list[dict[str, Any]]:
        """label_values(selector, label) is a request of its own."""
        matched = re.fullmatch(r"label_values\((.+), (\w+)\)", query.text)
        assert matched, query.text
        selector = grafana.promql(matched[1], self._shown(query))
        answer = self.http.get(
            f"{self.run.prometheus_url}/api/v1/label/{matched[2]}/values", params={"match[]": selector}
        )
        return [{"value": value} for value in answer.json()["data"]]

    def _flux(self, query: Query) -> list[dict[str, Any]]:
        token = Path(self.run.reader_token_file).read_text(encoding="utf-8").strip()
        body = grafana.flux(query.text, self._shown(query), organization=self.run.org, default_bucket="market_data")
        answer = self.http.post(
            f"{self.run.influx_url}/api/v2/query",
            params={"org": self.run.org},
            headers={"Authorization": f"Token {token}", "Accept": "application/csv"},
            json={"query": body, "dialect": {"annotations": [], "header": True}},
        )
        assert answer.status_code == 200, f"{body}: {answer.text}"
        found: list[dict[str, Any]] = []
        for table in answer.text.replace("\r\n", "\n").split("\n\n"):
            found += list(csv.DictReader(io.StringIO(table)))
        return found


def _is_number(text: str) -> bool:
    return math.isfinite(float(text))


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Asking, httpx.Client]]:
    """A live demo with every pair: who asks it, and its exchange's control API."""
    folder = tmp_path / "demo"
    with demo(folder, DEMO_PAIRS=str(PAIRS)) as process, httpx.Client(timeout=30, trust_env=False) as http:
        run = live(process, folder, LIVE_SECONDS)
        assert run.ca_file is not None
        trusted = ssl.create_default_context(cafile=run.ca_file)
        with httpx.Client(base_url=f"{run.rest_url}/_control", verify=trusted, trust_env=False) as control:
            yield Asking(run, http), control


def test_every_query_of_every_dashboard_returns_rows_and_the_truth(
    running: tuple[Asking, httpx.Client],
) -> None:
    """One running demo for all of it: it takes a minute and two gigabytes to start one with 164 pairs."""
    asking, control = running
    left = [query for query in all_queries() if str(query) not in EMPTY_IN_HEALTH]

    def all_answered() -> bool:
        asking.panel("marketdata-funding", "Pairs with a rate")  # InfluxDB has durations to tell while somebody asks
        for route in ("klines?interval=3m&", "depth?"):  # and the gateway, too
            asking.http.get(f"{asking.run.gateway_url}/fapi/v1/{route}symbol={SYMBOL}").raise_for_status()
        left[:] = [query for query in left if not asking.rows(query)]
        return not left

    try:
        eventually(all_answered, ROWS_SECONDS, what="rows for every query")
    except AssertionError:
        pytest.fail(f"no rows: {', '.join(map(str, left))}")
    for query in all_queries():  # the others must be understood at least
        asking.rows(query)

    overview_is_true(asking)
    pair_is_true(asking)
    funding_is_true(asking)
    exchange_is_true(asking, control)
    pipeline_is_true(asking)
    gateway_is_true(asking)
    hosts_are_true(asking)

    for kind in ("silent_symbol", "rest_frozen"):
        control.post("/faults", json={"kind": kind, "symbol": SILENCED_SYMBOL}).raise_for_status()
    one_pair_is_stale(asking)


def overview_is_true(asking: Asking) -> None:
    """All pairs are fresh, and the demo's one collector watches them."""
    assert asking.value("marketdata-overview", "Is everything fresh?") == 1
    assert asking.value("marketdata-overview", "Stale pairs") == 0
    (pairs,) = asking.panel("marketdata-overview", "Collectors", "B")
    assert float(pairs["value"]) == PAIRS


def pair_is_true(asking: Asking) -> None:
    """The last close is the reader's, and every candle drawn is one that can be."""
    with MarketData(Store(asking.run.influx_url, token_file=asking.run.reader_token_file)) as reader:

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


def funding_is_true(asking: Asking) -> None:
    """A row for each pair, equal to what the reader says."""
    with MarketData(Store(asking.run.influx_url, token_file=asking.run.reader_token_file)) as reader:

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
        lambda: len(asking.panel("marketdata-funding", "Rates of all pairs", "B")) == PAIRS,
        ROWS_SECONDS,
        what="a settled rate of every pair",
    )


def exchange_is_true(asking: Asking, control: httpx.Client) -> None:
    """As many connections are open as the exchange itself has, and every frame is used, filtered or invalid."""

    def as_many() -> bool:
        """Scrapes are 15 s apart."""
        there = len(control.get("/state").json()["connections"])
        return sum(float(row["value"]) for row in asking.panel("marketdata-exchange", "Connections")) == there

    eventually(as_many, 30, what="the connections that the exchange has")
    per_second = [
        sum(float(row["value"]) for row in asking.panel("marketdata-exchange", "What becomes of the frames?", ref))
        for ref in "ABC"
    ]
    received = sum(float(row["value"]) for row in asking.panel("marketdata-exchange", "Frames a second"))
    assert sum(per_second) == pytest.approx(received, rel=0.2)


def pipeline_is_true(asking: Asking) -> None:
    """The buckets go by their names, and the roll-ups hold as many series as the store lists: four a pair.

    But for the newcomer of the simulator, which was listed hours ago: it has no window of a day yet.
    """
    rolled = asyncio.run(rollup_series(asking.run))
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


def gateway_is_true(asking: Asking) -> None:
    """It is ready with every pair, refuses nothing, and what it was asked for cost the exchange next to nothing."""
    assert asking.value("marketdata-gateway", "Are all ready?") == 1
    assert asking.value("marketdata-gateway", "Refused") == 0
    assert asking.value("marketdata-gateway", "Requests a second") > 0
    (pairs,) = asking.panel("marketdata-gateway", "Pairs in memory, and behind")
    assert float(pairs["value"]) == PAIRS


def hosts_are_true(asking: Asking) -> None:
    """Disks are as full as the system says, and every program that was started is up."""
    for row in asking.panel("marketdata-hosts", "Disk"):
        there = os.statvfs(row["mountpoint"])
        assert float(row["value"]) == pytest.approx(1 - there.f_bavail / there.f_blocks, abs=0.02)
    up = {row["job"] for row in asking.panel("marketdata-hosts", "Programs") if float(row["value"]) == 1}
    urls = {
        "alertmanager": asking.run.alertmanager_url,
        "blackbox": asking.run.blackbox_url,
        "collector": asking.run.collector_url,
        "gateway": asking.run.gateway_url,
        "grafana": asking.run.grafana_url,
        "influxdb": asking.run.influx_url,
        "node": asking.run.node_url,
        "prometheus": asking.run.prometheus_url,
        "sentinel": asking.run.sentinel_url,
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
