"""The points law holds at every instant, by batch and spool on a real disk, through crashes, damage and full spools."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from collector.delivery.batch import Batch, Batcher
from collector.delivery.points import PointCounters
from collector.delivery.spool import Damaged, Spool
from collector.delivery.spool_index import SpoolFile
from tests.support import examples

STORES = ("main", "second")
BUCKETS = ("market_data", "samples")
MAX_FILES = 5


class Crash(BaseException):
    """The process ends here: nothing in it continues, not even clean-up."""


@contextlib.contextmanager
def disk(*, crash_at: int | None = None) -> Iterator[None]:
    """Every call that changes the disk may be the last one. Syncing itself is left out: it only costs time here."""
    calls = 0
    real: dict[str, Callable[..., Any]] = {name: getattr(os, name) for name in ("link", "unlink", "replace", "fsync")}

    def counted(name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls - 1 == crash_at:
                raise Crash
            return None if name == "fsync" else real[name](*arguments, **options)

        return call

    try:
        for name in real:
            setattr(os, name, counted(name))
        yield
    finally:
        for name, function in real.items():
            setattr(os, name, function)


class PointsLaw(RuleBasedStateMachine):
    """Batches, two stores and their files. The model is a dict of the lines in each file of each store."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.next_line = 0
        self.now_ns = 0
        self.files: dict[str, dict[str, tuple[str, ...]]] = {store: {} for store in STORES}
        self.damaged: set[int] = set()
        self.held: SpoolFile | None = None
        self.spool: Spool | None = None
        self.start()

    def teardown(self) -> None:
        assert self.spool is not None
        self.spool.close()
        shutil.rmtree(self.root)

    def start(self) -> None:
        """What a new process does; the content of queue and batch is gone with the old one."""
        if self.spool is not None:
            self.spool.close()
        self.counters = {store: PointCounters() for store in STORES}
        self.batcher = Batcher(max_lines=4, max_age_ns=100)
        self.held = None
        self.spool = Spool(self.root, self.counters, max_bytes=10**9, max_files=MAX_FILES, now_ms=lambda: 1)
        with disk():
            recovered = self.spool.recover()
        for store in STORES:
            assert recovered[store].strays == 0
            assert recovered[store].points == sum(len(lines) for lines in self.files[store].values())

    def names_on_disk(self, store: str) -> set[str]:
        return {f"{path.parent.name}/{path.name}" for path in (self.root / store).glob("*/*")}

    def put(self, batch: Batch) -> None:
        assert self.spool is not None
        dropped = {store: self.counters[store].snapshot().dropped["spool_full"] for store in STORES}
        with disk():
            self.spool.put(batch)
        for store in STORES:
            names = self.names_on_disk(store)
            (new,) = names - self.files[store].keys()
            self.files[store][new] = batch.lines
            lost = [self.files[store].pop(name) for name in self.files[store].keys() - names]
            now = self.counters[store].snapshot().dropped["spool_full"]
            assert now - dropped[store] == sum(len(lines) for lines in lost)

    def crash_while(self, step: int, action: Callable[[], None]) -> bool:
        """Whether the process died; a file it was writing may then be cut off anywhere."""
        try:
            with disk(crash_at=step):
                action()
        except Crash:
            for half in self.root.glob("incoming/*/*.tmp"):
                if half.stat().st_nlink == 1:
                    half.write_bytes(half.read_bytes()[: step * 7])
            return True
        return False

    @rule(bucket=st.sampled_from(BUCKETS), count=st.integers(1, 5))
    def lines_come(self, bucket: str, count: int) -> None:
        for _ in range(count):
            self.next_line += 1
            for counters in self.counters.values():
                counters.queued(1)
                counters.batched(1)
            closed = self.batcher.add(bucket, f"m v={self.next_line}", self.now_ns)
            if closed is not None:
                self.put(closed)

    @rule(count=st.integers(1, 3))
    def lines_find_the_queue_full(self, count: int) -> None:
        for counters in self.counters.values():
            counters.refused(count)

    @rule(passed_ns=st.integers(0, 150))
    def time_passes(self, passed_ns: int) -> None:
        self.now_ns += passed_ns
        for batch in self.batcher.due(self.now_ns):
            self.put(batch)

    @rule()
    def everything_is_flushed(self) -> None:
        for batch in self.batcher.flush():
            self.put(batch)

    @precondition(lambda self: self.batcher.points)
    @rule(step=st.integers(0, 12))
    def the_process_dies_while_it_writes(self, step: int) -> None:
        assert self.spool is not None
        spool, (batch, *others) = self.spool, self.batcher.flush()
        before = {store: self.names_on_disk(store) for store in STORES}
        died = self.crash_while(step, lambda: spool.put(batch))
        # The next process completes a crash while linking, so look only after it has started.
        self.model_what_a_put_left(batch, before, settle=died)
        for other in [] if died else others:
            self.put(other)

    def model_what_a_put_left(self, batch: Batch, before: dict[str, set[str]], *, settle: bool) -> None:
        if settle:
            assert self.spool is not None
            self.spool.close()
            scratch = Spool(self.root, {s: PointCounters() for s in STORES}, max_bytes=10**9, max_files=10**6)
            with disk():
                scratch.recover()
            scratch.close()
        new = {store: self.names_on_disk(store) - before[store] for store in STORES}
        assert new["main"] == new["second"], "a batch is in all stores or in none"
        for store in STORES:
            for name in new[store]:
                self.files[store][name] = batch.lines
            for name in self.files[store].keys() - self.names_on_disk(store):
                del self.files[store][name]
        if settle:
            self.start()

    @rule(store=st.sampled_from(STORES), bucket=st.sampled_from(BUCKETS), refused=st.integers(0, 4))
    def a_store_takes_its_oldest_file(self, store: str, bucket: str, refused: int) -> None:
        assert self.spool is not None
        file = self.spool.claim(store, bucket)
        if file is None:
            return
        name = f"{bucket}/{file.name}"
        assert name == min(n for n in self.files[store] if n.startswith(bucket))
        with disk():
            try:
                body = self.spool.read(file)
            except Damaged:
                assert file.sequence in self.damaged
                self.spool.set_aside(file)
            else:
                assert body.lines == self.files[store][name]
                self.spool.acknowledge(file, rejected_points=min(refused, file.points))
        if file == self.held:
            self.held = None
        del self.files[store][name]

    @precondition(lambda self: self.held is None)
    @rule(store=st.sampled_from(STORES), bucket=st.sampled_from(BUCKETS))
    def a_file_is_being_sent(self, store: str, bucket: str) -> None:
        assert self.spool is not None
        self.held = self.spool.claim(store, bucket)

    @precondition(lambda self: self.held is not None)
    @rule()
    def the_store_says_try_again(self) -> None:
        assert self.spool is not None
        assert self.held is not None
        assert f"{self.held.bucket}/{self.held.name}" in self.files[self.held.store], "evicted while it was sent"
        self.spool.release(self.held)
        self.held = None

    @rule(store=st.sampled_from(STORES), bucket=st.sampled_from(BUCKETS), step=st.integers(0, 1))
    def the_process_dies_between_the_answer_and_the_removal(self, store: str, bucket: str, step: int) -> None:
        assert self.spool is not None
        spool, file = self.spool, self.spool.claim(store, bucket)
        if file is None:
            return
        if not self.crash_while(step, lambda: spool.acknowledge(file)):
            del self.files[store][f"{bucket}/{file.name}"]
        self.start()

    @rule(store=st.sampled_from(STORES), kept_bytes=st.integers(0, 30))
    def a_file_is_damaged(self, store: str, kept_bytes: int) -> None:
        for name in sorted(self.files[store])[:1]:
            path = self.root / store / name
            path.write_bytes(path.read_bytes()[:kept_bytes])  # a hard link: the other store's file is the same
            self.damaged.add(int(path.name.split("-")[0]))

    @rule()
    def the_process_is_killed_and_started_again(self) -> None:
        self.start()

    @invariant()
    def the_law_holds(self) -> None:
        for counters in self.counters.values():
            totals = counters.snapshot()
            assert totals.unaccounted == 0
            assert min(totals.in_queue, totals.in_batch, totals.in_spool) >= 0
            assert totals.in_batch == self.batcher.points

    @invariant()
    def the_counters_say_what_lies_on_the_disk(self) -> None:
        assert self.spool is not None
        for store in STORES:
            assert self.names_on_disk(store) == self.files[store].keys()
            points = sum(len(lines) for lines in self.files[store].values())
            assert self.counters[store].snapshot().in_spool == self.spool.level(store).points == points


TestPointsLaw = PointsLaw.TestCase
TestPointsLaw.settings = settings(max_examples=examples(60), stateful_step_count=40)
