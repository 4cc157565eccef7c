"""A service without its credentials: the message names the cause and its place, not the way it was started."""

from pathlib import Path

import pytest

from service import systemd
from service.config_file import ConfigError, read_token
from service.systemd import own_unit, why_without

UNIT = "marketdata-collector.service"
EMPTIES = "[Service]\nProtectSystem=no\nLoadCredential=\n"


def drop_in(folder: Path, group: str, name: str, text: str = EMPTIES) -> Path:
    file = folder / group / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize("group", [f"{UNIT}.d", "marketdata-.service.d", "service.d"])
def test_the_drop_in_that_resets_load_credential_is_named(tmp_path: Path, group: str) -> None:
    file = drop_in(tmp_path, group, "zzz-lxc-service.conf")
    told = why_without(UNIT, [tmp_path])
    assert f"the drop-in {file} resets LoadCredential=" in told
    assert f"/etc/systemd/system/{UNIT}.d/" in told


def test_a_drop_in_that_resets_nothing_or_is_another_services_is_not_blamed(tmp_path: Path) -> None:
    drop_in(
        tmp_path, "service.d", "a.conf", "[Service]\n# LoadCredential=\nLoadCredential=x:/etc/x\nImportCredential=\n"
    )
    drop_in(tmp_path, "nginx.service.d", "b.conf")
    assert why_without(UNIT, [tmp_path]) == f"its unit has no LoadCredential= (systemctl cat {UNIT})"


def test_a_drop_in_overridden_by_its_namesake_in_etc_is_not_blamed(tmp_path: Path) -> None:
    drop_in(tmp_path / "etc", "service.d", "zzz-lxc-service.conf", "[Service]\n")
    drop_in(tmp_path / "run", "service.d", "zzz-lxc-service.conf")
    assert "has no LoadCredential=" in why_without(UNIT, [tmp_path / "etc", tmp_path / "run"])


@pytest.mark.parametrize(
    ("environment", "cgroup", "unit"),
    [
        ({"INVOCATION_ID": "1"}, f"0::/system.slice/{UNIT}\n", UNIT),
        ({}, f"0::/system.slice/{UNIT}\n", ""),
        ({"INVOCATION_ID": "1"}, "0::/user.slice/user-1000.slice/session-3.scope\n", ""),
    ],
)
def test_a_process_that_is_no_service_gets_no_advice_about_units(
    tmp_path: Path, environment: dict[str, str], cgroup: str, unit: str
) -> None:
    (tmp_path / "cgroup").write_text(cgroup, encoding="utf-8")
    assert own_unit(environment, tmp_path / "cgroup") == unit


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        ([], "the credentials directory is empty: its unit has no LoadCredential="),
        (["repair.token"], "the unit only provides repair.token: correct LoadCredential= or the name"),
    ],
)
def test_the_error_for_a_missing_credential_lists_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: list[str], expected: str
) -> None:
    monkeypatch.setattr(systemd, "own_unit", lambda _environment: UNIT)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    for name in held:
        (tmp_path / name).write_text("t", encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        read_token(tmp_path / "ingest.token")
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_a_service_whose_credentials_were_reset_is_not_sent_to_another_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setattr(systemd, "own_unit", lambda _environment: UNIT)
    with pytest.raises(ValueError, match=f"systemd gave {UNIT} no credentials") as error:
        systemd.in_credentials(Path("$CREDENTIALS_DIRECTORY/ingest"), "marketdata-collector")
    assert "use marketdata-collector" not in str(error.value)
