"""The serializer's output, parsed by a strict parser written from InfluxDB's specification of line protocol."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from marketdata import schema
from marketdata.candle_values import CandleValues
from marketdata.serializer import (
    REASONS,
    Unserializable,
    candle_line,
    contract_line,
    funding_rate_line,
    funding_settled_line,
    gap_line,
    mark_ohlcv_line,
    mark_price_line,
)
from marketdata.timeframes import TIMEFRAME_MS
from tests.support.line_protocol import parse_line

NOW_MS = 1_790_000_000_000
OPEN_MS = 1_789_948_800_000  # a midnight: on the grid of every window
BTC = "BTC/USDT:USDT"


def test_the_parser_reads_the_specifications_own_examples() -> None:
    line = (
        r'my\ Measurement,tag\,Key1=tag\ Value1,k\=2=b field="string \"in\\side\" =, value",n=3i,f=-1e5 1556813561098'
    )
    tags = {"tag,Key1": "tag Value1", "k=2": "b"}
    fields = {"field": 'string "in\\side" =, value', "n": 3, "f": Decimal("-1e5")}
    assert parse_line(line) == ("my Measurement", tags, fields, 1556813561098)


# --- the written values are exactly what the exchange sent -----------------------------------------------------------


def decimal_texts(minimum: str = "0.0001") -> st.SearchStrategy[str]:
    return st.decimals(Decimal(minimum), Decimal("1e12"), places=8, allow_nan=False, allow_infinity=False).map(
        lambda number: f"{number:f}"
    )


pairs = st.sampled_from([BTC, "1000SHIB/USDT:USDT", "币安人生/USDT:USDT", "我踏马来了/USDT:USDT", "A_B-C.D/USDT:USDT"])
opens_ms = st.integers(0, 2000).map(lambda days: OPEN_MS - days * 86_400_000)
rates = st.decimals(Decimal(-1), Decimal(1), places=8).map(lambda number: f"{number:f}")
volumes = st.tuples(decimal_texts("0"), decimal_texts("0")).map(lambda two: sorted(two, key=Decimal))


@given(
    st.sampled_from(["ohlcv_3m", "ohlcv_15m", "ohlcv_1h", "ohlcv_4h", "ohlcv_1d"]),
    pairs,
    opens_ms,
    st.lists(decimal_texts(), min_size=4, max_size=4).map(lambda prices: sorted(prices, key=Decimal)),
    st.booleans(),
    volumes,
    volumes,
    st.integers(1, 2**63 - 1),
    st.booleans(),
)
def test_a_traded_candle_is_read_back_as_it_was_given(
    measurement: str,
    pair: str,
    open_ms: int,
    prices: list[str],
    rising: bool,
    base: list[str],
    quote: list[str],
    trades: int,
    rolled: bool,
) -> None:
    low, first, last, high = prices if rising else (prices[0], prices[2], prices[1], prices[3])
    window = TIMEFRAME_MS[measurement.removeprefix("ohlcv_")] // 180_000
    candles = None if measurement == "ohlcv_3m" else window if rolled else 0
    values = CandleValues(first, high, low, last, base[1], quote[1], base[0], quote[0], trades)
    line = candle_line(measurement, pair, open_ms, values, now_ms=NOW_MS, candles=candles)
    name, tags, fields, time_ms = parse_line(line)
    texts = [first, high, low, last, base[1], quote[1], base[0], quote[0]]
    names = ["open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume"]
    expected: dict[str, Any] = dict(zip(names, map(Decimal, texts), strict=True)) | {"trades": trades}
    if candles is not None:
        expected["candles"] = candles
    assert (name, tags, time_ms) == (measurement, {"exchange": "BINANCE_FUTURES", "pair": pair}, open_ms)
    assert fields == expected
    assert all(f"{name}={text}" in line for name, text in zip(names, texts, strict=True))


def test_a_candle_without_trades_has_no_open_high_and_low() -> None:
    line = candle_line(
        "ohlcv_3m", BTC, OPEN_MS, CandleValues("5.1", "5.1", "5.1", "5.1", "0.000", "0", "0", "0", 0), now_ms=NOW_MS
    )
    assert parse_line(line)[2] == {
        "close": Decimal("5.1"),
        "volume": 0,
        "quote_volume": 0,
        "taker_buy_volume": 0,
        "taker_buy_quote_volume": 0,
        "trades": 0,
    }


@given(pairs, opens_ms, decimal_texts(), decimal_texts("0"))
def test_a_mark_price_is_read_back_as_it_was_given(pair: str, time_ms: int, mark: str, index: str) -> None:
    line = mark_price_line(pair, time_ms + 7, mark, index, now_ms=NOW_MS)
    tags = {"exchange": "BINANCE_FUTURES", "pair": pair}
    assert parse_line(line) == ("mark_price", tags, {"mark": Decimal(mark), "index": Decimal(index)}, time_ms + 7)


@given(pairs, opens_ms, rates, decimal_texts() | st.none())
def test_funding_is_read_back_as_it_was_given(pair: str, time_ms: int, rate: str, mark: str | None) -> None:
    tags = {"exchange": "BINANCE_FUTURES", "pair": pair}
    estimate = parse_line(funding_rate_line(pair, time_ms, rate, time_ms + 28_800_000, now_ms=NOW_MS))
    fields = {"rate": Decimal(rate), "next_funding_time": time_ms + 28_800_000}
    assert estimate == ("funding_rate", tags, fields, time_ms)
    settled = parse_line(funding_settled_line(pair, time_ms + 3, rate, mark, now_ms=NOW_MS))
    paid = {"rate": Decimal(rate)} | ({} if mark is None else {"mark_price": Decimal(mark)})
    assert settled == ("funding_settled", tags, paid, time_ms + 3)


def test_an_hour_of_mark_prices_is_read_back_as_it_was_given() -> None:
    line = mark_ohlcv_line(BTC, OPEN_MS, "2.0", "3.0", "1.0", "2.50", now_ms=NOW_MS)
    prices = {
        name: Decimal(text) for name, text in zip(["open", "high", "low", "close"], ["2", "3", "1", "2.5"], strict=True)
    }
    assert parse_line(line) == ("mark_ohlcv_1h", {"exchange": "BINANCE_FUTURES", "pair": BTC}, prices, OPEN_MS)


@given(
    st.sampled_from(schema.GAP_STATES),
    st.sampled_from(schema.CHANNELS),
    st.text(st.characters(codec="utf-8"), min_size=1).filter(str.isprintable),
)
def test_a_gap_with_any_reason_is_read_back(state: str, channel: str, reason: str) -> None:
    name, tags, fields, _ = parse_line(gap_line(BTC, OPEN_MS, state, reason, channel, now_ms=NOW_MS))
    assert (name, tags["channel"], fields) == ("gaps", channel, {"state": state, "reason": reason})


@given(st.integers(0, 2**53), st.integers(0, 20))
def test_a_gap_records_when_it_was_found_and_how_often_it_was_requested(since_ms: int, asked: int) -> None:
    line = gap_line(BTC, OPEN_MS, "invalid", "why", "candles_3m", now_ms=NOW_MS, since_ms=since_ms, asked=asked)
    assert parse_line(line)[2] == {"state": "invalid", "reason": "why", "since_ms": since_ms, "asked": asked}


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_an_exchanges_name_is_escaped_or_refused(exchange: str) -> None:
    try:
        values = CandleValues("1", "1", "1", "1", "1", "1", "1", "1", 1)
        line = candle_line("ohlcv_3m", BTC, OPEN_MS, values, now_ms=NOW_MS, exchange=exchange)
    except Unserializable as e:
        assert e.reason == "tag"  # noqa: PT017 - either outcome is right
    else:
        assert parse_line(line)[1]["exchange"] == exchange


def lines_of_every_measurement() -> list[str]:
    candle = CandleValues("2", "3", "1", "2", "5", "10", "1", "2", 4)
    rollups = [f"ohlcv_{timeframe}" for timeframe in schema.ROLLUP_TIMEFRAMES]
    return [
        candle_line("ohlcv_3m", BTC, OPEN_MS, candle, now_ms=NOW_MS),
        *(candle_line(rollup, BTC, OPEN_MS, candle, now_ms=NOW_MS, candles=0) for rollup in rollups),
        mark_price_line(BTC, OPEN_MS, "1", "1", now_ms=NOW_MS),
        funding_rate_line(BTC, OPEN_MS, "0.0001", OPEN_MS, now_ms=NOW_MS),
        funding_settled_line(BTC, OPEN_MS, "0.0001", "5", now_ms=NOW_MS),
        mark_ohlcv_line(BTC, OPEN_MS, "1", "1", "1", "1", now_ms=NOW_MS),
        contract_line(BTC, OPEN_MS, OPEN_MS - 60_000, now_ms=NOW_MS),
        gap_line(BTC, OPEN_MS, "exchange_hole", "why", "candles_3m", now_ms=NOW_MS, since_ms=OPEN_MS, asked=1),
    ]


def test_the_lines_have_the_schemas_tags_fields_and_types() -> None:
    parsed = {
        measurement: (tags, fields) for measurement, tags, fields, _ in map(parse_line, lines_of_every_measurement())
    }
    assert parsed.keys() == schema.MEASUREMENTS.keys()
    types = {"float": Decimal, "int": int, "string": str}
    for name, (tags, fields) in parsed.items():
        expected = schema.MEASUREMENTS[name]
        assert tuple(tags) == expected.tags
        assert {key: type(value) for key, value in fields.items()} == {f.name: types[f.type] for f in expected.fields}


# --- what must not be written is refused, with one of a fixed set of reasons -----------------------------------------

GOOD: dict[str, Any] = {
    "measurement": "ohlcv_1h",
    "pair": BTC,
    "open_time_ms": OPEN_MS,
    "open": "2",
    "high": "3",
    "low": "1",
    "close": "2",
    "volume": "5",
    "quote_volume": "10",
    "taker_buy_volume": "1",
    "taker_buy_quote_volume": "2",
    "trades": 4,
    "now_ms": NOW_MS,
    "candles": 20,
}

NOT_NUMBERS = [
    "",
    " 1",
    "1 ",
    "+1",
    "1.",
    ".5",
    "1e5",
    "nan",
    "NaN",
    "inf",
    "-inf",
    "0x1",
    "1_0",
    "1,0",
    "٣",
    "1\n",
    "01",
    "9" * 400,
]


def line_of(arguments: dict[str, Any]) -> str:
    values = CandleValues(*(arguments[name] for name in CandleValues._fields))
    return candle_line(
        values=values, **{name: arguments[name] for name in arguments.keys() - set(CandleValues._fields)}
    )


def test_the_valid_candle_is_accepted() -> None:
    assert parse_line(line_of(GOOD))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"measurement": "ohlcv_5m"}, "measurement"),
        ({"measurement": "mark_price"}, "measurement"),
        ({"pair": "BTCUSDT"}, "pair"),
        ({"pair": "B\\C/USDT:USDT"}, "pair"),
        ({"exchange": ""}, "tag"),
        ({"exchange": "A\\"}, "tag"),
        ({"exchange": "A\nB"}, "tag"),
        ({"open_time_ms": OPEN_MS // 1000}, "time"),
        ({"open_time_ms": OPEN_MS * 1000}, "time"),
        ({"open_time_ms": float(OPEN_MS)}, "time"),
        ({"open_time_ms": True}, "time"),
        ({"open_time_ms": 0}, "time"),
        ({"open_time_ms": OPEN_MS + 10 * 86_400_000}, "time"),
        ({"open_time_ms": OPEN_MS + 180_000}, "off_grid"),
        ({"open_time_ms": OPEN_MS + 1}, "off_grid"),
        *(({name: text}, "number") for name in ("open", "high", "low", "close", "volume") for text in NOT_NUMBERS),
        ({"close": 2.0}, "number"),
        ({"close": None}, "number"),
        ({"low": "0"}, "number"),
        ({"low": "-1"}, "number"),
        ({"volume": "-1"}, "number"),
        ({"high": "1.5"}, "inconsistent"),
        ({"low": "2.5"}, "inconsistent"),
        ({"close": "4"}, "inconsistent"),
        ({"taker_buy_volume": "6"}, "inconsistent"),
        ({"taker_buy_quote_volume": "11"}, "inconsistent"),
        ({"trades": 0}, "inconsistent"),
        ({"trades": -1}, "count"),
        ({"trades": 4.0}, "count"),
        ({"trades": True}, "count"),
        ({"trades": 2**63}, "count"),
        ({"candles": None}, "count"),
        ({"candles": 19}, "count"),
        ({"candles": 21}, "count"),
        ({"measurement": "ohlcv_3m"}, "count"),
    ],
)
def test_an_invalid_candle_is_refused_with_its_reason(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unserializable) as refused:
        line_of(GOOD | change)
    assert refused.value.reason == reason
    assert reason in REASONS
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (lambda: mark_price_line(BTC, OPEN_MS, "0", "1", now_ms=NOW_MS), "number"),
        (lambda: mark_price_line(BTC, OPEN_MS, "1", "-1", now_ms=NOW_MS), "number"),
        (lambda: mark_price_line("BTC", OPEN_MS, "1", "1", now_ms=NOW_MS), "pair"),
        (lambda: mark_price_line(BTC, NOW_MS + 86_400_001, "1", "1", now_ms=NOW_MS), "time"),
        (lambda: funding_rate_line(BTC, OPEN_MS, "", OPEN_MS, now_ms=NOW_MS), "number"),
        (lambda: funding_rate_line(BTC, OPEN_MS, "0.0001", 0, now_ms=NOW_MS), "time"),
        (lambda: funding_settled_line(BTC, OPEN_MS, "0.0001", "", now_ms=NOW_MS), "number"),
        (lambda: funding_settled_line(BTC, OPEN_MS, "0.0001", "0", now_ms=NOW_MS), "number"),
        (lambda: mark_ohlcv_line(BTC, OPEN_MS + 180_000, "1", "1", "1", "1", now_ms=NOW_MS), "off_grid"),
        (lambda: mark_ohlcv_line(BTC, OPEN_MS, "1", "1", "2", "1", now_ms=NOW_MS), "inconsistent"),
        (lambda: gap_line(BTC, OPEN_MS, "lost", "why", "candles_3m", now_ms=NOW_MS), "text"),
        (lambda: gap_line(BTC, OPEN_MS, "open", "", "candles_3m", now_ms=NOW_MS), "text"),
        (lambda: gap_line(BTC, OPEN_MS, "open", "a\nb", "candles_3m", now_ms=NOW_MS), "text"),
        (lambda: gap_line(BTC, OPEN_MS, "open", "why", "candles_1m", now_ms=NOW_MS), "tag"),
        (lambda: gap_line(BTC, OPEN_MS + 1, "open", "why", "candles_3m", now_ms=NOW_MS), "off_grid"),
    ],
)
def test_every_other_invalid_point_is_refused_with_its_reason(write: Callable[[], str], reason: str) -> None:
    with pytest.raises(Unserializable) as refused:
        write()
    assert refused.value.reason == reason


@given(st.text())
def test_a_number_is_written_unchanged_or_refused(text: str) -> None:
    try:
        line = funding_settled_line(BTC, OPEN_MS, text, None, now_ms=NOW_MS)
    except Unserializable as e:
        assert e.reason == "number"  # noqa: PT017 - either outcome is right
    else:
        assert parse_line(line)[2] == {"rate": Decimal(text)}
        assert abs(float(text)) < float("inf")


@given(st.integers(-(2**70), 2**70))
def test_a_time_before_2019_or_beyond_tomorrow_is_refused(time_ms: int) -> None:
    assume(not schema.EARLIEST_MS <= time_ms <= NOW_MS + 86_400_000)
    with pytest.raises(Unserializable) as refused:
        mark_price_line(BTC, time_ms, "1", "1", now_ms=NOW_MS)
    assert refused.value.reason == "time"
