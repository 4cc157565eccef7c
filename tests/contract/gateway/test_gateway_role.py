"""The gateway reads the configuration that the role gateway renders."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.config import Config, load
from tests.support.rendered import ANSIBLE
from tests.support.rendered import rendered as role_rendered

STORE = {"name": "main", "url": "http://192.0.2.1:8086", "token_server": "store1"}


def rendered(folder: Path, template: str, **variables: Any) -> Path:
    """A template of the role, rendered with one store."""
    return role_rendered(folder, "gateway", template, {"gateway_stores": [STORE], **variables})


def configuration(folder: Path, monkeypatch: pytest.MonkeyPatch, **variables: Any) -> Config:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/marketdata-gateway.service")
    return load(rendered(folder, "gateway.toml.j2", **variables))


def test_the_defaults_are_a_configuration_for_bots_on_the_same_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configuration(tmp_path, monkeypatch, gateway_name="feeder-1")
    assert (config.gateway.name, config.gateway.listen) == ("feeder-1", "127.0.0.1:8090")
    assert config.gateway.state_dir == Path("/var/lib/marketdata-gateway")
    assert (config.exchange.rest_url, config.exchange.ca_file) == ("https://fapi.binance.com", None)
    (store,) = config.store
    assert store.reader_token_file == Path("/run/credentials/marketdata-gateway.service/reader-main.token")


def test_every_section_is_rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collectors = [{"name": f"feed{n}", "url": f"http://192.0.2.2{n}:9108"} for n in (1, 2)]
    config = configuration(
        tmp_path,
        monkeypatch,
        gateway_name="feeder-1",
        gateway_allow=["127.0.0.0/8", "fd00::/8"],
        gateway_refuse_intervals=["1m"],
        gateway_exchange={"rest_url": "https://192.0.2.51:9443", "weight_share_percent": 10},
        gateway_exchange_ca="a certificate",
        gateway_collectors=collectors,
        gateway_stores=[STORE, {**STORE, "name": "second", "org": "ours"}],
    )
    assert (config.gateway.allow, config.gateway.refuse_intervals) == (["127.0.0.0/8", "fd00::/8"], ["1m"])
    assert (config.exchange.rest_url, config.exchange.weight_share_percent) == ("https://192.0.2.51:9443", 10)
    assert config.exchange.ca_file == Path("/etc/marketdata-gateway/exchange-ca.pem")
    assert [collector.model_dump() for collector in config.collector] == collectors
    assert [(store.name, store.org) for store in config.store] == [("main", "marketdata"), ("second", "ours")]


def test_the_unit_hands_over_each_stores_token_and_does_not_restart_on_a_bad_configuration(tmp_path: Path) -> None:
    stores = [STORE, {**STORE, "name": "b"}]
    lines = rendered(tmp_path, "marketdata-gateway.service.j2", gateway_name="x", gateway_stores=stores).read_text(
        encoding="utf-8"
    )
    folder = "/etc/marketdata-gateway/credentials"
    loaded = [line for line in lines.splitlines() if line.startswith("LoadCredential=")]
    assert loaded == [f"LoadCredential=reader-{name}.token:{folder}/reader-{name}.token" for name in ("main", "b")]
    assert "\nType=notify\n" in lines
    assert "\nRestartPreventExitStatus=2\n" in lines


def test_the_lab_gives_each_gateway_its_collectors_stores_and_a_token_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "exchange-ca.pem").write_text("a certificate\n", encoding="utf-8")
    names = ["gateway_collectors", "gateway_stores", "gateway_token_name", "gateway_allow", "base_firewall_rules"]
    command = [
        str(Path(sys.executable).parent / "ansible"),
        "feeder1",
        "-i",
        "inventories/lab",
        "--connection",
        "local",
    ]
    command += [
        "-e",
        f"ansible_python_interpreter={sys.executable}",
        "-e",
        f"simulator_ca_file={tmp_path}/exchange-ca.pem",
    ]
    command += ["-m", "ansible.builtin.copy", "-a"]
    content = f"{{{{ dict({names!r} | zip([{', '.join(names)}])) | to_json }}}}"
    command += [json.dumps({"dest": str(tmp_path / "seen.json"), "content": content})]
    environment = {**os.environ, "ANSIBLE_LOCAL_TEMP": str(tmp_path), "ANSIBLE_HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=ANSIBLE, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads((tmp_path / "seen.json").read_text(encoding="utf-8"))
    assert [collector["name"] for collector in seen["gateway_collectors"]] == ["collector1", "collector2"]
    assert seen["gateway_collectors"][0]["url"].endswith(":9108")
    assert [store["token_server"] for store in seen["gateway_stores"]] == ["influx1"]
    assert seen["gateway_token_name"] == "reader-gateway-feeder1"
    assert seen["gateway_allow"] == ["127.0.0.0/8"]
    rules = {rule["name"]: len(rule["sources"]) for rule in seen["base_firewall_rules"]}
    assert rules == {"gateway": 1, "node exporter": 1}
