"""The simulated exchange's rules, by subject: universe, funding, closing frames, limits, faults, stream names."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import closings
from simulator.candles import Candle, CandleStore
from simulator.faults import KINDS, BadFault, Faults
from simulator.frames import decimal
from simulator.funding import Funding
from simulator.impossible import IMPOSSIBLE
from simulator.intervals import INTERVALS
from simulator.limits import Limits
from simulator.market import DAY_MS, HOUR_MS, MINUTE_MS, Market
from simulator.marks import MarkPrices
from simulator.rest import depth_weight, kline_weight
from simulator.streams import parse
from simulator.universe import HISTORY_DAYS, Instrument, Universe

NOW_MS = 1_791_383_686_000
UNIVERSE = Universe(pairs=164, seed=1, start_ms=NOW_MS)
MARKET = Market(1)
MARKS = MarkPrices(MARKET)
FUNDING = Funding(1)
CLIENT = "127.0.0.1"


# universe


@pytest.mark.parametrize("pairs", [1, 4, 164, 700])
def test_exactly_the_requested_number_of_pairs_is_eligible(pairs: int) -> None:
    universe = Universe(pairs=pairs, seed=1, start_ms=NOW_MS)
    eligible = [
        item.symbol
        for item in universe.instruments
        if (item.contract_type, item.status, item.quote, item.margin, item.underlying_type)
        == ("PERPETUAL", "TRADING", "USDT", "USDT", "COIN")
    ]
    assert len(set(eligible)) == pairs
    assert eligible == [item.symbol for item in universe.eligible]


def test_pairs_on_coins_with_any_name_are_listed_with_the_others() -> None:
    universe = Universe(pairs=4, seed=1, start_ms=NOW_MS, bases=["T$", "A&B"])
    plain = Universe(pairs=4, seed=1, start_ms=NOW_MS)
    assert [item.symbol for item in universe.eligible[4:]] == ["T$USDT", "A&BUSDT"]
    assert [item.symbol for item in universe.eligible[:4]] == [item.symbol for item in plain.eligible]
    assert parse("t$usdt@kline_3m", universe) is not None


def test_everything_that_could_confuse_a_client_is_listed() -> None:
    others = UNIVERSE.instruments[len(UNIVERSE.eligible) :]
    assert {item.contract_type for item in others} >= {
        "PERPETUAL",
        "TRADIFI_PERPETUAL",
        "CURRENT_QUARTER",
        "NEXT_QUARTER",
    }
    assert {item.status for item in others} == {"TRADING", "SETTLING", "PENDING_TRADING"}
    assert {item.underlying_type for item in others} >= {"COIN", "INDEX", "PREMARKET", "EQUITY", "COMMODITY"}
    assert {"USDC"} < {item.margin for item in others}
    assert UNIVERSE.get("BTCUSDT_261225") is not None
    assert UNIVERSE.get("币安人生usdt") is not None


def test_most_symbols_are_two_months_old_and_two_are_newly_listed() -> None:
    ages = [(NOW_MS - item.onboard_ms) / DAY_MS for item in UNIVERSE.eligible]
    assert sum(age < HISTORY_DAYS for age in ages) == 2
    assert max(ages) < HISTORY_DAYS + 1
    assert min(ages) < 0.5


# mark prices and funding


def test_the_mark_price_stays_near_the_trade_price() -> None:
    store = CandleStore(MARKET)
    for pair in UNIVERSE.eligible[::9]:
        (candle,) = store.candles(pair.shape, "3m", NOW_MS // 180_000 * 180_000, NOW_MS, NOW_MS)
        mark = MARKS.at(pair, NOW_MS).mark / 10 ** (8 - pair.price_precision)
        assert mark == pytest.approx(candle.close, rel=0.02)


@given(st.sampled_from(UNIVERSE.eligible[:-2]), st.integers(NOW_MS - 20 * DAY_MS, NOW_MS))
def test_a_mark_candle_spans_the_marks_of_its_seconds(pair: Instrument, now_ms: int) -> None:
    open_ms = now_ms // (3 * MINUTE_MS) * 3 * MINUTE_MS
    ((_, _, opened, high, low, close, seconds),) = MARKS.candles(pair, "3m", open_ms, now_ms, now_ms)
    marks = [MARKS.at(pair, open_ms + second * 1000).mark for second in range(seconds)]
    assert (opened, high, low, close) == (marks[0], max(marks), min(marks), marks[-1])


@pytest.mark.parametrize(("wide", "narrow"), [("1h", "3m"), ("1d", "1h"), ("1w", "1d")])
def test_wide_mark_candles_follow_from_narrow_ones(wide: str, narrow: str) -> None:
    for pair in (UNIVERSE.eligible[5], UNIVERSE.eligible[-1]):
        rows = MARKS.candles(pair, wide, NOW_MS - 20 * DAY_MS, NOW_MS, NOW_MS)
        parts = MARKS.candles(pair, narrow, rows[0][0], NOW_MS, NOW_MS)
        assert rows[-1][0] <= NOW_MS <= rows[-1][1]
        for open_ms, close_ms, opened, high, low, close, seconds in rows:
            mine = [row for row in parts if open_ms <= row[0] <= close_ms]
            assert (opened, close) == (mine[0][2], mine[-1][5])
            assert (high, low) == (max(row[3] for row in mine), min(row[4] for row in mine))
            assert seconds == sum(row[6] for row in mine)


@given(st.sampled_from(UNIVERSE.eligible), st.integers(NOW_MS - 20 * DAY_MS, NOW_MS))
def test_the_estimate_ends_at_the_settled_rate(pair: Instrument, time_ms: int) -> None:
    settles = FUNDING.next_funding_ms(pair, time_ms)
    assert time_ms < settles
    if settles <= pair.onboard_ms:
        return
    rows = FUNDING.settlements(pair, settles, settles + 3)
    assert [rate for _, rate in rows] == [FUNDING.estimate(pair, settles - 1)]
    assert 0 <= rows[0][0] - settles <= 3


def test_a_settlement_belongs_to_the_span_that_contains_its_time() -> None:
    pair = UNIVERSE.eligible[0]
    rows = FUNDING.settlements(pair, NOW_MS - 30 * DAY_MS, NOW_MS)
    assert len(rows) in (89, 90, 91)
    assert {time_ms % HOUR_MS for time_ms, _ in rows} == {0, 1, 2, 3}
    assert FUNDING.settlements(pair, rows[3][0], rows[5][0]) == rows[3:6]
    assert FUNDING.settlements(pair, rows[3][0] + 1, rows[5][0] - 1) == rows[4:5]


def hours_settled(funding: Funding, pair: Instrument, first_ms: int, last_ms: int) -> list[int]:
    return [(time_ms - first_ms) // HOUR_MS for time_ms, _ in funding.settlements(pair, first_ms, last_ms)]


def test_a_changed_interval_applies_from_its_time_on_in_history_and_announcements() -> None:
    pair, midnight_ms = UNIVERSE.eligible[0], NOW_MS // DAY_MS * DAY_MS - 10 * DAY_MS
    funding = Funding(1)
    funding.change(pair.symbol, 1, midnight_ms + 20 * HOUR_MS)
    funding.change(pair.symbol, 4, midnight_ms + 8 * HOUR_MS)
    assert hours_settled(funding, pair, midnight_ms, midnight_ms + DAY_MS - 1) == [0, 8, 12, 16, 20, 21, 22, 23]
    announced = [
        (funding.next_funding_ms(pair, midnight_ms + hour * HOUR_MS + 1) - midnight_ms) // HOUR_MS
        for hour in (0, 7, 8, 12, 19, 20, 21)
    ]
    assert announced == [8, 8, 12, 16, 20, 21, 22]
    assert [funding.hours(pair, midnight_ms + hour * HOUR_MS) for hour in (0, 8, 20)] == [8, 4, 1]


@given(
    st.lists(st.tuples(st.integers(0, 100 * 60), st.sampled_from((8, 4, 2, 1))), max_size=5),
    st.integers(0, 100 * 60),
)
def test_the_estimate_ends_at_the_settled_rate_after_any_changes_of_intervals(
    changes: list[tuple[int, int]], minute: int
) -> None:
    pair, first_ms, funding = UNIVERSE.eligible[0], NOW_MS // DAY_MS * DAY_MS - 10 * DAY_MS, Funding(1)
    for after, hours in changes:
        funding.change(pair.symbol, hours, first_ms + after * MINUTE_MS)
    time_ms = first_ms + minute * MINUTE_MS
    settles_ms = funding.next_funding_ms(pair, time_ms)
    changed = any(time_ms < first_ms + after * MINUTE_MS < settles_ms for after, _ in changes)
    rows = funding.settlements(pair, time_ms + 4, settles_ms + 3)
    if not changed:
        assert [rate for _, rate in rows] == [funding.estimate(pair, settles_ms - 1)]
    every = funding.settlements(pair, first_ms, settles_ms + 3)
    assert every[len(every) - len(rows) :] == rows


def test_both_ways_of_computing_a_mark_at_a_full_minute_agree() -> None:
    for pair in UNIVERSE.eligible[::20]:
        at = NOW_MS // MINUTE_MS * MINUTE_MS
        assert MARKS.mark_at_minute(pair, at) == MARKS.at(pair, at).mark


# closing frames


def test_few_closing_frames_are_late_or_missing() -> None:
    plans = [
        closings.delays_ms(1, pair.symbol, "3m", NOW_MS // 180_000 * 180_000 + n * 180_000, idle=False)
        for pair in UNIVERSE.eligible
        for n in range(100)
    ]
    bad = sum(not plan or plan[0] > 4_000 for plan in plans) / len(plans)
    doubled = sum(len(plan) > 1 for plan in plans) / len(plans)
    assert 0.003 < bad < 0.015
    assert 0.005 < doubled < 0.015
    assert sum(not plan for plan in plans) > 0
    assert max(max(plan) for plan in plans if plan) < 24_001


# limits


def test_weight_is_counted_per_utc_minute_and_also_charged_when_refused() -> None:
    limits = Limits()
    start = NOW_MS // MINUTE_MS * MINUTE_MS
    for n in range(240):
        verdict = limits.request(CLIENT, weight=10, funding=False, now_ms=start + n)
    assert (verdict.status, verdict.used_weight) == (200, 2400)
    refused = limits.request(CLIENT, weight=1, funding=False, now_ms=start + 30_000)
    assert (refused.status, refused.used_weight, refused.retry_after_seconds) == (429, 2401, 30)
    assert limits.request(CLIENT, weight=1, funding=False, now_ms=start + MINUTE_MS).used_weight == 1
    assert limits.request("127.0.0.2", weight=1, funding=False, now_ms=start + 1).status == 200


def test_continuing_after_429_leads_to_growing_bans() -> None:
    limits = Limits()
    limits.request(CLIENT, weight=2401, funding=False, now_ms=NOW_MS)
    statuses = [limits.request(CLIENT, weight=1, funding=False, now_ms=NOW_MS + n).status for n in range(20)]
    assert statuses == [429] * 10 + [418] * 10
    banned = limits.request(CLIENT, weight=1, funding=False, now_ms=NOW_MS + MINUTE_MS)
    assert banned.status == 418
    assert 60 <= banned.retry_after_seconds <= 61
    assert limits.request(CLIENT, weight=1, funding=False, now_ms=NOW_MS + 3 * MINUTE_MS).status == 200


def test_funding_routes_have_their_own_limit() -> None:
    limits = Limits()
    verdicts = [limits.request(CLIENT, weight=0, funding=True, now_ms=NOW_MS) for _ in range(501)]
    assert [verdict.status for verdict in verdicts[-2:]] == [200, 429]
    assert verdicts[-1].used_weight == 0
    assert limits.request(CLIENT, weight=5, funding=False, now_ms=NOW_MS).status == 200


def test_the_301st_connect_within_five_minutes_is_refused() -> None:
    limits = Limits()
    assert all(limits.connect(CLIENT, NOW_MS + n) for n in range(300))
    assert not limits.connect(CLIENT, NOW_MS + 5 * MINUTE_MS - 1)
    assert limits.connect("127.0.0.2", NOW_MS + 400)


@pytest.mark.parametrize(
    ("limit", "weight"),
    [(None, 5), ("1", 1), ("100", 1), ("101", 2), ("500", 2), ("501", 5), ("1000", 5), ("1001", 10)],
)
def test_the_weight_of_klines_depends_on_limit(limit: str | None, weight: int) -> None:
    assert kline_weight({} if limit is None else {"limit": limit}) == weight


def test_the_weight_of_depth_depends_on_limit() -> None:
    assert [depth_weight({"limit": str(n)}) for n in (5, 50, 100, 500, 1000)] == [2, 2, 5, 10, 20]


# faults


@pytest.mark.parametrize(
    ("order", "word"),
    [
        ({}, "kind"),
        ({"kind": "earthquake"}, "kind"),
        ([], "kind"),
        ({"kind": "silent_route", "route": "moon"}, "route"),
        ({"kind": "silent_symbol"}, "symbol"),
        ({"kind": "rest_status", "status": "403"}, "status"),
        ({"kind": "rest_status", "status": True}, "status"),
        ({"kind": "late_close", "share": 2}, "share"),
        ({"kind": "rest_hang", "minutes": 2}, "minutes"),
    ],
)
def test_an_invalid_fault_is_refused_with_the_parameter_named(order: object, word: str) -> None:
    with pytest.raises(BadFault, match=word):
        Faults().add(order, NOW_MS)


def test_every_kind_of_fault_only_needs_its_mandatory_parameters() -> None:
    mandatory = {"status": 503, "symbol": "BTCUSDT", "start_ms": NOW_MS, "end_ms": NOW_MS}
    mandatory |= {"shift_ms": 1, "hours": 4}
    faults = Faults()
    for kind, parameters in KINDS.items():
        faults.add({"kind": kind} | {name: mandatory[name] for name in parameters if parameters[name].required}, NOW_MS)
    assert len(faults.as_json()) == len(KINDS)
    assert faults.clear() == len(KINDS)


def test_faults_of_closing_frames_affect_their_symbols_and_share() -> None:
    faults = Faults()
    faults.add({"kind": "late_close", "symbols": ["btcusdt"], "delay_ms": 9000}, NOW_MS)
    faults.add({"kind": "missing_close", "symbols": ["ETHUSDT"]}, NOW_MS)
    faults.add({"kind": "double_close", "symbols": ["XRPUSDT"], "share": 0.5, "delay_ms": 300}, NOW_MS)
    assert faults.alter_closing("BTCUSDT", "3m", NOW_MS, [2000]) == [9000]
    assert faults.alter_closing("ETHUSDT", "3m", NOW_MS, [2000]) == []
    plans = [tuple(faults.alter_closing("XRPUSDT", "3m", NOW_MS + n, [2000])) for n in range(200)]
    assert 60 < plans.count((2000, 2300)) < 140
    assert faults.alter_closing("SOLUSDT", "3m", NOW_MS, [2000]) == [2000]


def test_an_exchange_hole_has_neither_candles_nor_closing_frames() -> None:
    faults = Faults()
    faults.add({"kind": "exchange_hole", "symbols": ["BTCUSDT"], "start_ms": NOW_MS, "end_ms": NOW_MS + 2}, NOW_MS)
    assert [faults.lacks("BTCUSDT", "3m", NOW_MS + n) for n in (-1, 0, 1, 2)] == [False, True, True, False]
    assert faults.alter_closing("BTCUSDT", "3m", NOW_MS, [2000]) == []
    assert not faults.lacks("BTCUSDT", "1h", NOW_MS)
    assert not faults.lacks("ETHUSDT", "3m", NOW_MS)


def test_an_impossible_row_appears_where_requested_and_longer_candles_include_its_numbers() -> None:
    step = 180_000
    open_ms = NOW_MS // step * step
    candle = Candle(open_ms, open_ms + step - 1, 20, 30, 10, 25, 7, 150, 3, 2, 40)
    hour = replace(candle, open_ms=open_ms - step, close_ms=open_ms + 19 * step - 1)
    for what in IMPOSSIBLE:
        faults = Faults()
        order = {"symbols": ["BTCUSDT"], "start_ms": open_ms, "end_ms": open_ms + 1, "what": what, "by": "rest"}
        faults.add({"kind": "impossible_row", **order}, NOW_MS)
        told = faults.as_told("BTCUSDT", "3m", candle, "rest")
        assert (told.trades, told.high, told.close, told.volume) != (3, 30, 25, 7)
        assert faults.as_told("BTCUSDT", "3m", candle, "stream") == candle
        assert faults.as_told("ETHUSDT", "3m", candle, "rest") == candle
        assert faults.as_told("BTCUSDT", "3m", replace(candle, open_ms=open_ms + step), "rest").volume == 7
        assert faults.as_told("BTCUSDT", "1h", hour, "rest").volume > 7


def test_a_timed_fault_acts_once_or_at_its_interval() -> None:
    faults = Faults()
    faults.add({"kind": "malformed_frame"}, NOW_MS)
    faults.add({"kind": "close_connections", "every_seconds": 2}, NOW_MS)
    acted = [[fault.kind for fault in faults.due(NOW_MS + n * 1000)] for n in range(5)]
    both, one = ["malformed_frame", "close_connections"], ["close_connections"]
    assert acted == [both, [], one, [], one]


# wire and names


@given(st.integers(-(10**18), 10**18), st.integers(0, 15))
def test_decimal_keeps_every_digit(units: int, digits: int) -> None:
    text = decimal(units, digits)
    whole, _, fraction = text.partition(".")
    assert len(fraction) == digits
    assert int(whole + fraction) == units


@pytest.mark.parametrize(
    ("name", "routes"),
    [
        ("btcusdt@kline_3m", ("market",)),
        ("币安人生usdt@kline_1M", ("market",)),
        ("btcusdt@markPrice", ("market",)),
        ("btcusdt@markPrice@1s", ("market",)),
        ("!markPrice@arr@1s", ("market",)),
        ("btcusdt@aggTrade", ("market",)),
        ("btcusdt@bookTicker", ("public", "unrouted")),
        ("btcusdt@depth20@100ms", ("public", "unrouted")),
    ],
)
def test_a_stream_is_only_served_on_its_routes(name: str, routes: tuple[str, ...]) -> None:
    topic = parse(name, UNIVERSE)
    assert topic is not None
    assert tuple(route for route in ("market", "public", "unrouted") if topic.served_on(route)) == routes


@pytest.mark.parametrize(
    "name",
    ["BTCUSDT@kline_3m", "btcusdt@kline_7m", "nosuch@kline_3m", "btcusdt", "", "btcusdt@markprice", "btcusdt@trade"],
)
def test_unknown_names_and_names_in_upper_case_are_silent(name: str) -> None:
    assert parse(name, UNIVERSE) is None


def test_every_interval_has_a_stream() -> None:
    assert all(parse(f"ethusdt@kline_{interval}", UNIVERSE) for interval in INTERVALS)
