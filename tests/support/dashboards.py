"""The committed dashboards as the tests read them: every query in them, with where it stands."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent.parent / "grafana" / "dashboards"
UIDS = tuple(
    f"marketdata-{name}"
    for name in ("overview", "freshness", "pair", "funding", "exchange", "pipeline", "gateway", "hosts")
)
WIDTH_PIXELS = 1_440
"""Of the laptop screen that the dashboards are made for."""


@dataclass(frozen=True)
class Query:
    """A query and its place; `kind` is panel, variable or annotation."""

    uid: str
    kind: str
    title: str
    source: str
    text: str
    instant: bool = False
    target: dict[str, Any] = field(default_factory=dict, compare=False)
    panel: dict[str, Any] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        ref = self.target.get("refId", "")
        return (
            f"{self.uid.removeprefix('marketdata-')}: {self.title}{f' {ref}' if ref not in ('', 'A', 'Anno') else ''}"
        )


@cache
def dashboard(uid: str) -> dict[str, Any]:
    """A committed dashboard."""
    document: dict[str, Any] = json.loads((FOLDER / f"{uid}.json").read_text(encoding="utf-8"))
    return document


def panels(uid: str) -> list[dict[str, Any]]:
    """Its panels, headings of rows left out."""
    return [panel for panel in dashboard(uid)["panels"] if panel["type"] != "row"]


def variables(uid: str) -> list[dict[str, Any]]:
    """Its variables."""
    found: list[dict[str, Any]] = dashboard(uid)["templating"]["list"]
    return found


def annotations(uid: str) -> list[dict[str, Any]]:
    """Its annotations."""
    found: list[dict[str, Any]] = dashboard(uid)["annotations"].get("list", [])
    return found


def queries(uid: str) -> Iterator[Query]:
    """Every query of a dashboard."""
    for panel in panels(uid):
        for target in panel["targets"]:
            yield _query(uid, "panel", panel["title"], target, panel)
    for variable in variables(uid):
        if variable["type"] == "query":
            target = {"expr": variable["query"]["query"], "datasource": variable["datasource"]}
            yield _query(uid, "variable", variable["name"], target)
    for annotation in annotations(uid):
        target = annotation.get("target") or {"expr": annotation["expr"], "datasource": annotation["datasource"]}
        yield _query(uid, "annotation", annotation["name"], target)


def all_queries() -> list[Query]:
    """Every query of every dashboard."""
    return [query for uid in UIDS for query in queries(uid)]


def _query(uid: str, kind: str, title: str, target: dict[str, Any], panel: dict[str, Any] | None = None) -> Query:
    return Query(
        uid,
        kind,
        title,
        target["datasource"]["type"],
        target.get("expr") or target["query"],
        bool(target.get("instant")),
        target,
        panel or {},
    )
