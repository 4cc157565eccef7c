"""Backups on converged hosts: made, tried, and brought back when all is lost."""

import json
from datetime import UTC, datetime

import pytest

from tests.lab.audited import audit
from tests.lab.machine import Machine
from tests.lab.played import play
from tools.lab.hosts import Lab

pytestmark = pytest.mark.usefixtures("converged")

FOLDER = "/var/backups/influxdb"


@pytest.fixture
def store(machines: dict[str, Machine]) -> Machine:
    return machines["influx1"]


def test_a_backup_is_there_from_the_beginning_and_the_next_one_is_due(store: Machine) -> None:
    assert len(store.run("marketdata-backup list").splitlines()) >= 1
    assert store.run("systemctl is-active marketdata-backup.timer") == "active\n"
    told = store.run("cat /var/lib/node-exporter/marketdata_backup.prom")
    assert 'marketdata_backup_last_success_timestamp_seconds{bucket="market_data"} 1' in told
    # The threshold is the score times ten; the command fails above it.
    store.run("systemd-analyze security --no-pager --threshold=20 marketdata-backup.service")


def test_backups_are_roots_alone_and_hold_no_token(store: Machine) -> None:
    assert store.run(f"find {FOLDER} -not -user root -o -perm /077 -type d") == ""
    store.run("cat /etc/influxdb/tokens/*.token /etc/influxdb/operator.token > /run/secrets.list")
    assert (
        store.run(f"grep --recursive --fixed-strings --files-with-matches --file /run/secrets.list {FOLDER} || true")
        == ""
    )
    store.run("rm /run/secrets.list")


def test_the_newest_backup_is_tried_and_a_damaged_one_is_told(lab: Lab, store: Machine) -> None:
    store.run("systemctl start marketdata-backup.service")
    tried = play(lab, "playbooks/restore-test.yml")
    assert tried, tried.output
    assert '"differences": []' in tried.output
    assert tried.changed == {}
    newest = store.run("marketdata-backup list").splitlines()[-1].split()[0]
    store.run(
        f"cp -a {FOLDER}/{newest} {FOLDER}/29991231T000000Z; cd {FOLDER}/29991231T000000Z; truncate -s -1 shard-*.tar"
    )
    tried = play(lab, "playbooks/restore-test.yml")
    store.run(f"rm -r {FOLDER}/29991231T000000Z")
    assert not tried
    assert "not the file that was backed up" in tried.output
    assert store.run("find /var/tmp -mindepth 1 -maxdepth 1 -not -name 'systemd-private-*'") == ""


def test_a_lost_store_comes_back_with_every_point_and_none_of_its_tokens(
    lab: Lab, machines: dict[str, Machine], store: Machine
) -> None:
    store.run("systemctl start marketdata-backup.service")
    backed_up = json.loads(store.run("marketdata-backup verify"))
    assert backed_up["buckets"]["market_data"]["values"] > 0
    began = datetime.now(UTC)
    store.run("cp /etc/influxdb/operator.token /root/before.token")
    store.run("systemctl stop influxdb.service; rm -r /var/lib/influxdb/*")

    assert not play(lab, "playbooks/restore.yml")  # whose data?
    restored = play(lab, "playbooks/restore.yml", "-e", "restore_host=influx1")

    assert restored, restored.output
    assert "differences: []" in restored.output
    header = "Authorization: Token $(cat {})"
    buckets = (
        "curl --silent --output /dev/null --write-out '%{http_code}' http://127.0.0.1:8086/api/v2/buckets --header"
    )
    assert store.run(f'{buckets} "{header.format("/root/before.token")}"') == "401"
    assert store.run(f'{buckets} "{header.format("/etc/influxdb/operator.token")}"') == "200"
    runs = store.script("store.py", "tasks")
    assert json.loads(runs) == dict.fromkeys(["ohlcv_15m", "ohlcv_1h", "ohlcv_4h", "ohlcv_1d"], "active success")
    audit(machines["collector1"], began)
    again = play(lab, "site.yml")
    assert again, again.output
    assert again.changed == {}
