"""The collector's configuration: invalid input is one line that names file, key, value and what is allowed."""

import re
from pathlib import Path

import pytest

from collector.__main__ import main
from collector.config import (
    CollectorSection,
    ExchangeSection,
    FillSection,
    FundingSection,
    LedgerSection,
    SpoolSection,
    StoreSection,
    load,
)
from service.config_file import ConfigError, read_token

GOOD = """
[collector]
name = "collector-1"
state_dir = "/var/lib/marketdata-collector"

[[store]]
name = "main"
url = "http://127.0.0.1:8086"
ingest_token_file = "/etc/marketdata/ingest"
repair_token_file = "/etc/marketdata/repair"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "collector.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_minimal_file_gets_the_documented_defaults(tmp_path: Path) -> None:
    config = load(write(tmp_path, GOOD))
    assert config.exchange.pairs == "all"
    assert config.exchange.weight_share_percent == 30
    assert config.exchange.major == ["BTC/USDT:USDT", "ETH/USDT:USDT"]
    assert (config.fill.hours, config.fill.rollup_windows) == (49, 499)
    assert (config.collector.listen_host, config.collector.listen_port) == ("127.0.0.1", 9108)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD + "retries = 3\n", "store.0.retries: unknown key"),
        ("[[store]]\n", "collector: is missing"),
        (GOOD.replace('"collector-1"', '"Collector 1"'), "collector.name = 'Collector 1'"),
        (GOOD + "[exchange]\nweight_share_percent = 120\n", "exchange.weight_share_percent = 120"),
        (GOOD + '[exchange]\nwebsocket_url = "ws://fstream.binance.com"\n', "must start with wss://"),
        (GOOD + '[exchange]\nproxy = "socks4://10.0.0.1:1080"\n', "must be http://host:port or socks5://host:port"),
        (GOOD + '[exchange]\nproxy = "http://10.0.0.1"\n', "exchange.proxy = 'http://10.0.0.1': must be"),
        (GOOD + '[exchange]\npairs = ["BTCUSDT"]\n', "BTCUSDT"),
        (GOOD + '[exchange]\npairs = "some"\n', "exchange.pairs"),
        (GOOD + '[exchange]\nmajor = "BTC/USDT:USDT"\n', "exchange.major = 'BTC/USDT:USDT'"),
        (GOOD + '[exchange]\nmajor = [""]\n', "exchange.major.0 = ''"),
        (GOOD + '[fill]\nhours = "49"\n', "fill.hours = '49'"),
        (GOOD + "[ledger]\nstart = 2018-12-31\n", "must be a day, or a day and time, from 2019-01-01 to now"),
        (GOOD + "[ledger]\nstart = 2999-01-01\n", "must be a day, or a day and time, from 2019-01-01 to now"),
        (GOOD.replace("[collector]", "[collector"), "is not TOML"),
        (GOOD + GOOD[GOOD.index("[[store]]") :], "every store needs a name of its own"),
    ],
)
def test_wrong_input_is_one_line_that_names_file_key_and_value(tmp_path: Path, text: str, expected: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        load(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert expected in message
    assert "\n" not in message


def test_a_wrong_proxy_is_reported_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"exchange\.proxy: must be http://host:port") as error:
        load(write(tmp_path, GOOD + '[exchange]\nproxy = "https://user:secret@10.0.0.1:3128"\n'))
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("command", ["run", "check", "status"])
def test_every_command_refuses_an_invalid_file_with_one_line_and_exit_code_2(
    tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, GOOD + "retries = 3\n")
    assert main([command, "--config", str(path)]) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.count("\n") == 1
    assert "Traceback" not in streams.err


def test_for_a_missing_or_empty_token_file_the_error_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_token(tmp_path / "missing")
    (tmp_path / "empty").write_text("\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="is empty"):
        read_token(tmp_path / "empty")


EXAMPLE = Path(__file__).parents[3] / "docs" / "collector.example.toml"


def test_the_example_is_valid_and_shows_every_key_with_its_default(tmp_path: Path) -> None:
    shown = EXAMPLE.read_text(encoding="utf-8")
    every_key = (
        re.sub(r"^# (\w+ = )", r"\1", shown, flags=re.MULTILINE)
        .replace('ca_file = "/etc/marketdata/', '# none by default: "')
        .replace("start = 2026-01-01", "# no start by default")
        .replace('proxy = "socks5', '# none by default: "')
    )
    assert load(write(tmp_path, every_key)) == load(EXAMPLE)
    keys = set(re.findall(r"^(?:# )?(\w+) = ", shown, flags=re.MULTILINE))
    sections = (
        CollectorSection,
        ExchangeSection,
        FillSection,
        FundingSection,
        LedgerSection,
        SpoolSection,
        StoreSection,
    )
    assert keys == {key for section in sections for key in section.model_fields}


CREDENTIALS = GOOD.replace("/etc/marketdata/", "$CREDENTIALS_DIRECTORY/")


def test_a_token_file_among_the_credentials_is_found_where_systemd_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x.service")
    config = load(write(tmp_path, CREDENTIALS))
    assert config.store[0].ingest_token_file == Path("/run/credentials/x.service/ingest")


def test_credentials_outside_of_a_service_are_refused_in_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(ConfigError, match=r"store.0.ingest_token_file.*systemd sets \$CREDENTIALS_DIRECTORY"):
        load(write(tmp_path, CREDENTIALS))


def test_an_offline_check_reads_configuration_and_tokens_and_sends_no_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    config = write(tmp_path, CREDENTIALS.replace("127.0.0.1:8086", "nowhere.invalid"))
    (tmp_path / "ingest").write_text("token", encoding="utf-8")
    assert main(["check", "--offline", "--config", str(config)]) == 2
    assert "repair" in capsys.readouterr().err
    (tmp_path / "repair").write_text("token", encoding="utf-8")
    assert main(["check", "--offline", "--config", str(config)]) == 0
