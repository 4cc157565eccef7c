"""The demo's Grafana is told everything that its provisioning asks for, and no secret on its command line."""

import configparser
import re
from pathlib import Path

import pytest

from tools.demo import grafana
from tools.demo.configs import scrape_interval
from tools.demo.monitoring import GRAFANA, SHIPPED

ASKED = re.compile(r"\$__env\{(\w+)\}")


def variables(token_file: Path) -> dict[str, str]:
    return grafana.variables(
        prometheus_url="http://127.0.0.1:9090",
        scrape_interval="15s",
        influx_url="http://127.0.0.1:8086",
        org="marketdata",
        token_file=token_file,
        source=GRAFANA,
    )


def test_the_provisioning_asks_for_the_variables_that_it_is_given(tmp_path: Path) -> None:
    files = list((GRAFANA / "provisioning").glob("*/*.yml"))
    asked = {name for file in files for name in ASKED.findall(file.read_text(encoding="utf-8"))}
    assert asked == set(variables(tmp_path / "token"))


def test_grafana_is_told_where_the_token_is_and_not_what_it_is(tmp_path: Path) -> None:
    token = tmp_path / "reader-grafana.token"
    token.write_text("secret", encoding="utf-8")
    command = grafana.command(tmp_path / "bin/grafana", tmp_path / "grafana.ini", variables(token))
    assert f"MARKETDATA_INFLUXDB_TOKEN=$__file{{{token}}}" in command
    assert not any("secret" in word for word in command)


def test_the_configuration_names_folders_that_are_there_and_reads_the_password_from_its_file(tmp_path: Path) -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(
        grafana.ini(address="127.0.0.1:3000", data=tmp_path, source=GRAFANA, password_file=tmp_path / "password")
    )
    assert (parser["server"]["http_addr"], parser["server"]["http_port"]) == ("127.0.0.1", "3000")
    assert Path(parser["paths"]["provisioning"]).is_dir()
    assert Path(parser["dashboards"]["default_home_dashboard_path"]).is_file()
    assert parser["security"]["admin_password"] == f"$__file{{{tmp_path / 'password'}}}"


@pytest.mark.parametrize("is_archive", [True, False])
def test_an_archive_of_grafana_is_its_own_home_and_a_package_has_its_home_elsewhere(
    tmp_path: Path, is_archive: bool
) -> None:
    binary = tmp_path / "bin" / "grafana"
    binary.parent.mkdir()
    binary.touch()
    if is_archive:
        (tmp_path / "conf").mkdir()
        (tmp_path / "conf" / "defaults.ini").touch()
    assert grafana.home_of(binary) == (tmp_path if is_archive else grafana.INSTALLED_HOME)


def test_grafana_knows_how_often_prometheus_scrapes() -> None:
    assert scrape_interval((SHIPPED / "prometheus.yml").read_text(encoding="utf-8")) == "15s"
