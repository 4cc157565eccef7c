"""Members: which pairs are listed, halted or delisted, and which responses are not believed."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from collector.feed.symbols import ANSWERS_WITHOUT, Changes, Members
from exchange.binance.universe import ENDED
from exchange.universe import Instrument, InvalidRow, Kind, State, Universe

STATES: dict[str, State] = {"TRADING": "trading", **dict.fromkeys(ENDED, "ended")}


def symbol(base: str, status: str = "TRADING", kind: Kind = "coin") -> Instrument:
    state = STATES.get(status, "halted")
    return Instrument(f"{base}USDT", f"{base}/USDT:USDT", base, "USDT", kind, state, status, "", 2, 3, 0, 0)


def universe(*rows: Instrument, invalid: Sequence[str] = ()) -> Universe:
    return Universe({row.symbol: row for row in rows}, tuple(InvalidRow(name, "broken") for name in invalid))


def judge(members: Members, *rows: Instrument, invalid: Sequence[str] = ()) -> Changes:
    answer = universe(*rows, invalid=invalid)
    return members.judge(answer, answer.eligible())


A, B, C = symbol("A"), symbol("B"), symbol("C")
MANY = tuple(symbol(f"S{n:02}") for n in range(30))


def test_an_unchanged_universe_changes_nothing() -> None:
    assert judge(Members([A, B]), A, B) == Changes()


def test_a_listing_is_collected_once_and_only_when_it_trades() -> None:
    members = Members([A, B])
    assert judge(members, A, B, symbol("C", "PENDING_TRADING")) == Changes()
    assert judge(members, A, B, C) == Changes(listed=(C,))
    assert judge(members, A, B, C) == Changes()
    assert members.states == dict.fromkeys((A.pair, B.pair, C.pair), "listed")


def test_rows_of_other_kinds_are_never_collected() -> None:
    others = (
        symbol("XAU", kind="other"),
        replace(symbol("BTC"), symbol="BTCUSDT_261225", kind="other"),
        replace(symbol("ETH"), symbol="ETHUSD_PERP", quote="USD", kind="other"),
        symbol("DEFI", kind="index"),
    )
    assert judge(Members([A]), A, *others) == Changes()


def test_an_explicit_status_delists_at_once() -> None:
    for status in sorted(ENDED):
        members = Members([A, B])
        assert judge(members, A, symbol("B", status)) == Changes(delisted=(B,))
        assert members.states[B.pair] == "delisted"
        assert judge(members, A, symbol("B", status)) == Changes()


def test_a_symbol_missing_from_three_responses_in_a_row_is_delisted() -> None:
    members = Members([A, B])
    for _ in range(3):  # it comes back each time: the count restarts
        assert [judge(members, A) for _ in range(ANSWERS_WITHOUT - 1)] == [Changes()] * (ANSWERS_WITHOUT - 1)
        assert judge(members, A, B) == Changes()
    answers = [judge(members, A) for _ in range(ANSWERS_WITHOUT)]
    assert answers[-1] == Changes(delisted=(B,))


def test_a_symbol_that_becomes_another_kind_counts_as_not_listed() -> None:
    members = Members([A, B])
    delivering = replace(B, kind="other")
    answers = [judge(members, A, delivering) for _ in range(ANSWERS_WITHOUT)]
    assert answers[-1].delisted == (B,)


def test_a_row_that_cannot_be_read_neither_delists_nor_resumes() -> None:
    members = Members([A, B])
    for _ in range(10):
        assert judge(members, A, invalid=[B.symbol]) == Changes()


def test_a_halted_pair_is_marked_and_kept_until_it_trades_again() -> None:
    members = Members([A, B])
    halted = symbol("B", "TRADING_HALT")
    assert judge(members, A, halted) == Changes(halted=(B.pair,))
    assert judge(members, A, halted) == Changes()
    assert members.states[B.pair] == "halted"
    assert judge(members, A, B) == Changes(resumed=(B.pair,))


def test_a_rename_counts_as_a_delisting_and_a_listing() -> None:
    assert judge(Members([A, B]), A, symbol("B", "SETTLING"), C) == Changes(listed=(C,), delisted=(B,))


def test_a_pair_that_is_relisted_is_collected_again() -> None:
    members = Members([A, B])
    judge(members, A, symbol("B", "SETTLING"))
    assert judge(members, A, B) == Changes(listed=(B,))
    assert members.states[B.pair] == "listed"


def test_short_and_empty_responses_are_never_believed_however_often_they_arrive() -> None:
    members = Members(MANY)
    for rows in ((), MANY[:20], tuple(replace(row, state="ended") for row in MANY)):
        for _ in range(2 * ANSWERS_WITHOUT):
            changes = judge(members, *rows)
            assert changes.delisted == ()
            assert changes.doubted == len(MANY) - (len(rows) if rows == MANY[:20] else 0)
    assert judge(members, *MANY) == Changes()


def test_a_doubted_response_counts_against_no_pair() -> None:
    members = Members(MANY)
    for rows in (MANY[1:], MANY[1:], (), (), ()):
        assert judge(members, *rows).delisted == ()
    assert judge(members, *MANY[1:]).delisted == (MANY[0],)


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from(MANY), st.sampled_from(("TRADING", "SETTLING", "HALT", "gone")))),
        max_size=12,
    )
)
def test_no_response_ever_delists_more_than_a_tenth_and_states_follow_the_members(
    answers: list[list[tuple[Instrument, str]]],
) -> None:
    members = Members(MANY)
    watched = {row.pair for row in MANY}
    for changed in answers:
        statuses = dict.fromkeys(MANY, "TRADING") | dict(changed)
        rows = [replace(row, status=status) for row, status in statuses.items() if status != "gone"]
        changes = judge(members, *rows)
        assert len(changes.delisted) <= max(1, len(watched) // 10)
        watched = watched - {info.pair for info in changes.delisted} | {info.pair for info in changes.listed}
        assert {pair for pair, state in members.states.items() if state != "delisted"} == watched


def test_after_a_change_of_the_listing_date_the_first_candle_is_looked_up_again() -> None:
    """A correction, or another coin under the same ticker after a delisting that no response showed."""
    members = Members([A, B])
    dated = replace(A, onboard_ms=180 * 86_400_000)
    assert judge(members, dated, B) == Changes(dated=(dated,))
    assert judge(members, dated, B) == Changes()
