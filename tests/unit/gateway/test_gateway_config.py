"""The gateway's configuration: wrong input is one line that names file, key, value and what is allowed."""

import re
from ipaddress import ip_network
from pathlib import Path

import pytest

from gateway.__main__ import main
from gateway.config import CollectorSection, ExchangeSection, GatewaySection, StoreSection, load
from service.config_file import ConfigError

EXAMPLE = Path(__file__).parents[3] / "docs" / "gateway.example.toml"
GOOD = """
[gateway]
name = "gateway-1"
state_dir = "/var/lib/marketdata-gateway"

[[store]]
name = "main"
url = "http://127.0.0.1:8086/"
reader_token_file = "/etc/marketdata/reader"
"""
COLLECTOR = '[[collector]]\nname = "collector-1"\nurl = "http://127.0.0.1:9108"\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "gateway.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_minimal_file_gets_the_documented_defaults(tmp_path: Path) -> None:
    config = load(write(tmp_path, GOOD))
    assert (config.gateway.listen_host, config.gateway.listen_port) == ("127.0.0.1", 8090)
    assert (config.gateway.networks, config.gateway.refuse_intervals, config.collector) == ([], [], [])
    assert config.exchange.weight_share_percent == 20
    assert config.store[0].url == "http://127.0.0.1:8086"


def test_networks_and_intervals_are_read(tmp_path: Path) -> None:
    own = 'allow = ["10.0.0.0/24", "::1/128"]\nrefuse_intervals = ["1m"]\n\n[[store]]'
    config = load(write(tmp_path, GOOD.replace("[[store]]", own)))
    assert config.gateway.networks == [ip_network("10.0.0.0/24"), ip_network("::1/128")]
    assert config.gateway.refuse_intervals == ["1m"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD + "retries = 3\n", "store.0.retries: unknown key"),
        (GOOD + COLLECTOR * 2, "collector.name: every collector needs a name of its own"),
        (GOOD + GOOD[GOOD.index("[[store]]") :], "store.name: every store needs a name of its own"),
        (GOOD.replace("[[store]]", 'allow = ["10.0.0.1/24"]\n[[store]]'), "gateway.allow"),
        (GOOD.replace("[[store]]", 'refuse_intervals = ["4m"]\n[[store]]'), "'4m' is none of 1m 3m 5m"),
        (GOOD + "[exchange]\nweight_share_percent = 0\n", "exchange.weight_share_percent = 0"),
        (GOOD[: GOOD.index("[[store]]")], "store: is missing"),
        ("[gateway\n", "is not TOML"),
    ],
)
def test_a_wrong_file_is_reported_in_one_line_with_exit_code_2(
    tmp_path: Path, text: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=re.escape(expected)):
        load(path)
    for command in ("run", "check"):
        assert main([command, "--config", str(path)]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"gateway: {path}: ")
        assert error.count("\n") == 1


def test_a_missing_token_is_reported_before_any_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, GOOD.replace("/etc/marketdata/reader", str(tmp_path / "none")))
    for arguments in (["run"], ["check"], ["check", "--offline"]):
        assert main([*arguments, "--config", str(path)]) == 2
        assert "token file cannot be read" in capsys.readouterr().err


def test_a_token_file_in_the_services_credentials_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, GOOD.replace("/etc/marketdata/reader", "$CREDENTIALS_DIRECTORY/reader"))
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(ConfigError, match="run marketdata-gateway, or name a file"):
        load(path)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x.service")
    assert load(path).store[0].reader_token_file == Path("/run/credentials/x.service/reader")


def test_the_example_shows_every_key_with_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x.service")
    text = EXAMPLE.read_text(encoding="utf-8")
    load(EXAMPLE)
    for section in (GatewaySection, ExchangeSection, CollectorSection, StoreSection):
        for name, key in section.model_fields.items():
            if name in ("ca_file", "proxy"):
                assert f"# no {name} by default" in text
                continue
            shown = re.search(rf"^(# )?{name} = (\S+)", text, re.MULTILINE)
            assert shown, name
            assert bool(shown[1]) == (not key.is_required()), name
            if not key.is_required():
                assert shown[2] == (f'"{key.default}"' if isinstance(key.default, str) else str(key.default))
