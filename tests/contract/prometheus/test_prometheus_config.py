"""The scrape configuration is a plain file that Prometheus takes as it is; only the targets' files are written."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.bootstrap import programs
from tools.demo.configs import Target, blackbox_targets, blackbox_yml, target_files
from tools.demo.monitoring import SHIPPED, prometheus_folder

JOBS = ("collector", "gateway", "sentinel", "influxdb", "prometheus", "alertmanager", "node", "grafana", "blackbox")


@pytest.fixture
def config() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((SHIPPED / "prometheus.yml").read_text(encoding="utf-8"))
    return loaded


def found(name: str) -> str:
    path = programs.find(name)
    assert path is not None, "run `make setup`"
    return str(path)


def targets() -> dict[str, list[Target]]:
    one: dict[str, list[Target]] = {job: [(f"127.0.0.1:{9000 + i}", {})] for i, job in enumerate(JOBS)}
    urls = {"influx_url": "http://127.0.0.1:8086", "rest_url": "https://fapi.binance.com"}
    return one | {"blackbox": blackbox_targets("127.0.0.1:9115", collector_urls=["http://127.0.0.1:9108"], **urls)}


def test_each_job_reads_the_file_of_its_name(config: dict[str, Any]) -> None:
    files = {job["job_name"]: job["file_sd_configs"] for job in config["scrape_configs"]}
    assert files == {job: [{"files": [f"targets/{job}.yml"]}] for job in JOBS}


def test_every_target_has_its_host_and_no_label_that_a_rule_makes(config: dict[str, Any]) -> None:
    written = target_files(targets(), "feeder-1")
    assert set(written) == {f"{job}.yml" for job in JOBS}
    for text in written.values():
        for group in json.loads(text):
            assert group["labels"]["host"] == "feeder-1"
            assert not {"job", "instance"} & set(group["labels"])


def test_promtool_finds_nothing_to_say_about_the_shipped_folder_with_targets(tmp_path: Path) -> None:
    path = prometheus_folder(tmp_path / "prometheus", targets())
    run = subprocess.run(
        [found("promtool"), "check", "config", "--lint-fatal", str(path)], capture_output=True, text=True, check=False
    )
    said = run.stdout + run.stderr
    assert run.returncode == 0, said
    assert "WARNING" not in said


@pytest.mark.parametrize("ca_file", [None, "/somewhere/ca.pem"])
def test_the_probes_are_those_of_the_targets_and_blackbox_exporter_accepts_them(
    tmp_path: Path, ca_file: str | None
) -> None:
    shipped = (SHIPPED / "blackbox.yml").read_text(encoding="utf-8")
    path = tmp_path / "blackbox.yml"
    path.write_text(blackbox_yml(shipped, ca_file), encoding="utf-8")
    modules = yaml.safe_load(path.read_text(encoding="utf-8"))["modules"]
    # https_2xx is for hosts whose InfluxDB and Grafana speak TLS.
    assert {labels["__param_module"] for _, labels in targets()["blackbox"]} == set(modules) - {"https_2xx"}
    assert modules["exchange_ping"]["http"].get("tls_config") == ({"ca_file": ca_file} if ca_file else None)
    check = [found("blackbox_exporter"), f"--config.file={path}", "--config.check"]
    run = subprocess.run(check, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
