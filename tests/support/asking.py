"""Asks the queries of the dashboards as Grafana would: expanded by grafana_expansion.py, sent to the servers."""

import csv
import io
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import eventually
from tests.support import grafana_expansion as grafana
from tests.support.dashboards import WIDTH_PIXELS, Query, all_queries, queries

EXCHANGE = "BINANCE_FUTURES"
PAIR = "BTC/USDT:USDT"
SHOWN_MS = 9 * grafana.HOUR_MS
"""Funding settles every 8 h: at any time of the day one settlement is among what is shown."""
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
    "hosts: Units failed": "no unit has failed, and a machine without systemd has none",
}
"""Queries that may have no rows in health, and why."""


@dataclass
class Asking:
    """The two servers, a reader's token, and what the variables of the dashboards are set to."""

    http: httpx.Client
    prometheus_url: str
    influx_url: str
    token_file: Path
    org: str
    host: str
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
                "host": grafana.Variable((self.host,), many=True, all_value=".*"),
            },
            points=query.panel.get("maxDataPoints", width),
            least_ms=max(minimum, 10_000 if query.source == "influxdb" else 15_000),
        )

    def _prometheus(self, route: str, parameters: dict[str, str]) -> Any:
        answer = self.http.post(f"{self.prometheus_url}/api/v1/{route}", data=parameters)
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
        answer = self.http.get(f"{self.prometheus_url}/api/v1/label/{matched[2]}/values", params={"match[]": selector})
        return [{"value": value} for value in answer.json()["data"]]

    def _flux(self, query: Query) -> list[dict[str, Any]]:
        token = self.token_file.read_text(encoding="utf-8").strip()
        body = grafana.flux(query.text, self._shown(query), organization=self.org, default_bucket="market_data")
        answer = self.http.post(
            f"{self.influx_url}/api/v2/query",
            params={"org": self.org},
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


def every_query_answers(asking: Asking, timeout_seconds: float, stir: Callable[[], object]) -> None:
    """Fail unless every query that is not EMPTY_IN_HEALTH has rows in time; `stir` does what some tell of."""
    left = [query for query in all_queries() if str(query) not in EMPTY_IN_HEALTH]

    def all_answered() -> bool:
        stir()
        asking.panel("marketdata-funding", "Pairs with a rate")  # InfluxDB has durations to tell while somebody asks
        left[:] = [query for query in left if not asking.rows(query)]
        return not left

    try:
        eventually(all_answered, timeout_seconds, what="rows for every query")
    except AssertionError:
        pytest.fail(f"no rows: {', '.join(map(str, left))}")
    for query in all_queries():  # the others must be understood at least
        asking.rows(query)
