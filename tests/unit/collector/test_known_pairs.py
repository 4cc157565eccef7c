"""A configured pair that is gone: if known before, it is left out with a warning; otherwise the name is wrong."""

from pathlib import Path

import pytest

from collector.commands.workspace import chosen
from collector.config import Config
from collector.feed.known_pairs import FILE, KnownPairs, fits_one_of, states_at_start, without_gone
from exchange.universe import Instrument, Selection, UnknownPair, select
from tests.unit.collector.test_universe_watch import symbol, universe

BTC, MATIC = symbol("BTC"), symbol("MATIC")
NAMED = [BTC.pair, MATIC.pair]
WITHOUT_MATIC = universe(BTC)


def known(folder: Path, *infos: Instrument) -> frozenset[str]:
    """What a process knows if an earlier one saw these."""
    KnownPairs(folder).add(infos)
    return KnownPairs(folder).pairs


def test_a_known_pair_that_is_gone_is_separated_from_those_that_are_collected(tmp_path: Path) -> None:
    left = without_gone(WITHOUT_MATIC, NAMED, known(tmp_path, BTC, MATIC))
    assert (left.pairs, left.gone) == ([BTC.pair], (MATIC.pair,))
    assert select(WITHOUT_MATIC, left.pairs).symbols == (BTC,)


def test_a_name_that_was_never_known_is_still_refused(tmp_path: Path) -> None:
    left = without_gone(WITHOUT_MATIC, NAMED, known(tmp_path, BTC))
    with pytest.raises(UnknownPair, match="MATIC"):
        select(WITHOUT_MATIC, left.pairs)


def test_a_pair_that_became_another_kind_of_contract_counts_as_gone(tmp_path: Path) -> None:
    names = known(tmp_path, BTC, MATIC)
    other_kind = universe(BTC, symbol("MATIC", kind="other"))
    assert without_gone(other_kind, NAMED, names).gone == (MATIC.pair,)


@pytest.mark.parametrize("knows", [(BTC, MATIC), ()])
def test_a_pair_with_an_unreadable_row_is_neither_gone_nor_a_wrong_name_and_does_not_block_others(
    tmp_path: Path, knows: tuple[Instrument, ...]
) -> None:
    answer = universe(BTC, invalid=["MATICUSDT"])
    left = without_gone(answer, NAMED, known(tmp_path, *knows))
    assert (left.pairs, left.gone) == (NAMED, ())
    selection = select(answer, left.pairs)
    assert (selection.symbols, selection.unreadable) == ((BTC,), (MATIC.pair,))
    assert states_at_start(selection, ()) == {MATIC.pair: "halted"}, "its silence raises no alert"
    assert chosen(answer, configured(tmp_path), [], known(tmp_path, *knows)) == [BTC]


def test_a_listed_pair_is_not_gone_regardless_of_its_status(tmp_path: Path) -> None:
    names = known(tmp_path, BTC, MATIC)
    for status in ("TRADING", "SETTLING", "TRADING_HALT"):
        assert without_gone(universe(BTC, symbol("MATIC", status)), NAMED, names).gone == ()
    assert without_gone(WITHOUT_MATIC, "all", names) == ("all", ())


def test_without_the_file_the_pairs_in_the_ledgers_are_known(tmp_path: Path) -> None:
    (tmp_path / "ledger-main.json").write_text('{"start_ms":1,"filled_from":{"MATIC/USDT:USDT":2}}', encoding="utf-8")
    assert KnownPairs(tmp_path).pairs == {MATIC.pair}


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"pairs":1}'])
def test_a_damaged_file_counts_as_empty_and_is_rewritten(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    assert KnownPairs(tmp_path).pairs == frozenset()
    assert known(tmp_path, BTC) == {BTC.pair}


def test_a_state_folder_that_cannot_be_written_does_not_prevent_collecting(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file in the folder's place", encoding="utf-8")
    pairs = KnownPairs(tmp_path / "state")
    pairs.add([BTC])
    assert pairs.pairs == {BTC.pair}


def test_a_configured_pair_that_is_not_collected_has_a_state() -> None:
    selection = Selection((BTC,), (symbol("A", "SETTLING"), symbol("B", "TRADING_HALT")))
    states = {"A/USDT:USDT": "delisted", "B/USDT:USDT": "halted", MATIC.pair: "delisted"}
    assert states_at_start(selection, [MATIC.pair]) == states


def test_a_pattern_of_a_known_pair_is_outdated_and_any_other_is_wrong() -> None:
    assert fits_one_of("MATIC/*", [MATIC.pair])
    assert not fits_one_of("MATICUSDT", [MATIC.pair])


@pytest.mark.parametrize("patterns", [[], ["*/USDT:USDT"]])
def test_audit_and_backfill_leave_out_a_pair_that_is_gone(tmp_path: Path, patterns: list[str]) -> None:
    config = configured(tmp_path)
    assert chosen(WITHOUT_MATIC, config, patterns, known(tmp_path, BTC, MATIC)) == [BTC]
    with pytest.raises(UnknownPair):
        chosen(WITHOUT_MATIC, config, patterns)


def configured(folder: Path) -> Config:
    store = {"name": "main", "url": "http://localhost"}
    store |= {f"{kind}_token_file": str(folder / kind) for kind in ("ingest", "repair")}
    return Config.model_validate(
        {
            "collector": {"name": "collector-1", "state_dir": str(folder)},
            "exchange": {"pairs": NAMED},
            "store": [store],
        }
    )
