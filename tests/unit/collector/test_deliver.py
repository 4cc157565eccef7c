"""Delivery to a store that is a function: which points end up where, whatever it responds."""

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.delivery.batch import Batch
from collector.delivery.deliver import FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS, Deliverer, delay_seconds
from collector.delivery.points import PointCounters, PointTotals
from collector.delivery.spool import Spool
from collector.store.write import BadRequest, Outcome, Partial, Retry, TooLarge, Written
from service.backoff import Backoff
from tests.support import eventually_async, examples

BUCKET = "market_data"


class Store:
    """Behaves like InfluxDB: a line that starts with "bad" spoils the request, one with "conflict" only itself."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.requests = 0
        self.max_lines = 10**9
        self.answers: list[Retry] = []
        self.missing: set[str] = set()

    async def write(self, bucket: str, compressed: bytes) -> Outcome:
        await asyncio.sleep(0)
        self.requests += 1
        if bucket in self.missing:
            return Retry("not_found", f"404 bucket {bucket} not found")
        if self.answers:
            return self.answers.pop(0)
        lines = gzip.decompress(compressed).decode().splitlines()
        if len(lines) > self.max_lines:
            return TooLarge("413")
        if any(line.startswith("bad") for line in lines):
            return BadRequest("400 unable to parse")
        taken = [line for line in lines if not line.startswith("conflict")]
        self.lines += taken
        # Like InfluxDB with points of several shards: it reports those of one of them.
        return Written() if taken == lines else Partial(1, "422 partial write dropped=1")


class Setup:
    """One spool, one store, and the deliverer's callbacks."""

    def __init__(self, root: Path, *, max_files: int = 1_000) -> None:
        self.root = root
        self.counters = PointCounters()
        self.spool = Spool(root, {"main": self.counters}, max_bytes=10**9, max_files=max_files)
        self.spool.recover()
        self.store = Store()
        self.delivered: list[str] = []
        self.delays: list[float] = []
        self.deliverer = self.new_deliverer()

    def new_deliverer(self, on_delivered: Callable[[str, Sequence[str]], Awaitable[None]] | None = None) -> Deliverer:
        return Deliverer(
            "main",
            self.spool,
            self.store.write,
            on_delivered=on_delivered or self.note,
            sleep=self.note_delay,
            random=lambda: 0.999,
        )

    async def note(self, _bucket: str, lines: Sequence[str]) -> None:
        self.delivered += lines

    async def note_delay(self, seconds: float) -> None:
        self.delays.append(seconds)
        await asyncio.sleep(0)

    def put(self, *lines: str, bucket: str = BUCKET) -> None:
        self.counters.queued(len(lines))
        self.counters.batched(len(lines))
        self.spool.put(Batch(bucket, lines))

    def rejected(self) -> list[str]:
        texts = [path.read_text() for path in sorted((self.root / "rejected").rglob("*.lp"))]
        return [line for text in texts for line in text.splitlines() if not line.startswith("#")]

    def totals(self) -> PointTotals:
        totals = self.counters.snapshot()
        assert totals.unaccounted == 0
        return totals


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path)


@asynccontextmanager
async def running(deliverer: Deliverer) -> AsyncIterator[None]:
    task = asyncio.create_task(deliverer.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def deliver_all(setup: Setup) -> None:
    async with running(setup.deliverer):
        await eventually_async(lambda: setup.spool.level("main").files == 0)


async def test_waiting_and_arriving_points_are_delivered_in_order(setup: Setup) -> None:
    setup.put("1", "2")
    async with running(setup.deliverer):
        await eventually_async(lambda: setup.spool.level("main").files == 0)
        setup.put("3")
        setup.deliverer.wake(BUCKET)
        await eventually_async(lambda: setup.spool.level("main").files == 0)

    assert setup.store.lines == setup.delivered == ["1", "2", "3"]
    assert setup.totals().acknowledged == 3


async def test_a_deliverer_that_was_stopped_can_be_run_again(setup: Setup) -> None:
    setup.put("1")
    await deliver_all(setup)
    setup.put("2")

    await deliver_all(setup)

    assert setup.store.lines == ["1", "2"]


async def test_one_malformed_line_among_5000_is_found_and_the_others_arrive(setup: Setup) -> None:
    lines = [f"ok {number}" for number in range(5_000)]
    lines[3_210] = "bad line"
    setup.put(*lines)

    await deliver_all(setup)

    assert setup.store.lines == setup.delivered == [line for line in lines if line != "bad line"]
    assert setup.rejected() == ["bad line"]
    assert (setup.totals().acknowledged, setup.totals().rejected) == (4_999, 1)
    assert setup.store.requests <= 2 * 13 + 1


async def test_points_dropped_from_two_shards_are_all_found_although_the_store_reports_one_shard(setup: Setup) -> None:
    setup.put("1", "conflict a", "2", "3", "conflict b")

    await deliver_all(setup)

    assert sorted(setup.rejected()) == ["conflict a", "conflict b"]
    assert set(setup.delivered) == set(setup.store.lines) == {"1", "2", "3"}
    assert (setup.totals().acknowledged, setup.totals().rejected) == (3, 2)


async def test_a_body_too_large_for_a_proxy_is_sent_in_pieces(setup: Setup) -> None:
    setup.store.max_lines = 3
    lines = [str(number) for number in range(20)]
    setup.put(*lines)

    await deliver_all(setup)

    assert setup.store.lines == lines
    assert setup.totals().acknowledged == 20


@settings(max_examples=examples(40))
@given(
    kinds=st.lists(st.sampled_from(["ok", "bad", "conflict"]), min_size=1, max_size=40),
    max_lines=st.integers(1, 40),
    stumbles=st.integers(0, 5),
)
def test_every_good_line_arrives_and_every_bad_one_is_kept_in_any_mixture(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[str], max_lines: int, stumbles: int
) -> None:
    setup = Setup(tmp_path_factory.mktemp("spool"))
    setup.store.max_lines = max_lines
    setup.store.answers = [Retry("server_error", "500")] * stumbles
    lines = [f"{kind} {number}" for number, kind in enumerate(kinds)]
    good = [line for line in lines if line.startswith("ok")]
    setup.put(*lines)

    asyncio.run(deliver_all(setup))

    assert list(dict.fromkeys(setup.store.lines)) == good
    assert list(dict.fromkeys(setup.delivered)) == good
    assert setup.rejected() == [line for line in lines if line not in good]
    assert setup.totals().acknowledged == len(good)
    setup.spool.close()


async def test_a_refusal_that_is_not_the_datas_fault_keeps_the_file_until_it_ends(setup: Setup) -> None:
    setup.store.answers = [Retry("unauthorized", "401"), Retry("server_error", "503", 7.0), Retry("timeout", "")]
    setup.put("1")

    await deliver_all(setup)

    assert setup.store.lines == ["1"]
    assert setup.delays[1] == 7.0
    assert setup.deliverer.waiting_for == {}


async def test_a_poisoned_bucket_does_not_block_another(setup: Setup) -> None:
    setup.store.missing = {BUCKET}
    setup.put("1")
    setup.put("2", bucket="samples")

    async with running(setup.deliverer):
        await eventually_async(lambda: setup.store.lines == ["2"])
        await eventually_async(lambda: BUCKET in setup.deliverer.waiting_for)
        assert setup.spool.level("main").points == 1
        setup.store.missing = set()
        await eventually_async(lambda: setup.spool.level("main").files == 0)

    assert setup.store.lines == ["2", "1"]


async def test_a_file_waiting_for_its_next_attempt_is_dropped_first_when_the_spool_is_full(tmp_path: Path) -> None:
    setup, refused, again = Setup(tmp_path, max_files=2), asyncio.Event(), asyncio.Event()

    async def wait(_seconds: float) -> None:
        refused.set()
        await again.wait()

    setup.deliverer = Deliverer("main", setup.spool, setup.store.write, on_delivered=setup.note, sleep=wait)
    setup.store.answers = [Retry("connection", "refused")]
    setup.put("1")
    async with running(setup.deliverer):
        await refused.wait()
        setup.put("2")
        setup.put("3")
        again.set()
        await eventually_async(lambda: setup.spool.level("main").files == 0)

    assert setup.store.lines == ["2", "3"]
    assert setup.totals().dropped["spool_full"] == 1


async def test_an_outage_is_logged_once_when_it_starts_and_once_when_it_ends(
    setup: Setup, caplog: pytest.LogCaptureFixture
) -> None:
    setup.store.answers = [Retry("connection", "refused")] * 20
    setup.put("1")

    with caplog.at_level(logging.INFO):
        await deliver_all(setup)

    assert len(setup.delays) == 20
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 2


async def test_a_damaged_file_is_set_aside_and_the_next_one_is_delivered(setup: Setup) -> None:
    setup.put("1", "2")
    (path,) = (setup.root / "main" / BUCKET).iterdir()
    path.write_bytes(path.read_bytes()[:-4])
    setup.put("3")

    await deliver_all(setup)

    assert setup.store.lines == ["3"]
    assert setup.totals().dropped["damaged"] == 2


async def test_on_delivered_is_called_before_the_file_is_removed_and_its_failure_keeps_the_file(setup: Setup) -> None:
    seen: list[int] = []

    async def full_disk_once(_bucket: str, _lines: Sequence[str]) -> None:
        await asyncio.sleep(0)
        seen.append(setup.spool.level("main").files)
        if len(seen) == 1:
            raise OSError(28, "No space left on device")

    setup.deliverer = setup.new_deliverer(full_disk_once)
    setup.put("1")

    await deliver_all(setup)

    assert seen == [1, 1]
    assert setup.totals().acknowledged == 1


async def test_a_crash_after_the_response_leads_to_a_second_delivery_that_does_not_change_the_store(
    setup: Setup,
) -> None:
    setup.put("1")

    async def dies(_bucket: str, _lines: Sequence[str]) -> None:
        await asyncio.sleep(0)
        raise RuntimeError("killed")

    with pytest.raises(ExceptionGroup):
        await setup.new_deliverer(dies).run()
    setup.deliverer = setup.new_deliverer()
    await deliver_all(setup)

    assert setup.store.lines == ["1", "1"]
    assert setup.totals().acknowledged == 1


@given(st.integers(1, 10_000), st.none() | st.floats(0, 10**9), st.floats(0, 1, exclude_max=True))
def test_the_delay_is_capped_and_never_shorter_than_a_reasonable_retry_after(
    failures: int, retry_after_seconds: float | None, jitter: float
) -> None:
    backoff = Backoff(FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS, lambda: jitter)
    backoff.failures = failures - 1

    delay = delay_seconds(backoff, retry_after_seconds)

    assert 0.1 < delay <= 300
    assert delay >= min(retry_after_seconds or 0, 300)
    if retry_after_seconds is None:
        assert delay <= LONGEST_DELAY_SECONDS
