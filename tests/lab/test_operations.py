"""What operators do to a running platform: every token replaced, another influxd."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from tests.lab.audited import audit
from tests.lab.machine import Machine
from tests.lab.played import play
from tests.lab.secrets import secrets_of, seen
from tools.bootstrap import programs
from tools.lab.hosts import Lab

pytestmark = pytest.mark.usefixtures("converged")

VERSION, NEXT = b"2.7.12", b"2.7.13"


@pytest.fixture
def other_influxd(tmp_path: Path) -> Path:
    """The same program stamped with the next version: no other one is to be had everywhere."""
    found = programs.find("influxd")
    assert found is not None
    content = found.read_bytes()
    assert VERSION in content
    path = tmp_path / "influxd"
    path.write_bytes(content.replace(VERSION, NEXT))
    path.chmod(0o755)
    return path


def tokens(store: Machine) -> list[str]:
    return store.run("cd /etc/influxdb/tokens; for file in *.token; do sha256sum $file; done").splitlines()


def version(store: Machine) -> str:
    return store.run("curl --silent http://127.0.0.1:8086/health")


def test_every_token_is_replaced_and_no_candle_is_lost(lab: Lab, machines: dict[str, Machine]) -> None:
    began = datetime.now(UTC)
    before, secrets = tokens(machines["influx1"]), secrets_of(machines["influx1"])
    noted = lab.folder / "group_vars/all/token_generations.yml"

    rotated = play(lab, "playbooks/rotate-tokens.yml", "--diff", verbosity=3)

    assert rotated, rotated.output
    assert seen({*secrets, *secrets_of(machines["influx1"])}, rotated.output) == []
    assert len(before) >= 4
    assert not set(before) & set(tokens(machines["influx1"]))
    generations = yaml.safe_load(noted.read_text(encoding="utf-8"))["influxdb_token_generations"]
    assert generations["ingest-collector1"] == 2
    assert play(lab, "site.yml").changed == {}
    for name in ("collector1", "collector2"):
        machines[name].run("marketdata-collector check")
    audit(machines["collector1"], began)


def test_influxd_is_upgraded_while_collectors_spool(
    lab: Lab, machines: dict[str, Machine], other_influxd: Path
) -> None:
    began = datetime.now(UTC)
    store = machines["influx1"]
    source = ("-e", f"influxdb_package_source={other_influxd}")

    upgraded = play(lab, "playbooks/upgrade.yml", *source)
    assert upgraded, upgraded.output
    assert '"v2.7.13"' in version(store)
    assert play(lab, "playbooks/upgrade.yml", *source).changed == {}

    back = play(lab, "playbooks/upgrade.yml")  # the inventory's: an earlier one
    assert not back
    assert "v2.7.13 runs as before" in back.output
    assert '"v2.7.13"' in version(store)

    other_influxd.write_text('#!/bin/sh\n[ "$1" = version ] && echo InfluxDB v2.7.14 && exit\nexit 1\n')
    broken = play(lab, "playbooks/upgrade.yml", *source)
    assert not broken
    assert "v2.7.13 runs as before" in broken.output
    assert '"v2.7.13"' in version(store)
    audit(machines["collector1"], began)
