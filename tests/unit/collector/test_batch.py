"""Batches: every line once, in order, never too many and never too old."""

from hypothesis import given
from hypothesis import strategies as st

from collector.delivery.batch import Batch, Batcher

MAX_AGE_NS = 200


def test_a_full_batch_closes_with_the_line_that_filled_it() -> None:
    batcher = Batcher(max_lines=3, max_age_ns=MAX_AGE_NS)

    closed = [batcher.add("b", line, 0) for line in ("1", "2", "3", "4")]

    assert closed == [None, None, Batch("b", ("1", "2", "3")), None]
    assert batcher.points == 1


def test_a_batch_is_due_by_the_age_of_its_first_line_not_its_last() -> None:
    batcher = Batcher(max_lines=10, max_age_ns=MAX_AGE_NS)
    batcher.add("b", "1", 1_000)
    batcher.add("b", "2", 1_199)

    assert batcher.next_due_ns() == 1_200
    assert batcher.due(1_199) == []
    assert batcher.due(1_200) == [Batch("b", ("1", "2"))]
    assert batcher.next_due_ns() is None


def test_buckets_are_batched_separately() -> None:
    batcher = Batcher(max_lines=2, max_age_ns=MAX_AGE_NS)
    batcher.add("a", "1", 0)
    batcher.add("b", "2", 50)

    assert batcher.due(200) == [Batch("a", ("1",))]
    assert batcher.next_due_ns() == 250
    assert batcher.flush() == [Batch("b", ("2",))]
    assert batcher.flush() == []


arrivals = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 150), st.booleans()), max_size=60)


@given(arrivals, st.integers(1, 7))
def test_every_line_leaves_once_and_in_order_within_its_bucket(
    steps: list[tuple[str, int, bool]], max_lines: int
) -> None:
    batcher = Batcher(max_lines=max_lines, max_age_ns=MAX_AGE_NS)
    now_ns, sent, left = 0, [], []
    for number, (bucket, waited_ns, asks) in enumerate(steps):
        now_ns += waited_ns
        sent.append((bucket, str(number)))
        closed = batcher.add(bucket, str(number), now_ns)
        left += [closed] if closed else []
        if asks:
            left += batcher.due(now_ns)
            due_ns = batcher.next_due_ns()
            assert due_ns is None or due_ns > now_ns
        assert batcher.points + sum(len(batch.lines) for batch in left) == len(sent)
    left += batcher.flush()

    assert all(0 < len(batch.lines) <= max_lines for batch in left)
    for bucket in "abc":
        came = [line for owner, line in sent if owner == bucket]
        assert [line for batch in left if batch.bucket == bucket for line in batch.lines] == came
