"""What the sentinel concludes from a store's content: ages, current pairs, holes."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata.influxql import Series
from marketdata.timeframes import timeframe_ms
from sentinel.candles import INTERVALS, Key, Stored, current, ends, missing, question, read, span

STEP = 180_000
HOUR = 3_600_000
NOW = 1_790_000_000_000
EXCHANGE = "BINANCE_FUTURES"
BTC = (EXCHANGE, "BTC/USDT:USDT")
ETH = (EXCHANGE, "ETH/USDT:USDT")


@dataclass
class Store:
    """A store as plain sets of open times that responds like InfluxDB."""

    candles: dict[Key, set[int]]
    holes: dict[Key, set[int]] = field(default_factory=dict)
    begins_ms: dict[Key, int] = field(default_factory=dict)

    def answer(self, interval: str, now_ms: int) -> Stored:
        of = span(interval, now_ms)
        kept = {key: times for key, times in self.candles.items() if times}
        in_span = {
            kind: {key: len([t for t in times if of.start_ms <= t < of.end_ms]) for key, times in sets.items()}
            for kind, sets in (("count", self.candles), ("holes", self.holes))
        }
        return Stored(
            {key: min(times) for key, times in kept.items()},
            {key: max(times) for key, times in kept.items()},
            in_span["count"],
            in_span["holes"],
            self.begins_ms,
        )


def opens(first_ms: int, end_ms: int, step_ms: int = STEP) -> set[int]:
    return set(range(-(-first_ms // step_ms) * step_ms, end_ms, step_ms))


def lacking(store: Store, now_ms: int = NOW) -> int:
    stored = store.answer("3m", now_ms)
    return sum(missing(span("3m", now_ms), stored, current(stored), stored.begins_ms).values())


@given(now_ms=st.integers(NOW, NOW + 10**9), interval=st.sampled_from(INTERVALS))
def test_a_span_ends_with_the_newest_candle_that_is_due(now_ms: int, interval: str) -> None:
    of = span(interval, now_ms)
    due_ms = 60_000 if interval == "3m" else 15 * 60_000 + 40_000 + 60_000
    assert of.end_ms + due_ms <= now_ms < of.end_ms + of.interval_ms + due_ms
    assert (of.end_ms - of.start_ms) // of.interval_ms == (40 if interval == "3m" else 3)
    assert of.start_ms % of.interval_ms == 0


@given(
    now_ms=st.integers(NOW, NOW + 10**7),
    listed_minutes_ago=st.integers(10, 60 * 24 * 6),
    holes=st.sets(st.integers(0, 2000)),
    told=st.sets(st.integers(0, 2000)),
)
def test_missing_candles_are_the_holes_in_the_span_without_exchange_holes(
    now_ms: int, listed_minutes_ago: int, holes: set[int], told: set[int]
) -> None:
    of = span("3m", now_ms)
    should = opens(now_ms - listed_minutes_ago * 60_000, now_ms - STEP)
    newest, first = max(should), min(should)
    absent = {newest - index * STEP for index in holes} & should - {newest, first}
    by_exchange = {newest - index * STEP for index in told} & absent
    store = Store({BTC: should - absent}, {BTC: by_exchange})
    assert lacking(store, now_ms) == len({t for t in absent - by_exchange if of.start_ms <= t < of.end_ms})


def test_a_pair_listed_or_delisted_within_the_span_lacks_nothing() -> None:
    whole = opens(NOW - 24 * HOUR, NOW - STEP)
    listed = opens(NOW - HOUR, NOW - STEP)
    delisted = opens(NOW - 24 * HOUR, NOW - HOUR)
    assert lacking(Store({BTC: whole, ETH: listed, (EXCHANGE, "A/USDT:USDT"): delisted})) == 0


def test_a_pair_that_ended_long_before_the_others_is_no_longer_reported() -> None:
    front = NOW // STEP * STEP - 2 * STEP
    stopped = front - 2 * HOUR
    whole = opens(NOW - 24 * HOUR, front + 1)
    assert set(current(Store({BTC: whole, ETH: {stopped}}).answer("3m", NOW))) == {BTC, ETH}
    assert set(current(Store({BTC: whole, ETH: {stopped - STEP}}).answer("3m", NOW))) == {BTC}


def test_pairs_of_a_store_without_writes_stay_and_grow_old() -> None:
    old = opens(NOW - 48 * HOUR, NOW - 24 * HOUR)
    stored = Store({BTC: old, ETH: old}).answer("3m", NOW)
    told = ends(span("3m", NOW), stored, current(stored))
    assert told == {BTC: max(old) + STEP, ETH: max(old) + STEP}


def test_each_exchange_is_judged_separately() -> None:
    other = ("OTHER", "BTC/USDT:USDT")
    stored = Store({BTC: opens(NOW - HOUR, NOW - STEP), other: opens(NOW - 24 * HOUR, NOW - 8 * HOUR)})
    assert set(current(stored.answer("3m", NOW))) == {BTC, other}


def test_windows_are_expected_up_to_the_pairs_newest_3m_candle() -> None:
    hour = timeframe_ms("1h")
    of = span("1h", NOW)
    windows = opens(of.start_ms - 5 * hour, of.end_ms, hour)
    reach = {BTC: of.end_ms, ETH: of.end_ms - hour + 6 * STEP}  # ETH was delisted within its last window
    whole = Store({BTC: windows, ETH: windows - {of.end_ms - hour}}).answer("1h", NOW)
    assert missing(of, whole, reach, {}) == {EXCHANGE: 0}
    last, second, third = (of.end_ms - n * hour for n in (1, 2, 3))
    late = Store({BTC: windows - {last}, ETH: windows - {last, third}}).answer("1h", NOW)
    assert missing(of, late, reach, {}) == {EXCHANGE: 2}
    assert ends(of, late, reach) == {BTC: last, ETH: second + hour}


@pytest.mark.parametrize(("interval", "due_ms"), [("3m", 60_000), ("15m", 1_000_000), ("1d", 1_000_000)])
def test_a_candle_is_due_to_the_millisecond(interval: str, due_ms: int) -> None:
    end_ms = NOW // timeframe_ms("1d") * timeframe_ms("1d")
    assert span(interval, end_ms + due_ms).end_ms == end_ms
    assert span(interval, end_ms + due_ms - 1).end_ms == end_ms - timeframe_ms(interval)


def test_a_window_over_an_invalid_candle_is_not_expected() -> None:
    of = span("1h", NOW)
    reach = {BTC: of.end_ms, ETH: of.end_ms}
    windows = opens(of.start_ms - 5 * HOUR, of.end_ms, HOUR)
    without = windows - {of.end_ms - 2 * HOUR}
    stored = Store({BTC: without, ETH: without}).answer("1h", NOW)
    invalid = {BTC: {of.end_ms - 2 * HOUR + 3 * STEP, of.end_ms - 2 * HOUR + 4 * STEP}, ETH: {of.start_ms - STEP}}
    assert missing(of, stored, reach) == {EXCHANGE: 2}
    assert missing(of, stored, reach, {}, invalid) == {EXCHANGE: 1}


def test_surplus_candles_of_one_pair_fill_no_hole_of_another() -> None:
    of = span("1h", NOW)
    windows = opens(of.start_ms - 5 * HOUR, of.end_ms, HOUR)
    cut_off = {BTC: of.end_ms, ETH: of.end_ms - HOUR}  # the exchange's own window of the delisting is stored
    stored = Store({BTC: windows - {of.end_ms - 2 * HOUR}, ETH: windows}).answer("1h", NOW)
    assert missing(of, stored, cut_off, {}) == {EXCHANGE: 1}
    just_listed = Store({BTC: windows, ETH: {of.end_ms + 2 * HOUR}}).answer("1h", NOW)
    assert missing(of, just_listed, {BTC: of.end_ms, ETH: of.end_ms + 3 * HOUR}, {}) == {EXCHANGE: 0}


def test_windows_of_pairs_without_current_3m_candles_are_not_reported() -> None:
    of = span("1h", NOW)
    stored = Store({ETH: opens(NOW - 9 * HOUR, NOW - HOUR, HOUR)}).answer("1h", NOW)
    assert ends(of, stored, {}) == {}
    assert missing(of, stored, {}, {}) == {}


def test_every_statement_of_a_query_is_bounded_in_time_and_results_are_sorted_by_statement() -> None:
    for interval in INTERVALS:
        query = question(interval, NOW)
        assert query.database == ("market_data" if interval == "3m" else "market_data_rollup")
        for statement in query.text.split("; "):
            assert "time >= " in statement
            assert "time <" in statement
    tags = {"exchange": BTC[0], "pair": BTC[1]}
    answer = [
        Series(["time", "first"], [[1.0, 12.0]], tags),
        Series(["time", "last"], [[2.0, 12.0]], tags),
        Series(["time", "count"], [[0.0, 3.0]], tags),
        Series(["time", "holes"], [[0.0, 4.0]], tags),
        Series(["time", "begins"], [[5.0, 12.0]], tags),
        Series(["time", "invalid"], [[5.0, "invalid"], [6.0, "invalid"]], tags),
    ]
    assert read(answer) == Stored({BTC: 1}, {BTC: 2}, {BTC: 3}, {BTC: 4}, {BTC: 5}, {BTC: frozenset({5, 6})})
    assert read([]) == Stored({}, {}, {}, {})


def test_nothing_is_expected_between_two_contracts_of_a_pair() -> None:
    began_ms = NOW // HOUR * HOUR - HOUR
    old = opens(NOW - 6 * 24 * HOUR, NOW - 3 * 24 * HOUR)
    store = Store({BTC: old | opens(began_ms, NOW - 60_000 - STEP)}, begins_ms={BTC: began_ms})
    assert lacking(store) == 0
    assert lacking(Store(store.candles)) > 0, "without its contract's begin the hours before it would be missing"
    store.candles[BTC].remove(min(opens(began_ms + STEP, NOW)))
    assert lacking(store) == 1
