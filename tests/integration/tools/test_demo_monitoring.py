"""A running demo watches itself: every target answers, every rule works, and what is exported is well formed."""

import json
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from tests.integration.demo_process import demo, live
from tests.support import REQUEST_SECONDS, eventually
from tools.bootstrap import programs
from tools.demo.run import Run

PAIRS = 8
SCRAPED_SECONDS = 60
JOBS = {"collector", "gateway", "sentinel", "influxdb", "prometheus", "alertmanager", "node"}
SERVICES = {"collector", "influxdb", "exchange"}


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=REQUEST_SECONDS) as answer:
        return str(answer.read().decode())


def query(run: Run, expression: str) -> list[dict[str, Any]]:
    text = fetch(f"{run.prometheus_url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
    return list(json.loads(text)["data"]["result"])


def values(run: Run, expression: str, label: str) -> dict[str, float]:
    return {row["metric"][label]: float(row["value"][1]) for row in query(run, expression)}


def rules(run: Run) -> list[dict[str, Any]]:
    groups = json.loads(fetch(f"{run.prometheus_url}/api/v1/rules"))["data"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


def check_metrics(exposition: str) -> str:
    """What promtool has to say about an exposition; nothing if it is clean."""
    promtool = programs.find("promtool")
    assert promtool is not None, "run `make setup`"
    run = subprocess.run([promtool, "check", "metrics"], input=exposition, capture_output=True, text=True, check=False)
    return "" if run.returncode == 0 else run.stdout + run.stderr


def test_a_demo_scrapes_and_probes_all_of_its_parts_and_no_rule_fails(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with demo(folder, DEMO_PAIRS=str(PAIRS)) as process:
        run = live(process, folder)
        printed = folder.with_suffix(".out").read_text(encoding="utf-8")
        for url in (run.prometheus_url, run.alertmanager_url, run.sentinel_url, run.node_url, run.blackbox_url):
            assert url is not None, printed
            assert url in printed

        eventually(
            lambda: {job for job, up in values(run, 'up{host="demo"}', "job").items() if up} >= JOBS | {"blackbox"},
            SCRAPED_SECONDS,
            what="every job answers",
        )
        eventually(
            lambda: values(run, 'probe_success{host="demo"}', "service") == dict.fromkeys(SERVICES, 1.0),
            SCRAPED_SECONDS,
            what="every probe succeeds",
        )
        eventually(
            lambda: all(rule["health"] == "ok" for rule in rules(run)), SCRAPED_SECONDS, what="every rule evaluated"
        )
        assert {"PairStale", "Watchdog", "CandlesLate"} <= {rule["name"] for rule in rules(run)}
        eventually(
            lambda: "Watchdog" in fetch(f"{run.alertmanager_url}/api/v2/alerts"),
            SCRAPED_SECONDS,
            what="Alertmanager has the Watchdog",
        )
        for url in (run.collector_url, run.gateway_url, run.sentinel_url):
            assert check_metrics(fetch(f"{url}/metrics")) == "", url
        stored = (folder / "secrets").glob("*")
        assert all(file.stat().st_mode & 0o077 == 0 for file in stored)
