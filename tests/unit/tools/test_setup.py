"""Set-up's decisions: which program is ours, which checksum and signature hold, which interpreter is new enough."""

import hashlib
import sys
import tarfile
import threading
from pathlib import Path

import pytest

from tests.support import eventually
from tools.bootstrap import interpreter, programs, setup, source, vendor
from tools.bootstrap.uv import output

FINGERPRINT = vendor.INFLUXDATA_FINGERPRINT
SUBKEY = "9D539D90D3328DC7D6C8D3B9D8FF8E1F7DF8B07E"


def program(folder: Path, name: str, says: str, exit_code: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\nexit {exit_code}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A PATH folder and a cache of the test's own."""
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setenv("MARKETDATA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "path", tmp_path / "cache" / "bin"


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MARKETDATA_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert programs.cache_dir() == tmp_path / "marketdata-platform"
    monkeypatch.setenv("MARKETDATA_CACHE", str(tmp_path / "own"))
    assert programs.cache_dir() == tmp_path / "own"


def test_a_program_that_is_nowhere_is_none(places: tuple[Path, Path]) -> None:
    assert programs.find("influxd") is None


def test_path_comes_before_the_cache(places: tuple[Path, Path]) -> None:
    path, cache = places
    program(cache, "influxd", "InfluxDB v2.7.12 (git: none)")
    assert programs.find("influxd") == cache / "influxd"
    program(path, "influxd", "InfluxDB v2.7.12 (git: ec9dcde5d6)")
    assert programs.find("influxd") == path / "influxd"


@pytest.mark.parametrize(
    "says",
    ["InfluxDB v1.8.10 (git: 1.8)", "InfluxDB v2.7.1 (git: x)", "InfluxDB v3.2.0", "InfluxDB dev (git: none)", ""],
)
def test_an_influxd_of_another_version_on_path_is_passed_over(places: tuple[Path, Path], says: str) -> None:
    path, cache = places
    program(path, "influxd", says)
    assert programs.find("influxd") is None
    program(cache, "influxd", "InfluxDB v2.7.12 (git: none)")
    assert programs.find("influxd") == cache / "influxd"


def test_a_file_that_cannot_run_is_not_a_program(places: tuple[Path, Path]) -> None:
    _, cache = places
    program(cache, "promtool", "promtool, version 2.42.0").chmod(0o644)
    assert programs.find("promtool") is None


@pytest.mark.parametrize(
    ("says", "version"),
    [
        ("prometheus, version 2.42.0+ds (branch: debian/sid)", "2.42.0"),
        ("prometheus, version 3.5.0 (branch: HEAD)", "3.5.0"),
        ("prometheus, version 2.15.2+ds", None),
    ],
)
def test_prometheus_is_taken_from_version_2_42_on(places: tuple[Path, Path], says: str, version: str | None) -> None:
    assert programs.version("prometheus", program(places[0], "prometheus", says)) == version


@pytest.mark.parametrize(
    ("name", "says", "version"),
    [
        ("alertmanager", "alertmanager, version 0.25.0 (branch: debian/sid)", "0.25.0"),
        ("alertmanager", "alertmanager, version 0.24.0 (branch: HEAD)", None),
        ("amtool", "amtool, version 0.28.1 (branch: HEAD)", "0.28.1"),
        ("amtool", "alertmanager, version 0.28.1 (branch: HEAD)", None),
        ("node_exporter", "node_exporter, version 1.5.0 (branch: debian/sid)", "1.5.0"),
        ("node_exporter", "node_exporter, version 1.10.2 (branch: HEAD)", "1.10.2"),
        ("node_exporter", "node_exporter, version 0.18.1+ds", None),
        ("blackbox_exporter", "blackbox_exporter, version 0.23.0 (branch: debian/sid)", "0.23.0"),
        ("blackbox_exporter", "blackbox_exporter, version 0.13.0", None),
        ("grafana", "grafana version 12.0.2", "12.0.2"),
        ("grafana", "grafana version 9.5.3", None),
    ],
)
def test_what_watches_is_taken_from_the_versions_of_debian_12_on(
    places: tuple[Path, Path], name: str, says: str, version: str | None
) -> None:
    assert programs.version(name, program(places[0], name, says)) == version


def test_a_program_is_found_under_the_name_that_debian_gives_it(places: tuple[Path, Path]) -> None:
    path, cache = places
    program(cache, "node_exporter", "node_exporter, version 1.9.1")
    program(path, "prometheus-node-exporter", "node_exporter, version 1.5.0")
    assert programs.find("node_exporter") == path / "prometheus-node-exporter"
    program(path, "node_exporter", "node_exporter, version 1.8.0")
    assert programs.find("node_exporter") == path / "node_exporter"


def test_a_program_of_another_version_on_path_does_not_hide_debians_name_for_it(places: tuple[Path, Path]) -> None:
    program(places[0], "alertmanager", "alertmanager, version 0.15.3")
    program(places[0], "prometheus-alertmanager", "alertmanager, version 0.25.0")
    assert programs.find("alertmanager") == places[0] / "prometheus-alertmanager"


def test_debians_alertmanager_keeps_its_length_when_it_reads_its_templates_from_elsewhere() -> None:
    before = b"text/usr/share/prometheus/alertmanager/default.tmplmore"
    after = source.relocated(before)
    assert len(after) == len(before)
    assert after.startswith(b"text/proc/self/fd/9/")
    assert after.endswith(b"/default.tmplmore")
    assert b"/usr/share" not in after


def test_an_archive_of_one_folder_takes_the_place_of_what_was_unpacked_before(tmp_path: Path) -> None:
    old = tmp_path / "lib" / "grafana"
    program(old / "bin", "old", "old")
    program(tmp_path / "grafana-v12.1.0" / "bin", "grafana", "grafana version 12.1.0")
    archive = tmp_path / "grafana.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "grafana-v12.1.0", "grafana-v12.1.0")
    vendor.unpack_whole(archive, old)
    assert [entry.name for entry in (old / "bin").iterdir()] == ["grafana"]
    assert programs.version("grafana", old / "bin" / "grafana") == "12.1.0"
    assert [entry.name for entry in old.parent.iterdir()] == ["grafana"]


def test_an_archive_that_is_not_one_folder_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "two.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name in ("a", "b"):
            tar.add(program(tmp_path, name, name), name)
    with pytest.raises(vendor.CannotGet):
        vendor.unpack_whole(archive, tmp_path / "lib" / "grafana")


def test_an_alertmanager_that_reads_its_templates_in_another_way_is_refused() -> None:
    with pytest.raises(vendor.CannotGet):
        source.relocated(b"nothing of the kind")


def test_a_file_with_its_published_checksum_is_accepted(tmp_path: Path) -> None:
    archive = tmp_path / "prometheus-3.5.0.linux-amd64.tar.gz"
    archive.write_bytes(b"content")
    line = f"{hashlib.sha256(b'content').hexdigest()}  {archive.name}"
    vendor.check_sha256(archive, f"{'0' * 64}  another.tar.gz\n{line}\n")


@pytest.mark.parametrize("published", ["", "{zeros}  archive.tar.gz", "{sum}  other.tar.gz", "{sum}"])
def test_any_other_checksum_list_is_refused(tmp_path: Path, published: str) -> None:
    archive = tmp_path / "archive.tar.gz"
    archive.write_bytes(b"content")
    text = published.format(zeros="0" * 64, sum=hashlib.sha256(b"content").hexdigest())
    with pytest.raises(vendor.CannotGet):
        vendor.check_sha256(archive, text)


def test_a_signature_by_a_subkey_of_the_published_key_holds() -> None:
    status = (
        f"[GNUPG:] EXPKEYSIG D8FF8E1F7DF8B07E InfluxData\n[GNUPG:] VALIDSIG {SUBKEY} 2025-05-20 1747 {FINGERPRINT}\n"
    )
    assert vendor.signed_by(status, FINGERPRINT)


@pytest.mark.parametrize(
    "status",
    [
        "",
        f"[GNUPG:] VALIDSIG {SUBKEY} 2025-05-20 1747 {'A' * 40}",
        f"[GNUPG:] BADSIG D8FF8E1F7DF8B07E {FINGERPRINT}",
        f"[GNUPG:] IMPORT_OK 1 {FINGERPRINT}",
    ],
)
def test_everything_else_that_gpg_may_say_is_no_signature(status: str) -> None:
    assert not vendor.signed_by(status, FINGERPRINT)


def test_this_interpreter_is_new_enough() -> None:
    assert interpreter.prove(Path(sys.executable)) == ".".join(map(str, sys.version_info[:3]))


@pytest.mark.parametrize(
    ("says", "version"),
    [
        ("3 13 0 final False", "3.13.0"),
        ("3 14 1 final False", "3.14.1"),
        ("3 12 9 final False", None),
        ("3 14 0 candidate False", None),
        ("3 13 5 final True", None),
        ("pyenv: python3.13: command not found", None),
    ],
)
def test_an_interpreter_is_judged_by_what_it_says_when_run(tmp_path: Path, says: str, version: str | None) -> None:
    assert interpreter.prove(program(tmp_path, "python3.13", says)) == version


def test_a_shim_that_fails_is_no_interpreter(tmp_path: Path) -> None:
    assert interpreter.prove(program(tmp_path, "python3.13", "3 13 0 final False", exit_code=127)) is None


def test_a_command_that_fails_or_is_missing_has_no_output(tmp_path: Path) -> None:
    assert output([str(program(tmp_path, "fails", "text", exit_code=1))]) is None
    assert output([str(tmp_path / "missing")]) is None
    assert output([str(program(tmp_path, "works", "text"))]) == "text"


def test_what_cannot_be_had_is_one_line_that_says_what_to_do(
    places: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    def refused() -> None:
        raise vendor.CannotGet("no network")

    setup.obtain(["influxd"], [("the archive", refused), ("its source", refused)], "install InfluxDB")
    last = capsys.readouterr().out.splitlines()[-1]
    assert "influxd" in last
    assert "no network; no network" in last
    assert "install InfluxDB" in last


def test_the_second_way_is_not_tried_when_the_first_one_worked(places: tuple[Path, Path]) -> None:
    _, cache = places
    tried = []

    def first() -> None:
        tried.append("first")
        program(cache, "influxd", "InfluxDB v2.7.12")

    setup.obtain(["influxd"], [("first", first), ("second", lambda: tried.append("second"))], "")
    assert tried == ["first"]
    setup.obtain(["influxd"], [("first", first), ("second", lambda: tried.append("second"))], "")
    assert tried == ["first"]


def test_two_set_ups_do_not_bring_programs_into_one_cache_at_the_same_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[str] = []

    def second() -> None:
        with setup.alone(tmp_path / "cache"):
            seen.append("second")

    other = threading.Thread(target=second)
    with setup.alone(tmp_path / "cache"):
        other.start()
        eventually(lambda: "waiting for it" in capsys.readouterr().out)
        seen.append("first")
    other.join()
    assert seen == ["first", "second"]
