"""Alertmanager's configuration: right for every combination of receivers; only what is true for a whole mutes."""

import re
import subprocess
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from tests.support.rules import rules
from tools.bootstrap import programs
from tools.generate import alertmanager
from tools.generate.alertmanager import EXAMPLE, Settings

Labels = Mapping[str, str]

PAIR_STALE = {"alertname": "PairStale", "severity": "critical", "exchange": "BINANCE_FUTURES", "channel": "candles_3m"}
EXCHANGE_SILENT = {"alertname": "ExchangeSilent", "severity": "critical", "exchange": "BINANCE_FUTURES"}
HOST_DOWN = {"alertname": "HostDown", "severity": "critical", "host": "c1"}
COLLECTOR_DOWN = {"alertname": "CollectorDown", "severity": "critical", "instance": "c1:9108", "host": "c1"}
WRITE_STALLED = {"alertname": "WriteStalled", "severity": "critical", "host": "c1", "store": "main"}
INFLUXDB_DOWN = {"alertname": "InfluxDBDown", "severity": "critical", "host": "i1", "store": "main"}


@pytest.fixture(scope="module")
def amtool() -> Path:
    path = programs.find("amtool")
    if path is None:
        pytest.fail("amtool is not here: `make setup` gets it", pytrace=False)
    return path


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(alertmanager.render(Settings.model_validate(EXAMPLE)))
    return loaded


def test_amtool_accepts_every_combination_of_receivers_and_the_shipped_file_is_the_templates() -> None:
    assert alertmanager.check() == []


def test_amtool_would_have_complained(amtool: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "alertmanager.yml.j2"
    text = alertmanager.TEMPLATE.read_text(encoding="utf-8")
    broken.write_text(text.replace("receiver: critical", "receiver: nobody"), encoding="utf-8")
    monkeypatch.setattr(alertmanager, "TEMPLATE", broken)
    assert "nobody" in "\n".join(alertmanager.complaints(amtool))


@pytest.mark.parametrize("severities", [["critical"], ["warning"], ["critical", "warning"]])
@pytest.mark.parametrize("name", [name for name in EXAMPLE if name != "alertmanager_heartbeat"])
def test_a_receiver_is_told_of_its_severities_alone(name: str, severities: list[str]) -> None:
    settings = Settings.model_validate({name: {**EXAMPLE[name], "severities": severities}})
    receivers = yaml.safe_load(alertmanager.render(settings))["receivers"]
    kind = name.removeprefix("alertmanager_") + "_configs"
    assert sorted(receiver["name"] for receiver in receivers if kind in receiver) == sorted(severities)


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ("alertname=PairStale severity=critical", "critical"),
        ("alertname=PairStale severity=warning", "warning"),
        ("alertname=Watchdog severity=none", "heartbeat"),
        ("alertname=Unforeseen", "warning"),
    ],
)
def test_the_severity_decides_who_is_told(amtool: Path, labels: str, receiver: str) -> None:
    command = [str(amtool), "config", "routes", "test", f"--config.file={alertmanager.SHIPPED}"]
    subprocess.run([*command, f"--verify.receivers={receiver}", *labels.split()], check=True, capture_output=True)


def test_a_secret_is_a_file_and_never_a_value(config: dict[str, Any]) -> None:
    secret = re.compile(r"^(auth_password|bot_token|api_url|auth_secret|password|credentials|bearer_token)$")
    keys = {
        key
        for receiver in config["receivers"]
        for kind in receiver.values()
        if isinstance(kind, list)
        for entry in kind
        for key in entry
    }
    assert {"auth_password_file", "bot_token_file", "api_url_file", "url_file"} <= keys
    assert [key for key in keys if secret.match(key)] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"alertmanager_webhook": {}},
        {"alertmanager_webhook": {"url": "http://a/", "url_file": "/b"}},
        {"alertmanager_webhook": {"url": "nowhere"}},
        {"alertmanager_email": {**EXAMPLE["alertmanager_email"], "password_file": None}},
        {"alertmanager_telegram": {"chat_id": 1, "bot_token": "123:abc"}},
        {"alertmanager_slack": {"channel": "#a", "api_url_file": "relative"}},
        {"alertmanager_pager": {}},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(wrong)


def test_bad_settings_are_one_line_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "settings.yml"
    file.write_text("alertmanager_slack: {channel: '#a'}\n", encoding="utf-8")
    assert alertmanager.main([str(file)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


# What mutes what. Alertmanager's rule: the source matches source_matchers, the target target_matchers, and both have
# the same value, or none, for each label in `equal`.


def matches(labels: Labels, matchers: list[str]) -> bool:
    def holds(matcher: str) -> bool:
        parts = re.fullmatch(r'(\w+)\s*(=~|!~|!=|=)\s*"(.*)"', matcher)
        assert parts, matcher
        name, operator, wanted = parts.groups()
        value = labels.get(name, "")
        is_equal = bool(re.fullmatch(wanted, value)) if "~" in operator else value == wanted
        return is_equal != operator.startswith("!")

    return all(map(holds, matchers))


def mutes(config: dict[str, Any], source: Labels, target: Labels) -> bool:
    return any(
        matches(source, rule["source_matchers"])
        and matches(target, rule["target_matchers"])
        and all(source.get(label, "") == target.get(label, "") for label in rule["equal"])
        for rule in config["inhibit_rules"]
    )


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (EXCHANGE_SILENT, PAIR_STALE),
        (EXCHANGE_SILENT, {**PAIR_STALE, "severity": "warning"}),
        (EXCHANGE_SILENT, {**PAIR_STALE, "alertname": "StreamSilent"}),
        (EXCHANGE_SILENT, {**PAIR_STALE, "alertname": "ExchangePartiallyStale"}),
        (EXCHANGE_SILENT, {"alertname": "FreshnessBudgetBurn", "exchange": "BINANCE_FUTURES"}),
        (HOST_DOWN, COLLECTOR_DOWN),
        (HOST_DOWN, {"alertname": "TargetDown", "host": "c1", "instance": "c1:9100"}),
        (INFLUXDB_DOWN, WRITE_STALLED),
        (INFLUXDB_DOWN, {"alertname": "CandlesLate", "store": "main", "exchange": "BINANCE_FUTURES"}),
        (
            {"alertname": "FilesystemAlmostFull", "instance": "c1:9100", "mountpoint": "/"},
            {"alertname": "FilesystemFillingUp", "instance": "c1:9100", "mountpoint": "/"},
        ),
    ],
)
def test_what_is_true_for_the_whole_mutes_its_parts(config: dict[str, Any], source: Labels, target: Labels) -> None:
    assert mutes(config, source, target)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (EXCHANGE_SILENT, {**PAIR_STALE, "exchange": "OTHER"}),
        (EXCHANGE_SILENT, COLLECTOR_DOWN),
        (EXCHANGE_SILENT, WRITE_STALLED),
        (EXCHANGE_SILENT, {"alertname": "ExchangeBanned", "exchange": "BINANCE_FUTURES"}),
        ({**PAIR_STALE, "pair": "BTC/USDT:USDT"}, {**PAIR_STALE, "severity": "warning", "pair": "ETH/USDT:USDT"}),
        (HOST_DOWN, PAIR_STALE),
        (HOST_DOWN, {**COLLECTOR_DOWN, "host": "c2"}),
        (HOST_DOWN, HOST_DOWN),
        # Both without the label: equal to Alertmanager, and nothing to us.
        ({"alertname": "HostDown"}, PAIR_STALE),
        ({"alertname": "ExchangeSilent"}, {"alertname": "PairStale"}),
        ({"alertname": "InfluxDBDown", "host": "i1"}, {"alertname": "WriteStalled", "host": "c1"}),
        (INFLUXDB_DOWN, {**WRITE_STALLED, "store": "second"}),
        (INFLUXDB_DOWN, {**PAIR_STALE, "store": "main"}),
        (
            {"alertname": "FilesystemAlmostFull", "instance": "c1:9100", "mountpoint": "/"},
            {"alertname": "FilesystemFillingUp", "instance": "c1:9100", "mountpoint": "/data"},
        ),
    ],
)
def test_nothing_else_is_muted(config: dict[str, Any], source: Labels, target: Labels) -> None:
    assert not mutes(config, source, target)


def test_one_dead_collector_of_two_mutes_nothing(config: dict[str, Any]) -> None:
    """A collector is not the whole of anything: neither of its job, nor of its host, nor of its exchange."""
    common = {"job": "collector", "instance": "c1:9108", "host": "c1", "exchange": "BINANCE_FUTURES", "store": "main"}
    names = [rule["alert"] for rule in rules() if "alert" in rule]
    sources = ("CollectorDown", "CollectorEventLoopStalled", "CollectorCrashLooping", "CollectorAbsent", "TargetDown")
    for source, target in product(sources, names):
        assert not mutes(config, {**common, "alertname": source}, {**common, "alertname": target})


def test_every_alert_that_mutes_or_is_muted_has_a_rule(config: dict[str, Any]) -> None:
    matchers = [m for rule in config["inhibit_rules"] for m in (*rule["source_matchers"], *rule["target_matchers"])]
    named = {name for m in matchers if m.startswith("alertname") for name in m.partition('"')[2].rstrip('"').split("|")}
    assert named <= {rule["alert"] for rule in rules() if "alert" in rule}
    assert "HostDown" in named


def test_the_watchdog_is_never_muted(config: dict[str, Any]) -> None:
    watchdog = {"alertname": "Watchdog", "severity": "none"}
    for source in (EXCHANGE_SILENT, HOST_DOWN, INFLUXDB_DOWN, {"alertname": "HostDown"}):
        assert not mutes(config, source, watchdog)


def test_the_silence_of_an_exchange_is_told_before_and_for_longer_than_that_of_its_pairs() -> None:
    """Else 164 pairs are told one by one before the exchange is, or when it is over."""
    whole = next(rule for rule in rules() if rule.get("alert") == "ExchangeSilent")
    for part in (rule for rule in rules() if rule.get("alert") == "PairStale"):
        assert seconds(whole["for"]) < seconds(part["for"])
        assert seconds(whole["keep_firing_for"]) >= 2 * seconds(part["keep_firing_for"])


@pytest.mark.parametrize(
    ("whole", "part"),
    [
        ("HostDown", "CollectorDown"),
        ("HostDown", "InfluxDBDown"),
        ("HostDown", "TargetDown"),
        ("InfluxDBDown", "SentinelStale"),
        ("ExchangeSilent", "StreamSilent"),
        ("ExchangeSilent", "ExchangePartiallyStale"),
    ],
)
def test_what_mutes_is_told_before_what_it_mutes(whole: str, part: str) -> None:
    waits = {rule["alert"]: seconds(rule["for"]) for rule in rules() if rule.get("for") and "alert" in rule}
    assert waits[whole] < waits[part]


def seconds(duration: str) -> int:
    return int(duration[:-1]) * {"s": 1, "m": 60, "h": 3600}[duration[-1]]
