"""What a store must hold: where it starts, remembered across restarts, and what has been filled."""

from pathlib import Path

import pytest

from collector.repair.coverage import Coverage
from exchange.events import CANDLE_MS

PAIR = "BTC/USDT:USDT"
START = 1_790_000_000_000 // CANDLE_MS * CANDLE_MS
DAY_MS = 86_400_000


def begun(folder: Path) -> Coverage:
    coverage = Coverage(folder, "main")
    coverage.begin(START)
    return coverage


def test_the_start_is_remembered_and_does_not_move_forward_on_a_restart(tmp_path: Path) -> None:
    begun(tmp_path)
    later = Coverage(tmp_path, "main")
    later.begin(START + DAY_MS)
    assert later.start_ms(PAIR, 0) == START
    other = Coverage(tmp_path, "second")
    other.begin(START + DAY_MS)
    assert other.start_ms(PAIR, 0) == START + DAY_MS


def test_a_pair_is_covered_from_its_listing_if_that_is_later(tmp_path: Path) -> None:
    assert begun(tmp_path).start_ms(PAIR, START + DAY_MS + 1) == START + DAY_MS


def test_a_configured_start_replaces_the_remembered_one(tmp_path: Path) -> None:
    begun(tmp_path)
    assert Coverage(tmp_path, "main", configured_start_ms=START - DAY_MS).start_ms(PAIR, 0) == START - DAY_MS


def test_what_a_backfill_extends_is_visible_to_the_collector_and_kept(tmp_path: Path) -> None:
    running = begun(tmp_path)
    backfill = Coverage(tmp_path, "main")
    backfill.extend(PAIR, START - DAY_MS)
    backfill.extend(PAIR, START)  # never shortened
    assert running.start_ms(PAIR, 0) == START
    running.refresh()
    assert running.start_ms(PAIR, 0) == START - DAY_MS
    assert running.start_ms("ETH/USDT:USDT", 0) == START
    assert begun(tmp_path).start_ms(PAIR, 0) == START - DAY_MS


def test_a_backfill_before_the_first_run_is_covered(tmp_path: Path) -> None:
    Coverage(tmp_path / "state", "main").extend(PAIR, START - DAY_MS)
    assert begun(tmp_path / "state").start_ms(PAIR, 0) == START - DAY_MS


def test_a_missing_candle_is_a_gap_only_once_its_range_has_been_filled(tmp_path: Path) -> None:
    coverage = begun(tmp_path)
    assert coverage.is_fill(PAIR, START)
    coverage.checked(START + DAY_MS, {PAIR: START})
    for known in (coverage, Coverage(tmp_path, "main")):
        assert not known.is_fill(PAIR, START)
        assert known.is_fill(PAIR, START - CANDLE_MS)
        assert known.is_fill("ETH/USDT:USDT", START)
        assert known.checked_until_ms == START + DAY_MS


def test_a_damaged_file_is_reported_by_name(tmp_path: Path) -> None:
    (tmp_path / "ledger-main.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"ledger-main\.json is damaged"):
        Coverage(tmp_path, "main")
