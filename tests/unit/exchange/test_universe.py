"""exchangeInfo of 2021, of 2026 and of no year at all, and the result of the operator's pairs."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.binance.universe import parse
from exchange.universe import Instrument, InvalidRow, Universe, UnknownPair, select

DATA = Path(__file__).parents[2] / "data"
BTC = {
    "symbol": "BTCUSDT",
    "pair": "BTCUSDT",
    "contractType": "PERPETUAL",
    "onboardDate": 1569398400000,
    "status": "TRADING",
    "baseAsset": "BTC",
    "quoteAsset": "USDT",
    "marginAsset": "USDT",
    "pricePrecision": 2,
    "quantityPrecision": 3,
    "underlyingType": "COIN",
}


def coin(base: str, **fields: Any) -> dict[str, Any]:
    return {**BTC, "symbol": f"{base}USDT", "pair": f"{base}USDT", "baseAsset": base, **fields}


def listing(*rows: Any) -> Universe:
    return parse({"symbols": list(rows)})


def pairs(infos: Any) -> list[str]:
    return [info.pair for info in infos]


@pytest.fixture
def recorded_2026() -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(
        (DATA / "binance_usdm_2026-10/rest/exchange_info.json").read_text(encoding="utf-8")
    )
    return answer


@pytest.fixture
def recorded_2021() -> dict[str, Any]:
    capture = (DATA / "binance_futures/BINANCE_FUTURES.0").read_text(encoding="utf-8")
    answer: dict[str, Any] = json.JSONDecoder().raw_decode(capture[capture.index('{"timezone"') :])[0]
    return answer


def test_of_the_recorded_symbols_of_2026_only_trading_coin_perpetuals_are_eligible(
    recorded_2026: dict[str, Any],
) -> None:
    universe = parse(recorded_2026)
    assert universe.invalid == ()
    assert len(universe.symbols) == len(recorded_2026["symbols"])
    assert pairs(universe.eligible()) == ["BTC/USDT:USDT", "币安人生/USDT:USDT"]
    assert universe.symbols["OMGUSDT"].status == "SETTLING"
    assert universe.symbols["BTCUSDT"] == Instrument(
        symbol="BTCUSDT",
        pair="BTC/USDT:USDT",
        base="BTC",
        quote="USDT",
        kind="coin",
        state="trading",
        status="TRADING",
        description="PERPETUAL on COIN, margin USDT",
        price_precision=2,
        quantity_precision=3,
        onboard_ms=1567965300000,
        begins_ms=1567965300000,
    )


def test_the_recorded_symbols_of_2021_parse_as_well(recorded_2021: dict[str, Any]) -> None:
    universe = parse(recorded_2021)
    assert universe.invalid == ()
    assert len(universe.symbols) == 122
    assert len(universe.eligible()) == 115
    assert len(universe.eligible(include_index=True)) == 117
    assert "BTCST/USDT:USDT" not in pairs(universe.eligible())


def test_a_quarterly_does_not_share_the_pair_of_the_perpetual(recorded_2026: dict[str, Any]) -> None:
    assert parse(recorded_2026).symbols["BTCUSDT_261225"].pair == "BTC/USDT:USDT-261225"


@pytest.mark.parametrize(
    "other",
    [
        {"contractType": "TRADIFI_PERPETUAL", "underlyingType": "EQUITY"},
        {"contractType": "CURRENT_QUARTER"},
        {"contractType": "SOMETHING_OF_2027"},
        {"contractType": ""},
        {"marginAsset": "BTC"},
        {"quoteAsset": "USDC", "marginAsset": "USDC"},
        {"underlyingType": "PREMARKET"},
        {"status": "SETTLING"},
        {"status": "PENDING_TRADING"},
        {"status": "A_STATUS_OF_2027"},
    ],
)
def test_symbols_of_another_kind_or_status_never_slip_in(other: dict[str, Any]) -> None:
    universe = listing(BTC, coin("ETH", **other))
    assert pairs(universe.eligible(include_index=True)) == ["BTC/USDT:USDT"]
    assert universe.invalid == ()


def test_indices_are_collected_only_with_the_option() -> None:
    universe = listing(BTC, coin("BTCDOM", underlyingType="INDEX"))
    assert pairs(universe.eligible()) == ["BTC/USDT:USDT"]
    assert pairs(universe.eligible(include_index=True)) == ["BTC/USDT:USDT", "BTCDOM/USDT:USDT"]


@pytest.mark.parametrize("field", sorted(set(BTC) - {"symbol", "pair"}))
@pytest.mark.parametrize("damage", ["missing", None, [], -1])
def test_a_row_of_ours_with_a_damaged_field_is_reported_and_affects_no_other(field: str, damage: Any) -> None:
    broken = coin("ETH", **{field: damage})
    if damage == "missing":
        del broken[field]
    universe = listing(broken, BTC)
    assert pairs(universe.eligible()) == ["BTC/USDT:USDT"]
    assert [row.symbol for row in universe.invalid] == ["ETHUSDT"]
    assert field in universe.invalid[0].reason


def test_a_damaged_row_of_another_kind_is_ignored() -> None:
    universe = listing(BTC, {"symbol": "XAUUSDT", "contractType": "TRADIFI_PERPETUAL"})
    assert universe.invalid == ()
    assert set(universe.symbols) == {"BTCUSDT"}


def test_a_symbol_that_its_pair_does_not_lead_back_to_is_reported() -> None:
    universe = listing(coin("ETH", symbol="ETH2USDT"))
    assert universe.eligible() == []
    assert universe.invalid[0].symbol == "ETH2USDT"


@pytest.mark.parametrize("answer", [None, [], {}, {"symbols": None}, {"symbols": {}}, "exchangeInfo"])
def test_a_response_that_is_not_exchange_info_is_an_empty_universe_with_the_reason(answer: object) -> None:
    assert parse(answer) == Universe({}, (InvalidRow("", "exchangeInfo has no list of symbols"),))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("TRADING", "trading"),
        ("PENDING_TRADING", "halted"),
        ("TRADING_HALT", "halted"),
        ("BREAK", "halted"),
        ("DELIVERING", "ended"),
        ("DELIVERED", "ended"),
        ("SETTLING", "ended"),
        ("CLOSE", "ended"),
    ],
)
def test_the_status_decides_whether_a_symbol_trades_now_later_or_never_again(status: str, state: str) -> None:
    assert listing({**BTC, "status": status}).symbols["BTCUSDT"].state == state


damaged_rows = st.dictionaries(st.sampled_from(sorted(BTC)), json_values, max_size=4).map(
    lambda damage: {**BTC, "symbol": "ETHUSDT", "baseAsset": "ETH", **damage}
)


@given(rows=st.lists(json_values | damaged_rows, max_size=6), place=st.integers(0, 6))
def test_a_good_row_is_found_whatever_else_is_listed_and_nothing_raises(rows: list[Any], place: int) -> None:
    good = coin("SOL")
    universe = listing(*rows[:place], good, *rows[place:])
    assert "SOL/USDT:USDT" in pairs(universe.eligible())
    for info in universe.eligible(include_index=True):
        assert (info.status, info.quote) == ("TRADING", "USDT")
        assert info.description in ("PERPETUAL on COIN, margin USDT", "PERPETUAL on INDEX, margin USDT")
        assert info.symbol == info.base + info.quote


@given(json_values)
def test_parse_never_raises(answer: Any) -> None:
    parse(answer)


MARKET = listing(
    BTC,
    coin("ETH"),
    coin("1000SHIB"),
    coin("1000PEPE"),
    coin("币安人生"),
    coin("OMG", status="SETTLING"),
    coin("XAU", contractType="TRADIFI_PERPETUAL", underlyingType="COMMODITY"),
    coin("DEFI", underlyingType="INDEX"),
)


def test_all_means_every_eligible_pair() -> None:
    assert select(MARKET, "all").symbols == tuple(MARKET.eligible())


def test_a_list_keeps_its_order_without_duplicates() -> None:
    wanted = ["ETH/USDT:USDT", "BTC/USDT:USDT", "ETH/USDT:USDT"]
    assert pairs(select(MARKET, wanted).symbols) == ["ETH/USDT:USDT", "BTC/USDT:USDT"]


def test_include_and_exclude_are_patterns_for_pairs() -> None:
    selection = select(MARKET, "all", include=["1000*", "币*"], exclude=["*PEPE*"])
    assert pairs(selection.symbols) == ["1000SHIB/USDT:USDT", "币安人生/USDT:USDT"]
    assert selection.unmatched == ()


def test_a_pattern_that_matches_nothing_is_reported() -> None:
    assert select(MARKET, "all", include=["*", "BTS/*"]).unmatched == ("BTS/*",)


def test_a_delisted_pair_in_the_list_does_not_stop_the_others() -> None:
    selection = select(MARKET, ["BTC/USDT:USDT", "OMG/USDT:USDT"])
    assert pairs(selection.symbols) == ["BTC/USDT:USDT"]
    assert pairs(selection.not_trading) == ["OMG/USDT:USDT"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("BTCUSDT", "BTC/USDT:USDT"),
        ("btc/usdt:usdt", "BTC/USDT:USDT"),
        ("ETH/USDT", "ETH/USDT:USDT"),
        ("BTX/USDT:USDT", "BTC/USDT:USDT"),
        ("SHIB/USDT:USDT", "1000SHIB/USDT:USDT"),
        ("币安/USDT:USDT", "币安人生/USDT:USDT"),
    ],
)
def test_an_unknown_pair_is_reported_with_the_nearest_real_ones(written: str, meant: str) -> None:
    with pytest.raises(UnknownPair) as caught:
        select(MARKET, [written])
    assert caught.value.pair == written
    assert meant in caught.value.nearest
    assert written in str(caught.value)
    assert meant in str(caught.value)


@pytest.mark.parametrize("pair", ["XAU/USDT:USDT", "DEFI/USDT:USDT"])
def test_a_pair_of_a_kind_we_do_not_collect_is_rejected_with_the_reason(pair: str) -> None:
    with pytest.raises(UnknownPair, match="not collected"):
        select(MARKET, [pair])


def test_an_index_can_be_named_if_indices_are_enabled() -> None:
    assert pairs(select(MARKET, ["DEFI/USDT:USDT"], include_index=True).symbols) == ["DEFI/USDT:USDT"]


@given(st.text(max_size=20).filter(lambda text: text not in {info.pair for info in MARKET.symbols.values()}))
def test_any_other_text_is_an_unknown_pair(text: str) -> None:
    with pytest.raises(UnknownPair) as caught:
        select(MARKET, [text])
    assert caught.value.pair == text
