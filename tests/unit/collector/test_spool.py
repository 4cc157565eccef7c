"""The spool on a real disk: whole files, in every store's folder, within its limits, through crashes and damage."""

import gzip
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collector.delivery.batch import Batch
from collector.delivery.points import PointCounters
from collector.delivery.rejected import Rejected
from collector.delivery.spool import Damaged, Spool, SpoolInUse
from collector.delivery.spool_index import SpoolFile

STORES = ("main", "second")
BUCKET = "market_data"


class OpenSpool:
    """A spool as in one process: its own counters, and a lock that is released with it."""

    def __init__(self, root: Path, *, max_bytes: int, max_files: int, stores: tuple[str, ...]) -> None:
        self.counters = {store: PointCounters() for store in stores}
        self.spool = Spool(root, self.counters, max_bytes=max_bytes, max_files=max_files, now_ms=lambda: 5)
        self.recovered = self.spool.recover()


type OpenIt = Callable[..., OpenSpool]


@pytest.fixture
def reopen(tmp_path: Path) -> Iterator[OpenIt]:
    """Open the spool in tmp_path, like a new process after the last one has ended."""
    last: list[Spool] = []

    def open_spool(*, max_bytes: int = 10**9, max_files: int = 1_000, stores: tuple[str, ...] = STORES) -> OpenSpool:
        while last:
            last.pop().close()
        opened = OpenSpool(tmp_path, max_bytes=max_bytes, max_files=max_files, stores=stores)
        last.append(opened.spool)
        return opened

    yield open_spool
    while last:
        last.pop().close()


def batch(*lines: str, bucket: str = BUCKET) -> Batch:
    return Batch(bucket, lines)


def claimed(spool: Spool, store: str = "main", bucket: str = BUCKET) -> SpoolFile:
    file = spool.claim(store, bucket)
    assert file is not None
    return file


def files_of(root: Path, store: str) -> list[str]:
    return sorted(path.name for path in (root / store).glob("*/*"))


def test_a_file_is_the_request_body_and_its_name_has_the_number_of_points(reopen: OpenIt, tmp_path: Path) -> None:
    reopen().spool.put(batch("m v=1 1", "m v=2 2"))

    (path,) = (tmp_path / "main" / BUCKET).iterdir()
    assert path.name.endswith("-2.lp.gz")
    assert gzip.decompress(path.read_bytes()) == b"m v=1 1\nm v=2 2\n"


def test_a_second_store_gets_a_hard_link_and_not_a_copy(reopen: OpenIt, tmp_path: Path) -> None:
    reopen().spool.put(batch("m v=1 1"))

    (first,), (second,) = ((tmp_path / store / BUCKET).iterdir() for store in STORES)
    assert first.samefile(second)
    assert not any((tmp_path / "incoming").rglob("*.tmp"))


def test_files_are_read_oldest_first_and_with_their_lines(reopen: OpenIt) -> None:
    spool = reopen().spool
    spool.put(batch("1"))
    spool.put(batch("2", "3"))

    read = []
    while file := spool.claim("main", BUCKET):
        read.append(spool.read(file).lines)
        spool.acknowledge(file)

    assert read == [("1",), ("2", "3")]


def test_what_one_store_has_accepted_still_waits_for_the_other(reopen: OpenIt) -> None:
    opened = reopen()
    opened.spool.put(batch("1", "2"))

    opened.spool.acknowledge(claimed(opened.spool))

    assert opened.spool.level("main").points == 0
    assert opened.spool.level("second").points == 2
    assert opened.counters["main"].snapshot().acknowledged == 2


def test_a_restart_finds_what_is_waiting_and_continues_counting(reopen: OpenIt) -> None:
    reopen().spool.put(batch("1", "2"))

    opened = reopen()
    opened.spool.put(batch("3"))

    assert opened.recovered["main"].points == 2
    assert opened.counters["main"].snapshot().recovered_from_spool == 2
    low, high = opened.spool.sequences("main") or (0, 0)
    assert low < high


def test_a_file_half_written_at_a_crash_does_not_count(reopen: OpenIt, tmp_path: Path) -> None:
    reopen()
    half = tmp_path / "incoming" / BUCKET / "0000000000000007-2.lp.gz.tmp"
    half.parent.mkdir()
    half.write_bytes(b"\x1f\x8b\x08")

    opened = reopen()

    assert opened.recovered["main"].files == 0
    assert not half.exists()


def test_a_crash_between_two_links_is_completed_for_every_store(reopen: OpenIt, tmp_path: Path) -> None:
    reopen().spool.put(batch("1", "2"))
    (first,) = (tmp_path / "main" / BUCKET).iterdir()
    os.link(first, tmp_path / "incoming" / BUCKET / f"{first.name}.tmp")
    (tmp_path / "second" / BUCKET / first.name).unlink()

    opened = reopen()

    assert {store: found.points for store, found in opened.recovered.items()} == {"main": 2, "second": 2}


def test_a_batch_that_the_disk_refused_leaves_no_trace_and_can_be_put_again(
    reopen: OpenIt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = reopen().spool
    real_link = os.link

    def full_at_the_second_store(source: Path, target: Path) -> None:
        if "second" in str(target):
            raise OSError(28, "No space left on device")
        real_link(source, target)

    monkeypatch.setattr(os, "link", full_at_the_second_store)
    with pytest.raises(OSError, match="No space left"):
        spool.put(batch("1"))
    assert [path for path in tmp_path.rglob("*.gz*") if path.is_file()] == []

    monkeypatch.undo()
    spool.put(batch("1"))
    assert len(files_of(tmp_path, "main")) == len(files_of(tmp_path, "second")) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no gzip at all",
        gzip.compress(b"1\n2\n")[:-9],
        gzip.compress(b"1\n"),
        gzip.compress(b"1\n2\n3\n"),
        gzip.compress(b"1\n2"),
        gzip.compress(b"\xff\n\xff\n"),
        gzip.compress(b"1\n2\n") + b"tail",
    ],
    ids=["empty", "not gzip", "cut off", "a line short", "a line more", "no last newline", "not UTF-8", "a tail"],
)
def test_a_damaged_file_is_set_aside_and_its_points_are_counted(reopen: OpenIt, tmp_path: Path, content: bytes) -> None:
    opened = reopen(stores=("main",))
    opened.spool.put(batch("1", "2"))
    (path,) = (tmp_path / "main" / BUCKET).iterdir()
    path.write_bytes(content)
    file = claimed(opened.spool)

    with pytest.raises(Damaged):
        opened.spool.read(file)
    opened.spool.set_aside(file)

    totals = opened.counters["main"].snapshot()
    assert totals.dropped["damaged"] == 2
    assert files_of(tmp_path, "main") == []
    assert [path.read_bytes() for path in (tmp_path / "rejected" / "main" / BUCKET).iterdir()] == [content]


def test_a_file_removed_by_someone_counts_as_damaged_and_does_not_stop_the_others(
    reopen: OpenIt, tmp_path: Path
) -> None:
    opened = reopen(stores=("main",))
    opened.spool.put(batch("1", "2"))
    (path,) = (tmp_path / "main" / BUCKET).iterdir()
    path.unlink()
    file = claimed(opened.spool)

    with pytest.raises(Damaged):
        opened.spool.read(file)
    opened.spool.set_aside(file)

    assert opened.spool.claim("main", BUCKET) is None
    assert opened.counters["main"].snapshot().dropped["damaged"] == 2


def test_a_file_with_a_foreign_name_is_moved_out_of_the_way(reopen: OpenIt, tmp_path: Path) -> None:
    reopen().spool.put(batch("1"))
    (tmp_path / "main" / BUCKET / "notes.txt").write_text("?")

    opened = reopen()

    assert (opened.recovered["main"].files, opened.recovered["main"].strays) == (1, 1)
    assert (tmp_path / "rejected" / "main" / BUCKET / "notes.txt.damaged").exists()


def test_a_full_spool_drops_the_oldest_batch_and_counts_its_points(reopen: OpenIt, tmp_path: Path) -> None:
    opened = reopen(max_files=2)
    opened.spool.put(batch("1", "2", "3"))
    opened.spool.put(batch("4", bucket="other"))

    opened.spool.put(batch("5"))

    assert opened.counters["main"].snapshot().dropped["spool_full"] == 3
    assert [name.split("-")[1] for name in files_of(tmp_path, "main")] == ["1.lp.gz", "1.lp.gz"]


def test_the_limit_in_bytes_holds_but_never_drops_the_newest_batch(reopen: OpenIt) -> None:
    opened = reopen(max_bytes=1)
    opened.spool.put(batch("1"))
    opened.spool.put(batch("2"))

    assert opened.spool.level("main").files == 1
    assert opened.spool.read(claimed(opened.spool)).lines == ("2",)


def test_a_file_being_sent_is_spared_and_the_next_oldest_is_dropped(reopen: OpenIt) -> None:
    opened = reopen(max_files=2)
    opened.spool.put(batch("1"))
    file = claimed(opened.spool)
    opened.spool.put(batch("2", "2"))
    opened.spool.put(batch("3"))

    opened.spool.acknowledge(file)

    totals = opened.counters["main"].snapshot()
    assert (totals.dropped["spool_full"], totals.acknowledged) == (2, 1)
    assert opened.spool.read(claimed(opened.spool)).lines == ("3",)


def test_two_processes_cannot_share_a_spool(reopen: OpenIt, tmp_path: Path) -> None:
    reopen()
    other = Spool(tmp_path, {"main": PointCounters()}, max_bytes=1, max_files=1)

    with pytest.raises(SpoolInUse, match=str(tmp_path)):
        other.recover()


def test_a_line_that_contains_two_is_refused_before_it_is_written(reopen: OpenIt) -> None:
    with pytest.raises(ValueError, match="newline"):
        reopen().spool.put(batch("1\n2"))


@pytest.mark.parametrize("name", ["rejected", "incoming", "../up", "", ".hidden"])
def test_a_store_cannot_have_a_name_that_the_spool_reserves(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="store name"):
        Spool(tmp_path, {name: PointCounters()}, max_bytes=1, max_files=1)


def test_the_level_reports_the_nearer_limit_and_the_oldest_age(reopen: OpenIt) -> None:
    spool = reopen(max_files=4).spool
    assert spool.level("main").oldest_written_seconds is None
    spool.put(batch("1", "2"))

    level = spool.level("main")

    assert (level.files, level.points, level.fraction) == (1, 2, 0.25)
    assert level.oldest_written_seconds is not None


def test_rejected_lines_are_line_protocol_under_the_reason_and_the_folder_is_bounded(tmp_path: Path) -> None:
    rejected = Rejected(tmp_path, max_bytes=10_000, max_files=2)

    paths = [rejected.keep_lines("main", BUCKET, number, [("bad line", "400 no\nline")]) for number in range(3)]

    assert [path.exists() for path in paths] == [False, True, True]
    assert paths[2].read_text() == "# 400 no line\nbad line\n"


def test_a_row_of_the_exchange_is_kept_once_as_json_under_the_reason(tmp_path: Path) -> None:
    rejected = Rejected(tmp_path, max_files=2)

    kept = rejected.keep_row("BTC/USDT:USDT", "3m", 180_000, [180_000, "1", None], "number: close\nis no text")
    again = rejected.keep_row("BTC/USDT:USDT", "3m", 180_000, [180_000, "1", None], "number: close\nis no text")
    other = rejected.keep_row("BTC/USDT:USDT", "3m", 180_000, [180_000, "1", "-1"], "number: below zero")

    assert kept is not None
    assert kept.parent == tmp_path / "exchange" / "3m"
    assert kept.read_text() == '# number: close is no text\n[180000, "1", null]\n'
    assert again is None
    assert other is not None
    assert other.exists()
    rejected.keep_row("T$/USDT:USDT", "3m", 180_000, [180_000], "why")
    assert len(list(kept.parent.iterdir())) == 2
