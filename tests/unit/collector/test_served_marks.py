"""A mark price from REST makes a pair as fresh as the price is, and no fresher."""

from collections.abc import Callable
from pathlib import Path

import pytest

from collector.delivery.batch import Batcher
from collector.delivery.points import PointCounters
from collector.delivery.spool import Spool
from collector.delivery.writer import Writer
from collector.ingest.ingest import Ingest
from collector.model.clock import ExchangeClock
from exchange.events import FUNDING, MARK_PRICE, MarkPrice

PAIR = "BTC/USDT:USDT"
NOW_SECONDS = 1_791_383_690.0
NOW_MS = int(NOW_SECONDS * 1000)


@pytest.fixture
def last_message(tmp_path: Path) -> Callable[[MarkPrice], dict[str, float]]:
    """Deliver a mark price by REST; return when each channel was last heard, as in the metrics."""
    points = PointCounters()
    writer = Writer(
        Batcher(),
        Spool(tmp_path, {"main": points}, max_bytes=1_000_000, max_files=10),
        {"main": points},
        wake=lambda _bucket: None,
    )
    wall = [NOW_SECONDS - 100]
    clock = ExchangeClock(lambda: 0)
    clock.observe(NOW_MS)
    ingest = Ingest(clock, writer, wall_seconds=lambda: wall[0], observe_latency=lambda *_: None)
    ingest.watch(PAIR, NOW_MS // 180_000 * 180_000)
    wall[0] = NOW_SECONDS

    def serve(event: MarkPrice) -> dict[str, float]:
        ingest.on_rest_mark_price(event)
        return ingest.freshness[PAIR].last_message_seconds

    return serve


def mark(age_ms: int, next_funding_time_ms: int = NOW_MS + 3_600_000) -> MarkPrice:
    return MarkPrice(PAIR, NOW_MS - age_ms, "100.0", "100.1", "0.0001", next_funding_time_ms)


def test_a_new_price_is_as_good_as_a_frame(last_message: Callable[[MarkPrice], dict[str, float]]) -> None:
    heard = last_message(mark(500))
    assert heard[MARK_PRICE] == heard[FUNDING] == NOW_SECONDS - 0.5


def test_an_unchanged_price_ages(last_message: Callable[[MarkPrice], dict[str, float]]) -> None:
    assert last_message(mark(70_000))[MARK_PRICE] == NOW_SECONDS - 70


def test_an_old_price_does_not_make_a_pair_older(last_message: Callable[[MarkPrice], dict[str, float]]) -> None:
    assert last_message(mark(500_000))[MARK_PRICE] == NOW_SECONDS - 100


def test_a_contract_without_funding_has_no_fresh_funding(
    last_message: Callable[[MarkPrice], dict[str, float]],
) -> None:
    assert last_message(mark(500, next_funding_time_ms=0))[FUNDING] == NOW_SECONDS - 100


def test_a_price_from_a_clock_ahead_of_ours_counts_as_current(
    last_message: Callable[[MarkPrice], dict[str, float]],
) -> None:
    assert last_message(mark(-900))[MARK_PRICE] == NOW_SECONDS
