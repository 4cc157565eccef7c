"""Backups of a real InfluxDB: what is in them, what comes back, and what is noticed."""

import io
import tarfile
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from influx.backup import census, folder, metrics
from influx.backup.create import create
from influx.backup.errors import BackupError
from influx.backup.restore import differences, restore
from influx.backup.scratch import scratch
from influx.backup.server import Server
from influx.provisioning import provision
from tests.integration.servers import InfluxStack
from tools.bootstrap import programs

DAY = "2026-01-05"
OPENS_MS = [1_767_571_200_000 + i * 180_000 for i in range(480)]
"""All of that day."""

Make = Callable[[], tuple[Path, folder.Manifest]]


def write(stack: InfluxStack, bucket: str, lines: list[str]) -> None:
    request = urllib.request.Request(
        f"{stack.url}/api/v2/write?org={stack.org}&bucket={bucket}&precision=ms",
        "\n".join(lines).encode(),
        headers={"Authorization": f"Token {stack.operator_token}"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        answer.read()


def candle(opened_ms: int, close: float, pair: str = "BTC/USDT:USDT") -> str:
    return f"ohlcv_3m,exchange=BINANCE_FUTURES,pair={pair} close={close},trades=3i {opened_ms}"


@pytest.fixture
def stack(fresh_influx: InfluxStack) -> InfluxStack:
    """Three pairs' candles of one old day, and mark prices of the last hours."""
    for pair in ("BTC/USDT:USDT", "ETH/USDT:USDT", "BNB/USDT:USDT"):
        write(fresh_influx, "market_data", [candle(opened, 100.125 + i, pair) for i, opened in enumerate(OPENS_MS)])
    now_ms = int(time.time() * 1000)
    marks = [f"mark_price,exchange=BINANCE_FUTURES,pair=P mark={i}.5 {now_ms - i * 10_000}" for i in range(720)]
    write(fresh_influx, "market_data_samples", marks)
    return fresh_influx


@pytest.fixture
def server(stack: InfluxStack) -> Server:
    return Server(stack.url, stack.operator_token)


@pytest.fixture
def make(server: Server, tmp_path: Path) -> Make:
    """Make a backup, at most two stay. Checksums go back to the old day; the clock moves on a second each time."""
    times = iter(range(100))
    days = (datetime.now(UTC) - datetime(2026, 1, 3, tzinfo=UTC)).days  # one more, for a midnight before they are made

    def made() -> tuple[Path, folder.Manifest]:
        now = datetime.now(UTC) + timedelta(seconds=next(times))
        return create(server, tmp_path / "backups", keep=2, checksum_days=days, now=now, say=lambda _line: None)

    return made


def test_every_point_comes_back_into_another_server(make: Make, stack: InfluxStack, tmp_path: Path) -> None:
    backup, manifest = make()
    assert manifest.census["market_data"]["ohlcv_3m"][DAY][0] == 3 * 480 * 2
    other_influxd = programs.find("influxd")
    assert other_influxd is not None
    with scratch(other_influxd, tmp_path, user=None) as other:
        restore(other, backup, manifest)
        assert differences(other, manifest, datetime.now(UTC)) == []
        statement = "SELECT close, trades FROM ohlcv_3m GROUP BY *"
        own = Server(stack.url, stack.operator_token)
        assert other.query("market_data", statement) == own.query("market_data", statement)
        with pytest.raises(BackupError, match="holds data"):
            restore(other, backup, manifest)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backups", "secrets"]


def test_tokens_are_made_anew_for_restored_buckets_and_the_old_ones_are_dead(
    make: Make, stack: InfluxStack, tmp_path: Path
) -> None:
    backup, manifest = make()
    old = {file.name: file.read_text(encoding="ascii") for file in stack.secrets_dir.glob("*.token")}
    other_influxd = programs.find("influxd")
    assert other_influxd is not None
    with scratch(other_influxd, tmp_path, user=None) as other:
        (tmp_path / "new").mkdir(mode=0o700)
        (tmp_path / "new/operator.token").write_text(f"{other.token}\n", encoding="ascii")
        schema = tmp_path / "schema.yml"
        text = Path("influx/schema.yml").read_text(encoding="utf-8")
        schema.write_text(text.replace("org: marketdata", "org: restore-test"), encoding="utf-8")
        provision(other.url, tmp_path / "new", schema_file=schema)
        before = {file.name: file.read_text(encoding="ascii") for file in (tmp_path / "new").glob("*.token")}
        restore(other, backup, manifest)
        provision(other.url, tmp_path / "new", schema_file=schema)
        after = {file.name: file.read_text(encoding="ascii") for file in (tmp_path / "new").glob("*.token")}
        assert differences(other, manifest, datetime.now(UTC)) == []
        assert {name for name in before if before[name] == after[name]} == {"operator.token"}
        with pytest.raises(BackupError, match=" 401 "):
            Server(other.url, old["operator.token"].strip()).json("GET", "/api/v2/buckets")


def test_no_token_is_in_a_backup(make: Make, stack: InfluxStack) -> None:
    backup, _ = make()
    content = b"".join(file.read_bytes() for file in backup.iterdir())
    secrets = [file.read_bytes().strip() for file in stack.secrets_dir.glob("*.token")]
    assert len(secrets) > 5
    assert [secret for secret in secrets if secret in content] == []


def test_a_lost_and_a_changed_value_are_found_by_day(make: Make, stack: InfluxStack, server: Server) -> None:
    _, manifest = make()
    assert differences(server, manifest, datetime.now(UTC)) == []
    write(stack, "market_data", [candle(OPENS_MS[7], 100.25)])
    assert differences(server, manifest, datetime.now(UTC)) == [
        f"market_data ohlcv_3m {DAY}: as many values, but not the same ones"
    ]
    gone = {"start": "2026-01-05T00:03:00Z", "stop": "2026-01-05T00:05:59Z", "predicate": '_measurement="ohlcv_3m"'}
    server.json("POST", "/api/v2/delete", gone, org=stack.org, bucket="market_data")
    assert differences(server, manifest, datetime.now(UTC)) == [
        f"market_data ohlcv_3m {DAY}: {3 * 479 * 2} values, the backup has {3 * 480 * 2}"
    ]


def test_a_damaged_file_is_not_restored(make: Make, server: Server) -> None:
    backup, manifest = make()
    name = folder.shard_file(next(shard for bucket in manifest.buckets for shard in folder.shards_of(bucket)))
    data = bytearray((backup / name).read_bytes())
    data[len(data) // 2] ^= 1
    (backup / name).write_bytes(data)
    with pytest.raises(BackupError, match=f"{name}: not the file that was backed up"):
        restore(server, backup, manifest)
    (backup / name).unlink()
    with pytest.raises(BackupError, match="No such file"):
        restore(server, backup, manifest)


def test_what_is_no_data_of_influxdb_does_not_count_as_a_backup(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "shard-1.tar", "w") as archive:
        member = tarfile.TarInfo("b/autogen/1/1.tsm")
        member.size = 4
        archive.addfile(member, io.BytesIO(b"oops"))
    bucket = {"bucketName": "b", "retentionPolicies": [{"shardGroups": [{"shards": [{"id": 1}]}]}]}
    files = {"shard-1.tar": folder.digest(tmp_path / "shard-1.tar")}
    manifest = folder.Manifest("", "", "", [bucket], files, {})
    assert list(folder.faults(tmp_path, manifest)) == [
        f"{tmp_path}/shard-1.tar: does not contain an InfluxDB data file"
    ]


def test_unchanged_shards_are_on_disk_once_and_the_newest_backups_stay(make: Make, stack: InfluxStack) -> None:
    first, manifest = make()
    # An hour ago: whatever midnight has passed meanwhile, the shard of then holds some of the fixture's two hours.
    write(stack, "market_data_samples", [f"mark_price,exchange=B,pair=P mark=1.5 {int(time.time() - 3600) * 1000}"])
    (first.parent / "20260101T000000Z.partial").mkdir()
    second, _ = make()
    names = [folder.shard_file(shard) for bucket in manifest.buckets for shard in folder.shards_of(bucket)]
    shared = [name for name in names if (first / name).stat().st_ino == (second / name).stat().st_ino]
    assert 0 < len(shared) < len(names)
    third, _ = make()
    assert folder.complete(first.parent) == [second, third]
    assert sorted(first.parent.iterdir()) == [second, third]


def test_what_changes_while_a_backup_is_made_is_not_compared() -> None:
    before: census.Census = {"b": {"m": {"2026-01-01": [9, None], "2026-01-02": [5, "x"], "2026-01-03": [4, "y"]}}}
    after: census.Census = {"b": {"m": {"2026-01-01": [9, None], "2026-01-02": [5, "z"], "2026-01-03": [6, "y"]}}}
    assert census.agreed(before, after) == {"b": {"m": {"2026-01-01": [9, None]}}}


def test_the_metrics_name_each_bucket_with_age_and_size(make: Make) -> None:
    _, manifest = make()
    lines = metrics.text(manifest).splitlines()
    made = f"{datetime.fromisoformat(manifest.made).timestamp():.0f}"
    for bucket in ("market_data", "market_data_rollup", "market_data_samples"):
        assert f'marketdata_backup_last_success_timestamp_seconds{{bucket="{bucket}"}} {made}' in lines
    sizes = [line for line in lines if line.startswith('marketdata_backup_size_bytes{bucket="market_data"}')]
    assert len(sizes) == 1
    assert int(sizes[0].split()[1]) > 1000
