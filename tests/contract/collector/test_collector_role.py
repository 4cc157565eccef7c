"""The collector accepts the configuration that the role `collector` renders."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from collector.config import Config, load
from tests.support.rendered import rendered as role_rendered

STORE = {"name": "main", "url": "http://192.0.2.1:8086"}


def rendered(folder: Path, template: str, **variables: Any) -> Path:
    """Render a template of the role, with one store."""
    return role_rendered(folder, "collector", template, {"collector_stores": [STORE], **variables})


def configuration(folder: Path, monkeypatch: pytest.MonkeyPatch, **variables: Any) -> Config:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/marketdata-collector.service")
    return load(rendered(folder, "collector.toml.j2", **variables))


def test_the_defaults_render_a_valid_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configuration(tmp_path, monkeypatch, collector_name="feeder-1")
    assert config.collector.name == "feeder-1"
    assert config.exchange.ca_file is None
    assert [store.url for store in config.store] == ["http://192.0.2.1:8086"]
    credentials = Path("/run/credentials/marketdata-collector.service")
    assert config.store[0].ingest_token_file == credentials / "ingest-main.token"
    assert config.store[0].repair_token_file == credentials / "repair-main.token"


def test_every_section_is_rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configuration(
        tmp_path,
        monkeypatch,
        collector_name="feeder-1",
        collector_exchange={
            "include": ["1000*", "币安人生/*"],
            "weight_share_percent": 20,
            "include_index": True,
        },
        collector_exchange_ca="a certificate",
        collector_fill={"hours": 4},
        collector_ledger={"start": "2026-01-01"},
        collector_funding={"history_days": 2},
        collector_spool={"max_files": 1000},
        collector_stores=[STORE, {**STORE, "name": "second", "org": "ours"}],
    )
    assert config.exchange.include == ["1000*", "币安人生/*"]
    assert (config.exchange.weight_share_percent, config.exchange.include_index) == (20, True)
    assert config.exchange.ca_file == Path("/etc/marketdata-collector/exchange-ca.pem")
    assert (config.fill.hours, config.funding.history_days, config.spool.max_files) == (4, 2, 1000)
    assert config.ledger.start_ms == datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000
    assert [(store.name, store.org) for store in config.store] == [("main", "marketdata"), ("second", "ours")]


def test_the_unit_passes_on_each_stores_tokens_and_does_not_restart_on_a_bad_configuration(tmp_path: Path) -> None:
    lines = rendered(
        tmp_path,
        "marketdata-collector.service.j2",
        collector_name="x",
        collector_stores=[STORE, {**STORE, "name": "b"}],
    ).read_text(encoding="utf-8")
    folder = "/etc/marketdata-collector/credentials"
    loaded = [line for line in lines.splitlines() if line.startswith("LoadCredential=")]
    assert loaded == [
        f"LoadCredential={kind}-{store}.token:{folder}/{kind}-{store}.token"
        for kind in ("ingest", "repair")
        for store in ("main", "b")
    ]
    assert "\nType=notify\n" in lines
    assert "\nRestartPreventExitStatus=2\n" in lines
