"""Where there is a Grafana: it answers every query of every dashboard, and no panel shows an error.

Deselected, with one printed line, where there is none (tests/integration/conftest.py).
"""

import base64
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tests.integration.browser import chromium
from tests.integration.demo_process import demo, live
from tests.support import eventually
from tests.support.dashboards import UIDS, Query, all_queries
from tools.demo.run import Run

PAIRS = 8
SOURCES = {"prometheus": "prometheus", "influxdb": "influxdb"}
VARIABLES = {"exchange": "BINANCE_FUTURES", "pair": "BTC/USDT:USDT", "interval": "3m", "host": ".*"}
SCRAPED_SECONDS = 90
ERRORS = ("panel-status-error", "Panel status error", "Panel header error", "An unexpected error happened")
"""How Grafana 11 to 13 mark a panel that failed: a test id, and the text of its status."""

pytestmark = pytest.mark.grafana


def authorization(run: Run) -> dict[str, str]:
    """The administrator's, from the file the demo wrote."""
    assert run.grafana_password_file is not None
    password = Path(run.grafana_password_file).read_text(encoding="ascii").strip()
    return {"Authorization": f"Basic {base64.b64encode(f'admin:{password}'.encode()).decode()}"}


def sent(query: Query) -> dict[str, object]:
    """A panel's query as the browser sends it: dashboard variables are in it, time macros are left to the server."""
    target = {**query.target, "intervalMs": 15_000, "maxDataPoints": 500}
    field = "expr" if query.source == "prometheus" else "query"
    for name, value in VARIABLES.items():
        for written, text in (
            (f"${{{name}:doublequote}}", f'"{value}"'),
            (f"${{{name}:raw}}", value),
            (f"${name}", value),
        ):
            target[field] = str(target[field]).replace(written, text)
    return {**target, "datasource": {"type": query.source, "uid": SOURCES[query.source]}}


def problem(http: httpx.Client, query: Query) -> str:
    """What Grafana says against a query; nothing if it runs."""
    body = {"from": "now-6h", "to": "now", "queries": [sent(query)]}
    answer = http.post("/api/ds/query", json=body)
    if answer.status_code != 200:
        return f"{query}: {answer.status_code} {answer.text[:300]}"
    errors = [result["error"] for result in answer.json()["results"].values() if result.get("error")]
    return f"{query}: {errors}" if errors else ""


@contextmanager
def signed_in(run: Run) -> Iterator[str]:
    """An address that is Grafana's for somebody who is signed in: no password is in a browser's command line."""
    known = authorization(run)

    class Forward(BaseHTTPRequestHandler):
        def _forward(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            kind = {"Content-Type": self.headers["Content-Type"]} if self.headers["Content-Type"] else {}
            answer = httpx.request(
                self.command,
                f"{run.grafana_url}{self.path}",
                content=self.rfile.read(length),
                headers={**known, **kind},
                timeout=60,
                trust_env=False,
            )
            self.send_response(answer.status_code)
            self.send_header("Content-Type", answer.headers.get("Content-Type", "application/octet-stream"))
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = _forward  # noqa: N815 - the names that http.server looks for

        def log_message(self, *_: object) -> None:
            """The browser asks for hundreds of files."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Forward)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def drawn(browser: str, url: str, profile: Path) -> str:
    """A page's document after its panels have had time to draw."""
    command = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1440,3000"]
    command += [f"--user-data-dir={profile}", "--virtual-time-budget=30000", "--dump-dom", url]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def test_grafana_runs_every_query_and_draws_every_panel(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with demo(folder, DEMO_PAIRS=str(PAIRS)) as process:
        run = live(process, folder)
        assert run.grafana_url is not None, folder.with_suffix(".out").read_text(encoding="utf-8")
        with httpx.Client(base_url=run.grafana_url, headers=authorization(run), timeout=60, trust_env=False) as http:
            provisioned = {item["uid"] for item in http.get("/api/search", params={"type": "dash-db"}).json()}
            assert provisioned >= set(UIDS)
            asked = [query for query in all_queries() if query.kind == "panel"]
            eventually(
                lambda: not any(problem(http, query) for query in asked[:3]), SCRAPED_SECONDS, what="Grafana answers"
            )
            assert [found for query in asked if (found := problem(http, query))] == []
        browser = chromium()
        assert browser is not None
        with signed_in(run) as address:
            for uid in UIDS:
                page = drawn(browser, f"{address}/d/{uid}?kiosk", tmp_path / uid)
                assert [mark for mark in ERRORS if mark in page] == [], uid
                assert "panel" in page.lower(), uid
