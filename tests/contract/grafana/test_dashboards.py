"""The committed dashboards: what Grafana's dashboard-linter asks of a dashboard, and what we ask beyond that.

The rules are those of https://github.com/grafana/dashboard-linter, written again; it judges Prometheus dashboards with
the labels job and instance as variables. Ours know the jobs by name and choose hosts: see the two rules below.
"""

import json
import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana import queries
from tests.support import grafana_expansion as expansion
from tests.support.dashboards import FOLDER, UIDS, Query, all_queries, annotations, dashboard, panels, variables
from tests.support.rules import rules

ROOT = Path(__file__).resolve().parents[3]
UNITS = {value for name, value in vars(units).items() if isinstance(value, str) and name[0].isupper()}
SHOWN = expansion.Shown(
    1_790_000_000_000,
    1_790_021_600_000,
    {
        "exchange": expansion.Variable(("BINANCE_FUTURES",)),
        "pair": expansion.Variable(("BTC/USDT:USDT",)),
        "interval": expansion.Variable(("3m",)),
        "host": expansion.Variable(("a",), many=True, all_value=".*"),
    },
)
QUERIES = all_queries()
PROMQL = [query for query in QUERIES if query.source == "prometheus" and query.kind != "variable"]
FLUX = [query for query in QUERIES if query.source == "influxdb"]
GAUGES_NAMED_TOTAL: set[str] = set()
every_dashboard = pytest.mark.parametrize("uid", UIDS)


def selectors(text: str) -> list[promql_parser.VectorSelector]:
    """The selectors of an expanded PromQL query."""
    found: list[promql_parser.VectorSelector] = []
    promql_parser.walk(promql_parser.parse(text), lambda node: _collect(node, found))
    return found


def _collect(node: Any, found: list[promql_parser.VectorSelector]) -> bool:
    if isinstance(node, promql_parser.VectorSelector):
        found.append(node)
    elif isinstance(node, promql_parser.MatrixSelector):
        found.append(node.vector_selector)
    return True


def test_the_committed_dashboards_are_what_the_source_says() -> None:
    command = [sys.executable, "-m", "grafana", "--check"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_there_are_the_eight_dashboards_and_no_other() -> None:
    assert sorted(file.stem for file in FOLDER.glob("*.json")) == sorted(UIDS)


@every_dashboard
def test_a_dashboard_is_portable_and_not_to_be_edited(uid: str) -> None:
    document = dashboard(uid)
    assert document["uid"] == uid
    assert re.fullmatch(r"[a-z0-9-]{1,40}", uid)
    assert document["schemaVersion"] in (41, 42)
    assert not {"id", "version", "iteration", "__inputs"} & document.keys()
    assert document["editable"] is False
    assert (document["time"], document["refresh"]) == ({"from": "now-6h", "to": "now"}, "30s")
    assert document["tags"] == ["marketdata"]
    assert document["description"]


def test_titles_are_unique() -> None:
    titles = [dashboard(uid)["title"] for uid in UIDS]
    assert len(set(titles)) == len(titles)


@every_dashboard
def test_the_sdk_reads_a_dashboard_back(uid: str) -> None:
    assert Dashboard.from_json(json.loads(json.dumps(dashboard(uid)))).uid == uid


@every_dashboard
def test_every_data_source_is_a_variable_that_the_dashboard_has(uid: str) -> None:
    """template-datasource, panel-datasource."""
    labels = {"prometheus": "Prometheus data source", "influxdb": "InfluxDB data source"}
    sources = {item["name"]: item for item in variables(uid) if item["type"] == "datasource"}
    for name, item in sources.items():
        assert name == f"{item['query']}_datasource"
        assert item["label"] == labels[item["query"]]
    used = set(re.findall(r'"uid": "([^"]*datasource[^"]*)"', json.dumps(dashboard(uid))))
    assert used == {f"${{{name}}}" for name in sources}
    named = [item["datasource"] for item in [*panels(uid), *annotations(uid)]]
    named += [target["datasource"] for panel in panels(uid) for target in panel["targets"]]
    assert all(source["uid"] == f"${{{source['type']}_datasource}}" for source in named)
    for panel in panels(uid):
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {panel["datasource"]["uid"]}


@every_dashboard
def test_variables_follow_the_time_and_offer_all_hosts(uid: str) -> None:
    """template-on-time-change-reload, template-instance."""
    for item in variables(uid):
        if item["type"] != "query":
            continue
        assert item["refresh"] == 2
        assert item["label"]
        if item["name"] == "host":
            # Unlike the linter's .+, it shows targets that have no such label, too.
            assert (item["multi"], item["includeAll"], item["allValue"]) == (True, True, ".*")


@every_dashboard
def test_every_variable_is_used_and_every_used_one_exists(uid: str) -> None:
    text = json.dumps(dashboard(uid))
    names = {item["name"] for item in variables(uid)}
    used = set(re.findall(r"\$\{?(\w+)", text)) | set(re.findall(r"\[\[(\w+)", text))
    builtin = {name for name in used if name.startswith("__")}
    assert used - builtin <= names
    assert names - {"exchange"} <= used


@every_dashboard
def test_every_panel_says_what_it_shows(uid: str) -> None:
    """panel-title-description, panel-no-targets."""
    titles = [panel["title"] for panel in panels(uid)]
    assert len(set(titles)) == len(titles)
    for panel in panels(uid):
        assert panel["title"], panel["id"]
        assert len(panel["description"]) >= 10, panel["title"]
        assert panel["targets"], panel["title"]
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs), panel["title"]


@every_dashboard
def test_every_panel_has_a_unit_that_grafana_knows(uid: str) -> None:
    """panel-units."""
    for panel in panels(uid):
        config = panel["fieldConfig"]
        assert config["defaults"]["unit"] in UNITS, panel["title"]
        changed = [item for rule in config["overrides"] for item in rule["properties"] if item["id"] == "unit"]
        assert all(item["value"] in UNITS for item in changed), panel["title"]


@every_dashboard
def test_panels_fill_the_grid_without_a_hole_or_an_overlap(uid: str) -> None:
    places = {panel["id"]: panel["gridPos"] for panel in dashboard(uid)["panels"]}
    assert list(places) == list(range(1, len(places) + 1))
    for (one, a), (other, b) in combinations(places.items(), 2):
        apart = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        assert apart or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"], f"panels {one} and {other} overlap"
    assert all(place["x"] >= 0 and place["x"] + place["w"] <= 24 for place in places.values())
    bottom = max(place["y"] + place["h"] for place in places.values())
    assert sum(place["w"] * place["h"] for place in places.values()) == 24 * bottom


def test_the_overview_fits_a_laptop_screen() -> None:
    """1440 x 900 leaves about 20 rows of 38 pixels below Grafana's own bars."""
    assert max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels("marketdata-overview")) <= 20


@pytest.mark.parametrize("query", PROMQL, ids=str)
def test_every_promql_query_parses(query: Query) -> None:
    """target-promql."""
    assert "$" not in expansion.promql(query.text, SHOWN)
    promql_parser.parse(expansion.promql(query.text, SHOWN))


@pytest.mark.parametrize("query", PROMQL, ids=str)
def test_rates_take_the_range_that_fits_the_screen_or_a_fixed_one_of_minutes(query: Query) -> None:
    """target-rate-interval: in graphs, and never a range below four scrapes."""
    for function, window in re.findall(r"\b(rate|irate|increase)\((?:[^\[\]]*)\[([^\]]+)\]", query.text):
        fixed = re.fullmatch(r"(\d+)(m|h|d)", window)
        assert window == "$__rate_interval" or (fixed and function != "irate"), window
        if query.instant:
            assert window != "$__rate_interval", "an instant query would judge a minute only"


@pytest.mark.parametrize("query", PROMQL, ids=str)
def test_counters_are_shown_as_rates(query: Query) -> None:
    """target-counter-agg."""
    text = expansion.promql(query.text, SHOWN)
    rated = re.findall(r"(?:rate|increase)\((\w+)", text)
    counters = [item.name for item in selectors(text) if item.name and item.name.endswith("_total")]
    assert sorted(set(counters) - set(rated) - GAUGES_NAMED_TOTAL) == []


@pytest.mark.parametrize("query", PROMQL, ids=str)
def test_what_many_programs_export_is_chosen_by_job(query: Query) -> None:
    """target-job: our own metrics and recording rules have one source, and no job survives in a rule."""
    for item in selectors(expansion.promql(query.text, SHOWN)):
        name = item.name or ""
        if name.startswith("marketdata_") or ":" in name or name == "ALERTS":
            continue
        matched = {matcher.name for matcher in item.matchers.matchers}
        assert matched & {"job", "host"}, item


@pytest.mark.parametrize("query", FLUX, ids=str)
def test_every_variable_in_flux_says_how_it_is_written(query: Query) -> None:
    """Without a format Grafana escapes a value for a regular expression where it believes to see one: a/b/c."""
    assert re.findall(r"\$\w+|\$\{\w+\}", query.text) == []
    assert "$" not in expansion.flux(query.text, SHOWN)


@pytest.mark.parametrize("query", FLUX, ids=str)
def test_every_flux_query_has_a_bounded_time(query: Query) -> None:
    assert query.text.count("from(bucket:") == query.text.count("|> range(start: ")


def links() -> list[str]:
    """Every link in every dashboard."""
    found: list[str] = []

    def collect(value: object) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("url"), str):
                found.append(value["url"])
            for item in value.values():
                collect(item)
        elif isinstance(value, list):
            for item in value:
                collect(item)

    for uid in UIDS:
        collect(dashboard(uid))
    return found


def test_every_link_leads_to_a_dashboard_and_keeps_the_time() -> None:
    inside = [url for url in links() if url.startswith("/")]
    assert inside
    for url in inside:
        target, _, query = url.removeprefix("/d/").partition("?")
        assert target in UIDS
        assert "${__url_time_range}" in query
        names = set(re.findall(r"var-(\w+)=|\$\{(\w+):queryparam\}", query))
        assert {a or b for a, b in names} <= {item["name"] for item in variables(target)}


def test_every_annotation_of_alerts_names_alerts_that_exist() -> None:
    known = {rule["alert"] for rule in rules() if "alert" in rule}
    for uid in UIDS:
        for annotation in annotations(uid):
            for pattern in re.findall(r'alertname=~"([^"]+)"', annotation.get("expr", "")):
                for part in pattern.split("|"):
                    assert [name for name in known if re.fullmatch(part, name)], f"{uid}: {part}"


@pytest.mark.parametrize(
    ("record", "number"),
    [
        ("exchange_pair_channel:marketdata_stale:bool", queries.CANDLE_AGE_LIMIT_SECONDS),
        ("exchange_pair_channel:marketdata_stale:bool", queries.MESSAGE_AGE_LIMIT_SECONDS),
        ("store_exchange:marketdata_candles_on_time:sum", queries.STORED_AGE_LIMIT_SECONDS),
        ("store_exchange_interval:marketdata_rollups_on_time:sum", queries.WINDOW_GRACE_SECONDS),
    ],
)
def test_the_dashboards_know_the_limits_of_the_rules(record: str, number: int) -> None:
    (rule,) = (rule for rule in rules() if rule.get("record") == record)
    assert str(number) in re.findall(r"(?<![\w.])\d+(?![\w.])", rule["expr"])


@every_dashboard
def test_the_dashboards_link_each_other(uid: str) -> None:
    link = dashboard(uid)["links"][0]
    assert (link["type"], link["tags"], link["includeVars"], link["keepTime"]) == (
        "dashboards",
        ["marketdata"],
        True,
        True,
    )


@every_dashboard
def test_a_candlestick_is_one_frame_with_all_its_fields(uid: str) -> None:
    for panel in panels(uid):
        if panel["type"] == "candlestick":
            assert len(panel["targets"]) == 1
            fields = panel["options"]["fields"]
            assert fields == {name: name for name in ("open", "high", "low", "close", "volume")}
            assert all(f"{name}:" in panel["targets"][0]["query"] for name in fields)
