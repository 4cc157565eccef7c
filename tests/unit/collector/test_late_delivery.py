"""What a late spool delivers is remembered as a span, across restarts, until it is verified."""

from pathlib import Path

import pytest

from collector.verify.late import LATE_SECONDS, LateDelivery

HOUR_MS = 3_600_000
START = 1_790_000_000_000 // HOUR_MS * HOUR_MS
NOW = 1_000_000.0
LATE = NOW - LATE_SECONDS - 1


class Spool:
    """When the oldest waiting file was written."""

    oldest: float | None = LATE

    def __call__(self) -> float | None:
        return self.oldest


@pytest.fixture
def spool() -> Spool:
    return Spool()


def late(folder: Path, spool: Spool) -> LateDelivery:
    return LateDelivery(folder / "late-main.json", spool, wall_seconds=lambda: NOW)


def lines(*times_ms: int) -> list[str]:
    return [f"ohlcv_3m,exchange=E,pair=BTC/USDT:USDT close=1 {time_ms}" for time_ms in times_ms]


def test_the_span_is_due_once_the_late_files_have_left(tmp_path: Path, spool: Spool) -> None:
    delivery = late(tmp_path, spool)
    delivery.on_delivered("market_data", lines(START + 5, START + HOUR_MS + 5))
    delivery.on_delivered("market_data", lines(START - 5))
    assert delivery.due() is None
    spool.oldest = NOW - 10
    assert delivery.due() == (START - HOUR_MS, START + 2 * HOUR_MS)
    spool.oldest = None
    assert delivery.due() == (START - HOUR_MS, START + 2 * HOUR_MS)


def test_points_delivered_in_time_or_other_than_candles_are_not_verified(tmp_path: Path, spool: Spool) -> None:
    delivery = late(tmp_path, spool)
    delivery.on_delivered("market_data_samples", lines(START))
    delivery.on_delivered("market_data", [f"gaps,pair=X state=1 {START}"])
    spool.oldest = NOW - 10
    delivery.on_delivered("market_data", lines(START))
    assert delivery.due() is None


def test_a_restart_does_not_forget_the_span(tmp_path: Path, spool: Spool) -> None:
    late(tmp_path, spool).on_delivered("market_data", lines(START))
    spool.oldest = None
    assert late(tmp_path, spool).due() == (START, START + HOUR_MS)


def test_a_verified_span_is_done_unless_it_has_grown_meanwhile(tmp_path: Path, spool: Spool) -> None:
    delivery = late(tmp_path, spool)
    delivery.on_delivered("market_data", lines(START))
    spool.oldest = None
    span = delivery.due()
    assert span
    spool.oldest = LATE
    delivery.on_delivered("market_data", lines(START + HOUR_MS))
    delivery.verified(span)
    spool.oldest = None
    grown = delivery.due()
    assert grown == (START, START + 2 * HOUR_MS)
    delivery.verified(grown)
    assert delivery.due() is None
    assert late(tmp_path, spool).due() is None
