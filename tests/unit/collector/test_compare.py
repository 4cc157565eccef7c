"""A stored candle against the exchange's: every change of either is found, permitted differences are not reported."""

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from collector.verify.compare import FIELDS, SUMS, TRADED, compare, must_shed_fields, wrong_fields
from exchange.rows import Kline
from marketdata.timeframes import timeframe_ms

PAIR = "BTC/USDT:USDT"
DAY_MS = 86_400_000
PRECISION = 3

timeframes = st.sampled_from(["3m", "15m", "1h", "4h", "1d"])
amounts = st.decimals(0, 10**9, places=PRECISION).map(str)
prices = st.decimals("0.0001", 10**6, places=4).map(str)


@st.composite
def klines(draw: st.DrawFn, open_time_ms: int = 0, *, traded: bool | None = None) -> Kline:
    trades = draw(st.integers(1, 10**6)) if traded or (traded is None and draw(st.booleans())) else 0
    if not trades:
        close = draw(prices)
        return Kline(open_time_ms, close, close, close, close, "0.000", open_time_ms + 1, "0.000", 0, "0.000", "0.000")
    low, first, last, high = sorted((draw(prices) for _ in range(4)), key=Decimal)
    sums = [draw(amounts) for _ in range(4)]
    return Kline(open_time_ms, first, high, low, last, sums[0], open_time_ms + 1, sums[1], trades, sums[2], sums[3])


def stored_from(kline: Kline, timeframe: str, *, rolled: bool) -> dict[str, Any]:
    """The point as the serializer (or, if rolled up, the script) and InfluxDB would have it."""
    row: dict[str, Any] = {name: kline.trades if name == "trades" else float(getattr(kline, name)) for name in FIELDS}
    if not kline.trades and not rolled:
        row |= dict.fromkeys(TRADED)
    if timeframe != "3m":
        row["candles"] = timeframe_ms(timeframe) // 180_000 if rolled else 0
    return row


@given(timeframe=timeframes, kline=klines(), rolled=st.booleans())
def test_a_candle_stored_as_the_exchange_has_it_is_equal(timeframe: str, kline: Kline, rolled: bool) -> None:
    row = stored_from(kline, timeframe, rolled=rolled and timeframe != "3m")
    assert wrong_fields(timeframe, row, kline, PRECISION) == ()


@given(
    timeframe=timeframes, kline=klines(), rolled=st.booleans(), name=st.sampled_from(FIELDS), off=st.integers(1, 10**6)
)
def test_any_single_field_that_was_altered_is_named_with_both_values(
    timeframe: str, kline: Kline, rolled: bool, name: str, off: int
) -> None:
    row = stored_from(kline, timeframe, rolled=rolled and timeframe != "3m")
    row[name] = off if row[name] is None else row[name] + off
    wrong = wrong_fields(timeframe, row, kline, PRECISION)
    if name in TRADED and timeframe != "3m" and not kline.trades and row[name] == float(kline.open):
        assert wrong == ()  # the script would have written it
    else:
        assert [(field.name, field.stored) for field in wrong] == [(name, row[name])]


@given(timeframe=timeframes, kline=klines(), name=st.sampled_from(("close", *SUMS, "trades")))
def test_a_field_that_is_not_stored_is_wrong(timeframe: str, kline: Kline, name: str) -> None:
    row = stored_from(kline, timeframe, rolled=False)
    row[name] = None
    assert [field.name for field in wrong_fields(timeframe, row, kline, PRECISION)] == [name]


@given(kline=klines(traded=True), name=st.sampled_from(SUMS))
def test_only_sums_of_a_rolled_up_window_may_be_off_and_only_by_half_of_the_last_decimal(
    kline: Kline, name: str
) -> None:
    near = stored_from(kline, "1h", rolled=True)
    near[name] += 0.4 * 10**-PRECISION
    assert wrong_fields("1h", near, kline, PRECISION) == ()
    far = near | {name: float(getattr(kline, name)) + 0.6 * 10**-PRECISION}
    assert [field.name for field in wrong_fields("1h", far, kline, PRECISION)] == [name]
    assert [field.name for field in wrong_fields("1h", near | {"candles": 0}, kline, PRECISION)] == [name]


@given(kline=klines(traded=True), name=st.sampled_from(SUMS), today=st.integers(0, PRECISION))
def test_after_a_symbols_precision_has_shrunk_older_windows_are_judged_by_their_own_decimals(
    kline: Kline, name: str, today: int
) -> None:
    near = stored_from(kline, "1h", rolled=True)
    near[name] += 0.4 * 10**-PRECISION
    assert wrong_fields("1h", near, kline, today) == ()
    far = near | {name: float(getattr(kline, name)) + 0.6 * 10**-PRECISION}
    assert [field.name for field in wrong_fields("1h", far, kline, today)] == [name]


@given(timeframe=timeframes, rolled=st.booleans(), today=st.integers(0, 8))
def test_a_price_is_judged_by_all_of_its_decimals_regardless_of_todays_precision(
    timeframe: str, rolled: bool, today: int
) -> None:
    price = "0.123456"
    kline = Kline(0, price, price, price, price, "10.000", 1, "1.23456", 1, "5.000", "0.61728")
    row = stored_from(kline, timeframe, rolled=rolled and timeframe != "3m")
    assert wrong_fields(timeframe, row, kline, today) == ()
    for other in (0.1235, 0.123457, 0.1234564):
        assert [field.name for field in wrong_fields(timeframe, row | {"close": other}, kline, today)] == ["close"]


@given(kline=klines(), timeframe=timeframes.filter(lambda timeframe: timeframe != "3m"), candles=st.integers(1, 479))
def test_a_window_made_of_only_some_of_its_candles_is_wrong(kline: Kline, timeframe: str, candles: int) -> None:
    row = stored_from(kline, timeframe, rolled=True)
    wrong = wrong_fields(timeframe, row | {"candles": candles}, kline, PRECISION)
    assert ("candles" in [field.name for field in wrong]) == (candles != row["candles"])


@given(st.data(), timeframes)
def test_missing_surplus_and_wrong_candles_are_distinguished(data: st.DataObject, timeframe: str) -> None:
    length_ms = timeframe_ms(timeframe)
    opens = [index * length_ms for index in range(20)]
    fate = {t: data.draw(st.sampled_from(["equal", "missing", "surplus", "wrong", "neither"])) for t in opens}
    exchange, stored = {}, {}
    for open_ms, what in fate.items():
        kline = data.draw(klines(open_ms))
        if what in ("equal", "missing", "wrong"):
            exchange[open_ms] = kline
        if what in ("equal", "surplus", "wrong"):
            stored[open_ms] = stored_from(kline, timeframe, rolled=False)
        if what == "wrong":
            stored[open_ms]["trades"] += 1
    found = compare(PAIR, timeframe, stored, exchange, quantity_precision=PRECISION)
    expected = [(t, what) for t, what in fate.items() if what in ("missing", "surplus", "wrong")]
    assert [(difference.open_time_ms, difference.kind) for difference in found] == expected


@given(kline=klines(traded=False))
def test_prices_of_a_candle_without_trades_cannot_be_removed_by_overwriting(kline: Kline) -> None:
    row = stored_from(kline, "3m", rolled=False)
    assert not must_shed_fields(row, kline)
    assert must_shed_fields(row | {"high": 1.0}, kline)
