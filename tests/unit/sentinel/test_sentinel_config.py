"""The sentinel's configuration: invalid input is reported in one line with file, key, value and what is allowed."""

import re
from pathlib import Path

import pytest

from sentinel.__main__ import main
from sentinel.config import SentinelSection, StoreSection, load
from service.config_file import ConfigError

GOOD = """
[[store]]
name = "main"
url = "http://127.0.0.1:8086/"
token_file = "/etc/marketdata/reader-sentinel.token"
"""
EXAMPLE = Path(__file__).parents[3] / "docs" / "sentinel.example.toml"


def write(folder: Path, text: str) -> Path:
    path = folder / "sentinel.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_minimal_file_gets_the_documented_defaults(tmp_path: Path) -> None:
    config = load(write(tmp_path, GOOD))
    assert (config.sentinel.listen_host, config.sentinel.listen_port) == ("127.0.0.1", 9109)
    assert config.sentinel.every_seconds == 60
    assert config.store[0].url == "http://127.0.0.1:8086"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD + "retries = 3\n", "store.0.retries: unknown key"),
        ("[sentinel]\n", "store: is missing"),
        ("store = []\n", "store"),
        (GOOD + GOOD, "every store needs a name of its own"),
        (GOOD.replace("http://", "influx://"), "store.0.url = 'influx://127.0.0.1:8086/'"),
        (GOOD.replace('"main"', '"Main store"'), "store.0.name = 'Main store'"),
        ("[sentinel]\nevery_seconds = 0\n" + GOOD, "sentinel.every_seconds = 0"),
        ('[sentinel]\nlisten = "9109"\n' + GOOD, "sentinel.listen = '9109'"),
        ("[sentinel\n", "is not TOML"),
    ],
)
def test_an_invalid_file_is_reported_in_one_line_with_exit_code_2(
    tmp_path: Path, text: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=re.escape(expected)):
        load(path)
    for command in ("run", "check"):
        assert main([command, "--config", str(path)]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"sentinel: {path}: ")
        assert error.count("\n") == 1


def test_an_offline_check_reads_the_configuration_without_any_connection(tmp_path: Path) -> None:
    text = GOOD.replace("127.0.0.1:8086", "nowhere.invalid")
    assert main(["check", "--offline", "--config", str(write(tmp_path, text))]) == 0
    assert main(["check", "--offline", "--config", str(write(tmp_path, "store = []\n"))]) == 2


def test_a_missing_file_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--config", str(tmp_path / "none.toml")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_the_example_shows_every_key_with_its_default() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    load(EXAMPLE)
    for section in (SentinelSection, StoreSection):
        for name, key in section.model_fields.items():
            shown = re.search(rf"^(# )?{name} = (\S+)", text, re.MULTILINE)
            assert shown, name
            assert bool(shown[1]) == (not key.is_required()), name
            if key.default is not None and not key.is_required():
                assert shown[2] == (f'"{key.default}"' if isinstance(key.default, str) else str(key.default))
