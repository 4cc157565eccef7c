"""docs/metrics.md has the tables that the code generates, and every exposition can be scraped."""

import re

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest

from collector.observe.metrics import Histograms
from tools.generate.metrics_docs import HEADER, PAGE, PageError, rendered, sections, table

ROW = re.compile(r"^\| `(marketdata_\w+)` \| (\w+) \| ([^|]*) \| ([^|]+) \|$", re.MULTILINE)


async def test_the_page_matches_the_code() -> None:
    page = PAGE.read_text(encoding="utf-8")
    tables = {title: table(families) for title, families in (await sections()).items()}
    assert page == rendered(page, tables), "run python -m tools.generate.metrics_docs"


async def test_every_metric_is_listed_once_with_type_labels_and_meaning() -> None:
    exported = [
        f"{family.name}_total" if family.type == "counter" else family.name
        for families in (await sections()).values()
        for family in families
    ]
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))
    assert [name for name, *_ in rows] == exported
    assert len(set(exported)) == len(exported)
    assert {kind for _, kind, _, _ in rows} == {"counter", "gauge", "histogram"}


def test_no_series_carries_a_creation_time() -> None:
    registry = CollectorRegistry()
    Histograms(registry, "BINANCE_FUTURES")
    assert "_created" not in generate_latest(registry).decode()


def test_handwritten_text_stays_and_a_table_is_replaced_completely() -> None:
    page = "\n".join(["# Metrics", "by hand", "## A", "", *HEADER, "| old |", "| older |", "", "by hand, too", ""])
    new = [*HEADER, "| new |"]
    assert rendered(page, {"A": new}) == "\n".join(["# Metrics", "by hand", "## A", "", *new, "", "by hand, too", ""])


def test_a_table_without_a_place_and_a_place_without_a_table_are_named() -> None:
    with pytest.raises(PageError, match="under the heading 'B'"):
        rendered("# Metrics\n", {"B": HEADER})
    with pytest.raises(PageError, match="no metrics for a table under 'C'"):
        rendered("\n".join(["## C", *HEADER]), {})


def test_a_metric_without_a_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="marketdata_unseen has no sample"):
        table([GaugeMetricFamily("marketdata_unseen", "Never seen", labels=["store"])])
